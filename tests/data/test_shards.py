"""Recordings in shards give the bits that the files give, and shards of others are read."""

import dataclasses
import gzip
import io
import json
import os
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.audio import load_audio, probe, shards, stream_audio
from asr.audio.shards import ShardPlace, shard_place
from asr.data.cache import AudioCache
from asr.data.known_sound import KnownSound
from asr.data.manifest import Utterance, read_manifest, write_manifest
from asr.data.readers import read_folder
from asr.data.recordings import load_utterance
from asr.data.shards import write_shards
from asr.errors import AsrError, AudioDamagedError, AudioMissingError, DataError
from asr.training.start import train
from tests.tiny_run import (
    Quiet,
    equal_weights,
    make_corpus,
    settings,
    timeless_metrics,
    weights,
)

NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, (48_000, 2))
FORMATS = {
    "a.wav": ("WAV", "PCM_16"),
    "b.flac": ("FLAC", "PCM_24"),
    "c.ogg": ("OGG", "VORBIS"),
    "d.mp3": ("MP3", "MPEG_LAYER_III"),
    "e.wav": ("WAV", "FLOAT"),
}


def sharded(folder: Path, utterances: list[Utterance], **more: float) -> list[Utterance]:
    """The utterances as their manifest has them once they are in shards."""
    write_manifest(folder / "train.jsonl", utterances)
    write_shards(folder, str(folder / "shards"), more.get("shard_mb", 1.0))
    return list(read_manifest(folder / "train.jsonl"))


def same_sound(one: Utterance, other: Utterance, rate: int = 8000) -> bool:
    return load_utterance(one, rate).tobytes() == load_utterance(other, rate).tobytes()


@pytest.fixture
def files(tmp_path: Path) -> list[Utterance]:
    """A recording of 3 s in each format."""
    for name, (form, subtype) in FORMATS.items():
        soundfile.write(tmp_path / name, NOISE, 16_000, format=form, subtype=subtype)
    made = [
        Utterance(id=name, audio=str(tmp_path / name), duration_s=probe(tmp_path / name).duration_s, text="x")
        for name in FORMATS
    ]
    return [
        *made,
        dataclasses.replace(made[0], id="left", channel=0, speaker="s"),
        dataclasses.replace(made[0], id="é", start_s=0.5, duration_s=1.0),
    ]


def test_recordings_in_shards_give_the_bits_of_the_files(files: list[Utterance], tmp_path: Path) -> None:
    moved = sharded(tmp_path, files, shard_mb=0.2)

    assert [one.id for one in moved] == [one.id for one in files]  # and so the plan of an epoch is the same
    assert len({place.shard for one in moved if (place := shard_place(one.audio))}) > 2
    for one, other in zip(files, moved, strict=True):
        assert same_sound(one, other, 16_000) and same_sound(one, other, 11_025)
        if one.channel is None:
            assert probe(other.audio) == probe(one.audio)
            assert np.array_equal(np.concatenate(list(stream_audio(other.audio))), load_audio(one.audio))


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100])
def test_spans_cut_out_of_a_long_recording_give_the_bits_of_the_whole(rate: int, tmp_path: Path) -> None:
    generator = np.random.default_rng(rate)
    soundfile.write(tmp_path / "long.wav", generator.uniform(-0.3, 0.5, (rate * 15, 2)), rate)  # with an offset
    starts = np.round(generator.uniform(0, 13, 9), 3).tolist()
    made = [
        Utterance(
            id=f"{channel}{start}",
            audio=str(tmp_path / "long.wav"),
            start_s=start,
            duration_s=2.0,
            text="",
            channel=channel,
        )
        for start in [0.0, 13.0, *starts]
        for channel in (None, 1)
    ]
    moved = sharded(tmp_path, made)

    assert all(
        same_sound(one, other, to) for to in (rate, 8_000, 16_000) for one, other in zip(made, moved, strict=True)
    )
    assert max(probe(one.audio).duration_s for one in moved) <= 6


