"""Payloads that try to run, read, write, connect, allocate, or pass for something else; none may succeed.

Each is a command (or a call) in a folder with files of doubtful origin; tests/faults/test_hostile.py watches.
"""

# ruff: noqa: E501 - a row is a case
import gzip
import io
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asr.training.checkpoint import save_checkpoint
from tests.faults.audio import MP4, box
from tests.faults.case import Case, Content, config, shard, wav, weights
from tests.faults.models import ARPA, extra, header, tokens

SECRET = "s3cret-of-this-machine"  # in the environment, and in a file outside of the folder
OUTSIDE = "../outside"
ESCAPES = "\x1b[2J\x1b]0;owned\x07\r\nasr: all is well\u202e"
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"
FORMULAS = ("=HYPERLINK(0)", "+1+1", "-1+1", "@SUM(1)", "\t=1")
RUN, HEAR = "transcribe model good.wav", "transcribe model"
LEAK = "${oc.env:ASR_SECRET}"


class Bomb:
    """What a pickle can do: run code when it is read."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (Path("canary"),)


@dataclass(frozen=True)
class Payload(Case):
    """``id``: of the error, or "" where the command does its work and nothing else. ``words``: a command, or ``call``.

    ``never``: texts that nothing on the terminal and no page that was written may hold; in Markdown, outside of code.
    ``code``: the exit code where it is not the one of ``id``.
    """

    call: Callable[[Path], object] | None = None
    never: tuple[str, ...] = ()
    code: int | None = None


def payload(given: str, id_: str, words: str, files: Mapping[str, Content] | None = None, **more: Any) -> Payload:
    """A payload of which the message is not looked at."""
    return Payload(given, id_, words, more.pop("says", ""), files or {}, **more)


# --- code and interpolation in what comes along ------------------------------------------------------------------------

PICKLE = pickle.dumps(Bomb())


def torch_pickle(path: Path) -> None:
    """What `torch.save` writes of an object."""
    torch.save({"model.head.bias": Bomb()}, path)


def checkpoint(path: Path) -> None:
    """A checkpoint of this program, with the right checksum, that holds an object."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(path, {"model": {}, "progress": Bomb()})


def lines(*texts: str, **more: Any) -> str:
    """A manifest or JSON Lines of these texts."""
    rows = [
        {"id": f"u{n}", "audio": "good.wav", "duration_s": 0.25, "text": text, **more} for n, text in enumerate(texts)
    ]
    return "\n".join(map(json.dumps, rows)) + "\n"


