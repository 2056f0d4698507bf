"""Each recipe's download against a local server that holds a tiny corpus in the layout of the real archive."""

import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asr.data.manifest import read_manifest
from asr.data.prepare import load_recipe
from asr.errors import DataError

RECIPES = Path(__file__).parents[2] / "recipes"


def sound(kind: str) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, 0.1 * np.sin(np.arange(8000) / 5), 16000, format=kind, subtype="PCM_16")
    return stream.getvalue()


def pack(members: dict[str, str | bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, body in members.items():
            data = body.encode() if isinstance(body, str) else body
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


class Host:
    """A server of archives by path, and its address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        host = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args: Any) -> None:
                super().__init__(*args, directory=str(host.folder))

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"

    def put(self, path: str, body: bytes) -> str:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_bytes(body)
        return f"{self.address}/{path}"


@pytest.fixture
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    running = Host(tmp_path_factory.mktemp("host"))
    thread = threading.Thread(target=running.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.server.shutdown()
    thread.join()
    running.server.server_close()


def fetch_and_prepare(name: str, corpus: Path, settings: dict[str, Any], options: dict[str, Any]) -> list[int]:
    """Download and prepare with the recipe's addresses replaced; the utterances of train, dev and test."""
    recipe = load_recipe(RECIPES / name)
    for key, value in settings.items():
        assert hasattr(recipe, key)
        setattr(recipe, key, value)
    recipe.download(corpus)
    out = corpus.parent / "out"
    recipe.prepare(corpus, out, complete=False, **options)
    return [
        len(read_manifest(out / f"{part}.jsonl")) if (out / f"{part}.jsonl").is_file() else 0
        for part in ("train", "dev", "test")
    ]


def test_fsdd_release(host: Host, tmp_path: Path) -> None:
    top = "free-spoken-digit-dataset-1.0.10"
    names = [f"{top}/recordings/{digit}_ann_{index}.wav" for digit in (0, 1) for index in (0, 5, 10)]
    url = host.put("v1.0.10.tar.gz", pack({f"{top}/README.md": "x"} | dict.fromkeys(names, sound("WAV"))))
    assert fetch_and_prepare("fsdd", tmp_path / "c", {"URL": url}, {}) == [2, 2, 2]


def test_an4_in_nist_sphere_files(host: Host, tmp_path: Path) -> None:
    train = [f"an4_clstk/sp{n}/an{n}-sp{n}-b" for n in range(4)]
    members: dict[str, str | bytes] = {
        f"an4/wav/{name}.sph": sound("NIST") for name in [*train, "an4test_clstk/t/an9-t-b"]
    }
    members["an4/etc/an4_train.fileids"] = "".join(f"{name}\n" for name in train)
    members["an4/etc/an4_train.transcription"] = "".join(f"<s> YES </s> ({name.split('/')[-1]})\n" for name in train)
    members["an4/etc/an4_test.fileids"] = "an4test_clstk/t/an9-t-b\n"
    members["an4/etc/an4_test.transcription"] = "NO (an9-t-b)\n"
    url = host.put("an4_sphere.tar.gz", pack(members))
    assert fetch_and_prepare("an4", tmp_path / "c", {"URL": url}, {}) == [3, 1, 1]


def test_mini_librispeech_from_its_two_homes_with_checksums(host: Host, tmp_path: Path) -> None:
    def part(name: str, *speakers: str) -> bytes:
        members: dict[str, str | bytes] = {}
        for speaker in speakers:
            folder = f"LibriSpeech/{name}/{speaker}/7"
            members[f"{folder}/{speaker}-7.trans.txt"] = f"{speaker}-7-0000 YES\n"
            members[f"{folder}/{speaker}-7-0000.flac"] = sound("FLAC")
        return pack(members)

    train, held_out = part("train-clean-5", "19", "26"), part("dev-clean", "251", "84")
    host.put("31/train-clean-5.tar.gz", train)
    host.put("12/dev-clean.tar.gz", held_out)
    settings: dict[str, Any] = {"HOME": host.address, "MD5": {"train-clean-5": hashlib.md5(train).hexdigest()}}
    wrong = settings | {"SHA256": {"dev-clean": "0" * 64}}
    with pytest.raises(DataError, match=r"dev-clean.tar.gz arrived with the wrong sha256"):
        fetch_and_prepare("librispeech", tmp_path / "c", wrong, {})
    right = settings | {"SHA256": {"dev-clean": hashlib.sha256(held_out).hexdigest()}}
    assert fetch_and_prepare("librispeech", tmp_path / "c", right, {}) == [2, 1, 1]


def test_speechocean(host: Host, tmp_path: Path) -> None:
    members: dict[str, str | bytes] = {}
    for part, speakers in (("train", ("0001", "0007")), ("test", ("0003",))):
        for table, value in (("text", "YES"), ("spk2age", "6"), ("spk2gender", "f")):
            keys = [speaker if table.startswith("spk") else f"{speaker}1" for speaker in speakers]
            members[f"speechocean762/{part}/{table}"] = "".join(f"{key}\t{value}\n" for key in keys)
        members[f"speechocean762/{part}/utt2spk"] = "".join(f"{speaker}1\t{speaker}\n" for speaker in speakers)
        scp = [f"{speaker}1\tWAVE/SPEAKER{speaker}/{speaker}1.WAV\n" for speaker in speakers]
        members[f"speechocean762/{part}/wav.scp"] = "".join(scp)
        members |= {f"speechocean762/WAVE/SPEAKER{speaker}/{speaker}1.WAV": sound("WAV") for speaker in speakers}
    url = host.put("speechocean762.tar.gz", pack(members))
    assert fetch_and_prepare("speechocean762", tmp_path / "c", {"URL": url}, {}) == [1, 1, 1]