def test_shards_are_the_same_bytes_again_and_no_shard_of_another_manifest_changes(
    files: list[Utterance], tmp_path: Path
) -> None:
    first = sharded(tmp_path, files)
    before = {path: path.read_bytes() for path in (tmp_path / "shards").iterdir()}

    again = sharded(tmp_path, files)
    fewer = sharded(tmp_path, files[:3])

    assert again == first and len(fewer) == 3
    after = {path: path.read_bytes() for path in (tmp_path / "shards").iterdir()}
    assert before.items() <= after.items() and len(after) == len(before) + 1
    assert all(same_sound(one, other) for one, other in zip(files, first, strict=True))
    assert sharded(tmp_path, again) == again  # they are in shards already


def test_two_processes_write_shards_of_one_name_into_one_folder(
    files: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second begins and ends when the first has written its shard and not given it its name yet."""
    rename, begun, tars = os.replace, list[str](), str(tmp_path / "tars")
    for name, own in (("one", files[:3]), ("other", files[3:])):
        write_manifest(tmp_path / name / "train.jsonl", own)

    def after_the_other(source: Path, target: str) -> None:
        if str(target).endswith(".tar") and not begun:
            begun.append(str(target))
            write_shards(tmp_path / "other", tars, 1.0)
        rename(source, target)

    monkeypatch.setattr(os, "replace", after_the_other)
    write_shards(tmp_path / "one", tars, 1.0)
    assert begun
    moved = [*read_manifest(tmp_path / "one" / "train.jsonl"), *read_manifest(tmp_path / "other" / "train.jsonl")]
    assert all(same_sound(one, other) for one, other in zip(files, moved, strict=True))
    assert [path.suffix for path in (tmp_path / "tars").iterdir()] == [".tar", ".tar"]


def test_webdataset_reads_what_is_written(files: list[Utterance], tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    sharded(tmp_path, files)
    written = sorted(str(one) for one in (tmp_path / "shards").iterdir())

    samples = list(webdataset.WebDataset(written, shardshuffle=False))

    assert {json.loads(one["json"])["id"] for one in samples} == {one.id for one in files}
    by_id = {json.loads(one["json"])["id"]: one for one in samples}
    assert by_id["d.mp3"]["mp3"] == Path(files[3].audio).read_bytes()
    assert json.loads(by_id["left"]["json"]) == {"id": "left", "text": "x", "duration_s": 3.0, "speaker": "s"}


def test_training_on_shards_is_training_on_files_to_the_bit_also_when_it_goes_on_in_mid_epoch(tmp_path: Path) -> None:
    of_files = make_corpus(tmp_path / "files")
    of_shards = make_corpus(tmp_path / "shards")
    write_shards(of_shards, str(tmp_path / "tars"), 0.02)
    changes = {"augment__noise_probability": 0.5, "training__save_every_steps": 1, "training__epochs": 2}
    train(settings(of_files, **changes), tmp_path / "one", Quiet())
    chosen = settings(of_shards, data__cache_mb=0, data__workers=1, **changes)

    def stop(record: object) -> None:
        raise AsrError("stopped")

    for _ in range(2):
        with pytest.raises(AsrError, match="stopped"):
            train(chosen, tmp_path / "other", Quiet(stop))
    train(chosen, tmp_path / "other", Quiet())

    assert equal_weights(weights(tmp_path / "one"), weights(tmp_path / "other"))
    assert timeless_metrics(tmp_path / "one") == timeless_metrics(tmp_path / "other")


def test_the_cache_of_decoded_audio_knows_recordings_in_shards(
    files: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = sharded(tmp_path, files)
    cache = AudioCache(tmp_path / "cache", 100.0)
    first = [cache.load(one, 16_000) for one in moved]
    monkeypatch.setattr(shards, "read_member", None)

    assert all(cache.load(one, 16_000).tobytes() == heard.tobytes() for one, heard in zip(moved, first, strict=True))


def test_a_copy_of_a_recording_in_a_shard_is_known(files: list[Utterance], tmp_path: Path) -> None:
    copies = [dataclasses.replace(one) for one in files[:5]]
    moved = sharded(tmp_path, files[:5])

    known = KnownSound({"test": moved})

    assert [known.splits_of(one.audio) for one in copies] == [{"test"}] * 5


def test_a_shard_with_other_bytes_is_refused(files: list[Utterance], tmp_path: Path) -> None:
    moved = sharded(tmp_path, files)
    place = shard_place(moved[0].audio)
    assert place is not None
    shard = Path(place.shard)
    content = bytearray(shard.read_bytes())
    content[place.offset + 1000] ^= 1
    shard.write_bytes(content)
    with pytest.raises(AudioDamagedError, match="holds other bytes"):
        load_audio(moved[0].audio)
    with pytest.raises(AudioDamagedError, match="holds other bytes"):
        probe(str(dataclasses.replace(place, size=place.size - 1)))

    shard.write_bytes(content[: place.offset + 10])
    with pytest.raises(AudioDamagedError, match="ends before byte"):
        load_audio(moved[0].audio)
    with pytest.raises(DataError, match="the shard has"):
        read_manifest(tmp_path / "train.jsonl")
    shard.unlink()
    with pytest.raises(AudioMissingError, match="this shard cannot be read"):
        load_audio(moved[0].audio)


def test_a_damaged_recording_in_a_shard_is_called_by_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"no sound")
    place = ShardPlace(str(tmp_path / "a.tar"), 0, 8, zlib.crc32(b"no sound"))
    with pytest.raises(AsrError, match=r"a\.tar#0\+8:\w{8}: is not audio that can be read"):
        load_audio(str(place))


# --- shards of others --------------------------------------------------------------------------------


def sound(seconds: float = 0.3, form: str = "FLAC") -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, NOISE[: round(seconds * 16_000)], 16_000, format=form)
    return stream.getvalue()


def tar(path: Path, members: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def test_shards_that_webdataset_wrote_are_read(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    for number in range(2):
        with webdataset.TarWriter(str(tmp_path / f"in-{number}.tar")) as writer:
            for one in range(3):
                text = {"txt": "é b"} if one else {"json": {"text": "c", "speaker": "ann", "id": f"own{number}"}}
                writer.write({"__key__": f"part/{one:03d}", "flac": sound(0.3 + one / 10), **text})

    read = read_folder(tmp_path)

    assert [one.id for one in read] == [
        "own0",
        "in-0-part/001",
        "in-0-part/002",
        "own1",
        "in-1-part/001",
        "in-1-part/002",
    ]
    assert [one.text for one in read] == ["c", "é b", "é b"] * 2 and [one.speaker for one in read[:2]] == ["ann", None]
    assert [one.duration_s for one in read] == [0.3, 0.4, 0.5] * 2
    (tmp_path / "train.shards").write_text("in-{0..1}.tar\n\n")
    assert read_folder(tmp_path / "train.shards") == read


def test_what_was_written_is_read_back(files: list[Utterance], tmp_path: Path) -> None:
    moved = sharded(tmp_path, files)
    read = {one.id: one for one in read_folder(tmp_path / "shards")}
    assert [read[one.id] for one in moved] == [dataclasses.replace(one, extra={}) for one in moved]


def test_shards_of_lhotse_are_read(tmp_path: Path) -> None:
    """In the layout that lhotse 1.33 writes (cuts.to_shar(folder, {"recording": "flac"}))."""
    said = [{"id": "s", "text": text, "speaker": "ann", "start": 0.0, "duration": 0.1} for text in ("a b", "c")]
    cuts = [
        {"id": "cut.1", "start": 0, "duration": 0.3, "supervisions": said},
        {"id": "cut.2", "supervisions": said[:1]},
    ]
    with gzip.open(tmp_path / "cuts.000000.jsonl.gz", "wt") as stream:
        stream.writelines(json.dumps(cut) + "\n" for cut in cuts)
    beside = json.dumps(
        {"id": "rec", "sources": [], "sampling_rate": 16000, "num_samples": 4800, "duration": 0.3}
    ).encode()
    names = ("cut.1.flac", "cut.1.json", "cut.2.original", "cut.2.json")
    tar(tmp_path / "recording.000000.tar", dict(zip(names, (sound(), beside, sound(0.4), beside), strict=True)))

    read = read_folder(tmp_path)

    assert [(one.id, one.text, one.speaker, one.duration_s) for one in read] == [
        ("cut.1", "a b c", "ann", 0.3), ("cut.2", "a b", "ann", 0.4)
    ]  # fmt: skip