RECIPE_RUN = "data: {{dir: '{0}'}}\nrun_dir: run\n"
CODE = [
    payload("a pickle as weights", "model", RUN, weights(lambda path: path.write_bytes(PICKLE))),
    payload("a torch file as weights", "model", RUN, weights(torch_pickle)),
    payload("a pickle as weights, with onnxruntime", "model", f"{RUN} --backend onnx", weights(torch_pickle)),
    payload("a pickle as config.json", "model-damaged", RUN, {"model/config.json": PICKLE}),
    payload("a pickle as calibration", "model-damaged", RUN, {"model/calibration.json": PICKLE}),
    payload("a pickle as ONNX file", "model", f"{RUN} --backend onnx", {"model/model.onnx": PICKLE}),
    payload("a pickle as language model", "model-damaged", f"{RUN} --lm a.bin", {"a.bin": PICKLE}),
    payload("a pickle behind the mark of a language model", "model-damaged", "lm info a.bin", {"a.bin": b"ASRLM\x00\r\n" + PICKLE}),
    payload("a pickle as manifest", "data", "evaluate model m.jsonl --out out", {"m.jsonl": PICKLE}),
    payload("a pickle as results", "data", "report a", {"a/results.jsonl": PICKLE}),
    payload("a pickle as recording", "audio-format", f"{HEAR} a.wav", {"a.wav": PICKLE}),
    payload("a NumPy archive of a pickle as recording", "audio-format", f"{HEAR} a.npz",
            {"a.npz": lambda path: np.savez(path, a=np.array([Bomb()], object))}),
    payload("a pickle as sub-word pieces", "model", RUN, tokens(name="sentencepiece", model_base64=PICKLE.hex())),
    payload("a checkpoint with an object", "model-damaged", "", {"last.ckpt": checkpoint}, call=lambda folder: load(folder)),
    payload("a model that names a function", "model", f"{RUN} --backend torch", config(lambda v: v["model"].update(_target_="os.system"))),
    payload("features that name a function", "model", RUN, config(lambda v: v["features"].update(_target_="builtins.exec"))),
    payload("subsampling that names a function", "model", RUN,
            config(lambda v: v["model"]["subsampling"].update(_target_="os.system"))),
    payload("a tokenizer that names a function", "", RUN, config(lambda v: v["tokenizer"].update(_target_="os.system"))),
    payload("facts that name a function", "", RUN, config(lambda v: v["facts"].update(_target_="os.system"))),
    payload("decoding that names a function", "model", RUN,
            extra("decoding.json", {"settings": {"_target_": "os.system"}, "sha256": {"lm.bin": "x"}})),
    payload("decoding that names a file", "model", RUN,
            extra("decoding.json", {"settings": {"name": "beam", "lexicon": f"{OUTSIDE}/secret"}, "sha256": {"lm.bin": "x"}})),
    payload("an encoder named by the environment", "model", RUN, config(lambda v: v["model"].update(name=LEAK))),
    payload("a size from the environment", "model", RUN, config(lambda v: v["model"].update(hidden_size=LEAK))),
    payload("letters from the environment", "model", RUN, tokens(name="characters", characters=[LEAK])),
    payload("facts from the environment", "", f"{RUN} --format json", config(lambda v: v["facts"].update(note=LEAK))),
    payload("a run whose YAML makes an object", "model-damaged", "train run",
            {"run/config.yaml": "a: !!python/object/apply:os.system ['touch canary']\n"}),
    payload("a run whose data folder is the environment", "data", "train run", {"run/config.yaml": RECIPE_RUN.format(LEAK)}),
    payload("a run whose YAML grows", "config", "train run",
            {"run/config.yaml": "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))}),
    payload("a run whose YAML is 500 brackets", "model-damaged", "train run", {"run/config.yaml": "[" * 500}),
    payload("a recipe of 500 brackets", "config", "train t.yaml run_dir=x", {"t.yaml": "[" * 500}),
    payload("a manifest with an interpolation", "data", "evaluate model m.jsonl --out out", {"m.jsonl": lines("a", audio=LEAK)}),
]  # fmt: skip

# --- paths, links and archives -----------------------------------------------------------------------------------------


def load(folder: Path) -> None:
    """As a training resumes."""
    from asr.training.checkpoint import load_checkpoint

    load_checkpoint(folder / "last.ckpt")


def unpack(folder: Path) -> None:
    """As a recipe unpacks what it has downloaded."""
    from asr.data.fetch import extract

    extract(folder / "archive", folder / "unpacked")


def tar(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 3) -> Mapping[str, Content]:
    """An archive of one member."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname, member.size = kind, link, size if kind == tarfile.REGTYPE else 0
        archive.addfile(member, io.BytesIO(bytes(size)))
    return {"archive": stream.getvalue()}


def zipped(name: str, mode: int = 0o644, content: bytes = b"bad") -> Mapping[str, Content]:
    """A zip archive of one member."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        archive.writestr(member, content)
    return {"archive": stream.getvalue()}


PREPARE = "prepare RECIPES/folder corpus out"
TRN = "a (../../outside/made)\nb (/etc/made)\n"
PATHS = [
    *(payload(f"a tar with {what}", id_, "", files, call=unpack) for what, id_, files in (
        ("a path to outside", "download", tar("../outside/made")),
        ("an absolute path", "download", tar("/tmp/../outside-made")),
        ("a link to outside", "download", tar("way", tarfile.SYMTYPE, "../../outside")),
        ("a hard link to outside", "download", tar("way", tarfile.LNKTYPE, "../../outside/secret")),
        ("a device", "download", tar("way", tarfile.CHRTYPE)),
        ("a pipe", "download", tar("way", tarfile.FIFOTYPE)),
    )),
    *(payload(f"a shard with {what}", "data", PREPARE, {"corpus/a.tar": shard(("good.wav", wav()), ("good.txt", b"a"), (name, wav()), **fields)})
      for what, name, fields in (
        ("a path to outside", "../outside/made.wav", {}),
        ("an absolute path", "/tmp/outside-made.wav", {}),
        ("a path that goes up later", "a/../../outside/made.wav", {}),
        ("a link to outside", "way.wav", {"type": tarfile.SYMTYPE, "linkname": "../../outside/secret"}),
        ("a hard link to outside", "way.wav", {"type": tarfile.LNKTYPE, "linkname": "../../outside/secret"}),
        ("a device", "way.wav", {"type": tarfile.CHRTYPE}),
        ("a pipe", "way.wav", {"type": tarfile.FIFOTYPE}),
        ("escapes in a name", f"a{ESCAPES}.wav", {}),
        ("a recording of 2^60 bytes", "way.wav", {"size": 1 << 60}),
        ("a recording of 3 GB that are not there", "way.wav", {"size": 3 << 30}),
        ("a text of 500 MB", "way.txt", {"size": 500 << 20}),
        ("a name of 2^40 bytes", "way.wav", {"size": 1 << 40, "type": tarfile.GNUTYPE_LONGNAME}),
        ("a PAX header of 2^40 bytes", "way.wav", {"size": 1 << 40, "type": tarfile.XHDTYPE}),
    )),
    payload("a shard with 100,000 brackets", "data", PREPARE,
            {"corpus/a.tar": shard(("u.wav", wav()), ("u.json", b"[" * 100_000))}),
    payload("a shard whose cuts are zeros", "data", PREPARE,
            {"corpus/recording.0.tar": shard(("u.wav", wav())), "corpus/cuts.0.jsonl.gz": lambda path: zeros(path)}),
    *(payload(f"a shard at {scheme}", "data", "evaluate model m.jsonl --out out",
              {"m.jsonl": lines("a", audio=f"{scheme}127.0.0.1:9/a.tar#0+9:00000000")})
      for scheme in ("ftp://", "file://", "sftp://", "simplecache::http://", "github://", "smb://")),
    payload("a place of 10^17 bytes", "data", "evaluate model m.jsonl --out out",
            {"m.jsonl": lines("a", audio=f"a.tar#0+{10**17}:00000000"), "a.tar": shard(("u.wav", wav()))}),
    payload("a zip with a path to outside", "download", "", zipped("../outside/made"), call=unpack),
    payload("a zip with an absolute path", "download", "", zipped("/outside-made"), call=unpack),
    payload("a zip with a link", "download", "", zipped("way", 0o120777, b"../outside"), call=unpack),
    payload("ids that are paths, exported", "", "score r.trn r.trn --export out --export-format trn", {"r.trn": TRN}),
    payload("ids that are paths, in a report", "", "score r.trn r.trn --out out", {"r.trn": TRN}),
    payload("ids that are paths, in a folder of texts", "data", "score in in", {"in/a.json": '{"text": 5, "id": "../x"}'}),
    payload("a transcript whose name is a link to outside", "", f"{HEAR} good.wav --output-dir out --overwrite",
            {"out/good.txt": lambda path: path.symlink_to("../../outside/secret")}),
    payload("a recording that is a link to a text outside", "audio-format", f"{HEAR} a.wav",
            {"a.wav": lambda path: path.symlink_to("../outside/secret")}),
    payload("a folder that holds itself", "", f"{HEAR} -r in --output-dir out",
            {"in/a.wav": wav(), "in/loop": lambda path: path.symlink_to(".")}),
    payload("a Kaldi table that runs a command", "data", "prepare RECIPES/folder corpus out",
            {"corpus/wav.scp": "r1 touch canary; cat a.wav |\n", "corpus/text": "r1 a\n"}),
    payload("a link pattern of an annotation", "config", "prepare RECIPES/folder corpus out 'link={name.__class__}'",
            {"corpus/a.srt": "1\n00:00:00,000 --> 00:00:00,200\na\n", "corpus/a.wav": wav()}),
    *(payload(f"a recording called {name}", "", f"{HEAR} in --output-dir out", {f"in/{name}": wav()})
      for name in ("--help.wav", "-rf.wav", "--output-dir=x.wav", "-.wav", "$(touch canary).wav", "`touch canary`.wav",
                   "a;touch canary.wav", "a|touch canary.wav", "%n%n%s.wav", "{0.__class__}.wav")),
]  # fmt: skip

# --- what decoders would open ------------------------------------------------------------------------------------------

M3U = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{0}\n#EXT-X-ENDLIST\n"
URL = "http://127.0.0.1:9/a.wav"
DREF = box(b"moov", box(b"trak", box(b"mdia", box(b"minf", box(b"dinf", box(
    b"dref", bytes(7) + b"\1" + box(b"url ", bytes(4) + URL.encode() + b"\0")))))))  # fmt: skip
DECODERS = [
    *(payload(f"the address {name}", "audio-missing", f"{HEAR} '{name}'")
      for name in (URL, "pipe:0", "concat:good.wav|good.wav", "file:good.wav", "data:audio/wav;base64,UklGRg==",
                   "subfile,,start,0,end,9,,:good.wav", "rtmp://127.0.0.1:9/a", "async:good.wav")),
    *(payload(f"a playlist of {what}", "audio-format", f"{HEAR} {name}", {name: M3U.format(address)})
      for what, name, address in (("an address", "a.wav", URL), ("a file", "a.m3u8", "../outside/secret"),
                                  ("a pipe", "a.mp3", "pipe:0"))),
    payload("a list of files to join", "audio-format", f"{HEAR} a.wav", {"a.wav": "ffconcat version 1.0\nfile good.wav\n"}),
    payload("a session description", "audio-format", f"{HEAR} a.sdp",
            {"a.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=a\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n"}),
    payload("a film whose sound is at an address", "audio-format", f"{HEAR} a.mp4", {"a.mp4": MP4 + DREF}),
    payload("a manifest of an address", "data", "evaluate model m.jsonl --out out", {"m.jsonl": lines("a", audio=URL)}),
    payload("a manifest of joined files", "data", "evaluate model m.jsonl --out out",
            {"m.jsonl": lines("a", audio="concat:good.wav|good.wav")}),
    payload("an XML that reads a file", "data", "prepare RECIPES/folder corpus out annotation=eaf",
            {"corpus/a.wav": wav(), "corpus/a.eaf": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:../outside/secret">]><a>&x;</a>'}),
    payload("a reference to a file by address", "download", "", call=lambda folder: fetch(folder)),
]  # fmt: skip


def fetch(folder: Path) -> None:
    """As a recipe downloads."""
    from asr.data.fetch import fetch as real

    real("file:///etc/passwd", folder / "x")


# --- sizes -------------------------------------------------------------------------------------------------------------


def zeros(path: Path, begin: bytes = b"", byte: bytes = b"\0") -> None:
    """128 MB of one byte in 130 kB, without a line end."""
    with gzip.open(path, "wb", 1) as stream:
        stream.write(begin)
        for _ in range(128):
            stream.write(byte * (1 << 20))


XML_BOMB = (
    '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><ANNOTATION_DOCUMENT><TIME_ORDER>&i;</TIME_ORDER></ANNOTATION_DOCUMENT>"
)
GRID = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n1\n<exists>\n999999999\n"IntervalTier"\n"a"\n0\n1\n999999999\n'
SIZES = [
    *(payload(f"a hidden size of 20,000 by {backend}", "model", f"{RUN} --backend {backend}",
              config(lambda v: v["model"].update(hidden_size=20_000))) for backend in ("torch", "onnx", "onnx-int8")),
    payload("channels of 10^8", "model", RUN, config(lambda v: v["model"]["subsampling"].update(channels=10**8))),
    payload("10^7 bands of mel", "model", RUN, config(lambda v: v["features"].update(n_mels=10**7))),
    payload("a window of 10^6 seconds", "model", f"{RUN} --backend torch", config(lambda v: v["features"].update(window_s=1e6))),
    payload("weights whose header has 2^60 bytes", "model", RUN,
            weights(lambda path: path.write_bytes((1 << 60).to_bytes(8, "little") + b"{}"))),
    payload("weights of 40 GB in a header", "model", f"{RUN} --backend onnx",
            header(b'{"model.head.bias":{"dtype":"F32","shape":[9999999999],"data_offsets":[0,39999999996]}}')),
    payload("a zipped language model of zeros", "model-damaged", "lm info a.arpa.gz", {"a.arpa.gz": zeros}),
    payload("a zipped language model of one long line", "model-damaged", "lm info a.arpa.gz",
            {"a.arpa.gz": lambda path: zeros(path, ARPA.encode().partition(b"-1.0")[0], b"x")}),
    payload("a zipped text of zeros", "data", "lm build t.txt.gz --out x.bin", {"t.txt.gz": zeros}),
    payload("a language model of 10^15 n-grams", "model-damaged", "lm info a.arpa",
            {"a.arpa": ARPA.replace("ngram 1=5", "ngram 1=999999999999999")}),
    payload("an XML that grows", "data", "prepare RECIPES/folder corpus out annotation=eaf",
            {"corpus/a.wav": wav(), "corpus/a.eaf": XML_BOMB}),
    payload("an XML that grows, in UTF-16", "data", "prepare RECIPES/folder corpus out annotation=eaf",
            {"corpus/a.wav": wav(), "corpus/a.eaf": XML_BOMB.encode("utf-16")}),
    payload("a TextGrid of 10^9 intervals", "data", "prepare RECIPES/folder corpus out annotation=textgrid",
            {"corpus/a.wav": wav(), "corpus/a.TextGrid": GRID}),
    payload("a WAV that declares 3 GB", "", f"{HEAR} a.wav", {"a.wav": wav(data_size=0xB0000000)}),
    payload("a manifest of 100,000 brackets", "data", "evaluate model m.jsonl --out out", {"m.jsonl": "[" * 100_000}),
    payload("results of 100,000 objects in each other", "data", "report a", {"a/results.jsonl": '{"a":' * 100_000}),
    payload("a seglst of 100,000 brackets", "data", "score r r --format seglst", {"r": "[" * 100_000}),
    payload("an id of a million digits", "data", "evaluate model m.jsonl --out out", {"m.jsonl": '{"id": ' + "9" * 10**6 + "}"}),
    payload("20,000 open braces of alternatives", "data", "score r h --format trn", {"r": "{ a / " * 20_000 + "(u)\n", "h": "a (u)\n"}),
    payload("an stm with 10^5 open angles", "data", "score r h --format stm", {"r": "r 1 s 0 1 " + "<" * 10**5, "h": "x"}),
    payload("a NumPy archive that grows", "audio-format", f"{HEAR} a.npz",
            {"a.npz": lambda path: np.savez_compressed(path, a=np.zeros(1 << 22))}),
]  # fmt: skip

# --- text that would pass for something else ---------------------------------------------------------------------------

BAD_ROWS = json.dumps({"id": ESCAPES, "audio": ESCAPES, "text": 5, "speaker": ESCAPES}) + "\n"
LOUD = ("\x1b", "\x07", "\u202e", "\nasr: all is well", "\rasr")
TERMINAL = [
    payload("escapes in a recording's name", "audio-format", f"{HEAR} in", {f"in/a{ESCAPES}.wav": b"text" * 99}, never=LOUD),
    payload("escapes in a recording that is heard", "", f"{HEAR} in", {f"in/a{ESCAPES}.wav": wav(), "in/b.wav": wav()}, never=LOUD),
    payload("escapes in a manifest", "data", "evaluate model m.jsonl --out out", {"m.jsonl": BAD_ROWS}, never=LOUD),
    payload("escapes in a manifest that is checked", "", "check m.jsonl", {"m.jsonl": BAD_ROWS}, never=LOUD, code=1),
    payload("escapes in the ids of one side", "scoring", "score r h --format jsonl",
            {"r": json.dumps({"id": ESCAPES, "text": "a"}), "h": '{"id": "u", "text": "a"}\n{"id": "v", "text": "a"}'}, never=LOUD),
    payload("escapes in texts that are scored", "", "score r r --format jsonl", {"r": lines(ESCAPES, "b")}, never=LOUD),
    payload("escapes in a letter of a model", "model", RUN, tokens(name="characters", characters=[ESCAPES]), never=LOUD),
    payload("escapes in the name of an encoder", "model", RUN, config(lambda v: v["model"].update(name=ESCAPES)), never=LOUD),
    payload("escapes in a key of config.json", "model", f"{RUN} --backend torch", config(lambda v: v["model"].update({ESCAPES: 1})), never=LOUD),
    payload("escapes in a word of a language model", "model-damaged", "lm info a.arpa",
            {"a.arpa": ARPA.replace("a b", "a \x1b[2Jz")}, never=LOUD),
    payload("escapes in a table", "data", "prepare RECIPES/folder corpus out",
            {"corpus/t.csv": "audio,text\n\x1b[2Jgone.wav,x\n"}, never=LOUD),
    payload("escapes in a verb", "usage", "'\x1b[2J'", never=LOUD),
    payload("escapes in an override", "config", "train t.yaml run_dir=x 'model.\x1b[2J=3'",
            {"t.yaml": "defaults: [base, _self_]\n"}, never=LOUD),
]  # fmt: skip


def with_results(text: str, **more: Any) -> Mapping[str, Content]:
    """A folder of results in which every text is ``text``."""
    counts = {"hits": 0, "substitutions": 1, "deletions": 0, "insertions": 0}
    texts = dict.fromkeys(("reference", "hypothesis", "reference_normalized", "hypothesis_normalized", "speaker"), text)
    counted = dict.fromkeys(("word_errors", "character_errors", "raw_word_errors", "raw_character_errors"), counts)
    row = {"id": text, "normalizer": "none v1", **texts, **counted, **more}
    return {"a/results.jsonl": json.dumps(row) + "\n", "b/results.jsonl": json.dumps(row) + "\n"}


HTML = ("<script>alert", "<img src=x")
TAGGED = lines(SCRIPT, "b", speaker=SCRIPT)
PAGES = [
    payload("script in results, as a page", "", "report a --html out.html", with_results(SCRIPT), never=HTML),
    payload("script in a title of a page", "", f"report a --html out.html --title '{SCRIPT}'", with_results("a"), never=HTML),
    payload("script in a name of a page", "", f"report a --html out.html --name '{SCRIPT}'", with_results("a"), never=HTML),
    payload("script in results, as Markdown", "", "report a --markdown out.md", with_results(SCRIPT), never=HTML),
    payload("script in a comparison", "", "compare a b --out out", with_results(SCRIPT), never=HTML),
    payload("script in texts that are scored", "", "score r r --format jsonl --out out", {"r": TAGGED}, never=("<script>alert(1)</script> ",)),
    payload("script in the title of an inspection", "", f"inspect model good.wav --html out.html --title '{SCRIPT}'", never=HTML),
    payload("script in a page's own data", "", "report a --html out.html", with_results("</script><script>alert(2)</script>"), never=("<script>alert",)),
    *(payload(f"a formula in exported {kind}", "", f"score r r --format jsonl --normalizer none --export out --export-format {kind}",
              {"r": lines(*FORMULAS)}, never=tuple(f"{mark}{one}" for one in ("=HYPER", "@SUM") for mark in (",", "\t")))
      for kind in ("csv",)),
    payload("a formula in the table of a report", "", "report a --csv out.csv", with_results("=HYPERLINK(0)"), never=(",=HYPER", "\n=HYPER")),
]  # fmt: skip

PAYLOADS = [*CODE, *PATHS, *DECODERS, *SIZES, *TERMINAL, *PAGES]
