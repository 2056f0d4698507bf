"""Whatever stands in a file, its reader returns or says what is wrong: no other exception, and no endless work.

Files of every format are changed in a few places. A handful of examples here; `make fuzz` goes on for minutes, with
other examples each time, and with atheris where that is installed (guided_fuzz.py). What it finds gets a row in the
tables of this folder.
"""

import contextlib
import functools
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asr.audio import probe
from asr.data.annotation.read import READERS
from asr.data.manifest import read_manifest
from asr.data.readers import read_folder
from asr.errors import AsrError
from asr.lm.files import read_lm
from asr.pretrained import describe_pretrained
from asr.scoring.read import read_pair
from asr.scoring.results import read_results
from asr.shipped import MODEL_CONFIG as CONFIG
from asr.stored import WEIGHTS, read_stored
from tests.faults.audio import NOISE, sound
from tests.faults.models import ARPA
from tests.faults.texts import RESULT
from tests.faults.torture import SIZE
from tests.random_model import save_random_model

SECONDS = float(os.environ.get("FUZZ_S") or 60 * SIZE)  # for each target
EXAMPLES = 1000 if SECONDS else 12
LONGEST_S = 5.0
IN_MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None  # where files are written many times faster
Read = Callable[[Path], object]


def annotation(kind: str) -> Read:
    return lambda path: READERS[kind](path.read_bytes())


def texts(kind: str) -> Read:
    return lambda path: read_pair(path, path, format_name=kind)


def table(path: Path) -> None:
    path.rename(path.with_suffix(".csv"))
    (path.parent / "a.wav").write_bytes(b"")
    read_folder(path.with_suffix(".csv"))


def config(path: Path) -> None:
    path.rename(path.with_name(CONFIG))
    describe_pretrained(path.parent)


def weights(path: Path) -> None:
    path.rename(path.with_name(WEIGHTS))
    path.with_name(CONFIG).write_bytes(model_config())
    read_stored(path.parent).weights()


@functools.cache
def model_config() -> bytes:
    """config.json of a small model."""
    with tempfile.TemporaryDirectory() as folder:
        return (save_random_model(Path(folder) / "model") / CONFIG).read_bytes()


EAF = """<?xml version="1.0" encoding="UTF-8"?><ANNOTATION_DOCUMENT><HEADER TIME_UNITS="milliseconds"/><TIME_ORDER>
<TIME_SLOT TIME_SLOT_ID="t1" TIME_VALUE="0"/><TIME_SLOT TIME_SLOT_ID="t2" TIME_VALUE="500"/></TIME_ORDER>
<TIER TIER_ID="a" LINGUISTIC_TYPE_REF="x"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="t1"
TIME_SLOT_REF2="t2"><ANNOTATION_VALUE>one</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="x" TIME_ALIGNABLE="true"/></ANNOTATION_DOCUMENT>"""
GRID = """File type = "ooTextFile"
Object class = "TextGrid"

0
1
<exists>
1
"IntervalTier"
"a"
0
1
2
0
0.5
"one"
0.5
1
"two"
"""
ROW = json.dumps({"id": "u1", "audio": "a.wav", "duration_s": 1.5, "start_s": 0.5, "text": "one", "speaker": "ann"})
TARGETS: dict[str, tuple[Read, bytes | str]] = {
    "manifest": (read_manifest, f"{ROW}\n{ROW.replace('u1', 'u2')}\n"),
    "table": (table, 'audio,text,start,end\na.wav,"one, two",0,1\n'),
    "results": (read_results, json.dumps(RESULT) + "\n"),
    "arpa": (read_lm, ARPA),
    "config": (config, b""),
    "weights": (weights, b""),
    "eaf": (annotation("eaf"), EAF),
    "textgrid": (annotation("textgrid"), GRID),
    "srt": (annotation("srt"), "1\n00:00:01,000 --> 00:00:02,500\n<i>one</i> {\\an8}two\n\n"),
    "vtt": (annotation("vtt"), "WEBVTT\n\n00:01.000 --> 00:02.500\n<v Ann>one &amp; two</v>\n"),
    "labels": (annotation("labels"), "0.5\t1.25\tgood day\n\\\t100.0\t2000.0\n2,5\t3,0\tnight\n"),
    "cha": (annotation("cha"), "@Begin\n@Media:\ta, audio\n*CHI:\t<I want> [//] go (be) . \x15100_2500\x15\n@End\n"),
    "stm of a corpus": (annotation("stm"), "talk 1 ann 0.00 2.50 <o,f0> good day\n"),
    "stm": (texts("stm"), "r 1 s 0.0 1.0 <o> { a / b c / @ } x (uh)\n"),
    "ctm": (texts("ctm"), "r 1 * * <ALT_BEGIN>\nr 1 0.0 0.1 x\nr 1 * * <ALT>\nr 1 0 1 y 0.5\nr 1 * * <ALT_END>\n"),
    "trn": (texts("trn"), "one { two / too } (ann-1)\n"),
    "csv": (texts("csv"), 'id,text,confidence\na,"one, two",0.5\n'),
    "jsonl": (texts("jsonl"), f"{ROW}\n"),
    "seglst": (texts("seglst"),
               '[{"session_id": "a", "speaker": "x", "start_time": 0, "end_time": 1.5, "words": "a b"}]'),
    "whisper": (texts("whisper"), '{"text": "a b", "segments": [{"text": "a b", "start": 0, "end": 1, "words": []}]}'),
    **dict.fromkeys(("wav", "flac", "ogg", "mp3"), (probe, b"")),
}  # fmt: skip
PIECES = st.one_of(
    st.binary(max_size=4),
    st.sampled_from(
        [
            b"\0",
            b"\xff",
            b"\n",
            b'"',
            b"{",
            b"[",
            b"<",
            b"&",
            b"-1",
            b"nan",
            b"1e999",
            b"9" * 400,
            b"9" * 5_000,
            b"\xed\xa0\x80",
        ]
    ),
)
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 8), PIECES), max_size=4)


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder for a file that is written many times."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A good file for each target."""
    return make_seeds(tmp_path_factory.mktemp("seeds"))


def make_seeds(folder: Path) -> dict[str, bytes]:
    """The same, of files in ``folder``."""
    made = {name: text.encode() if isinstance(text, str) else text for name, (_, text) in TARGETS.items()}
    made["config"] = model_config()
    parts = {"features.mean": 16, "features.std": 16, "model.head.bias": 10}
    made["weights"] = safetensors.numpy.save({name: np.ones(size, np.float32) for name, size in parts.items()})
    return made | {kind: sound(folder / f"a.{kind}", NOISE[:400]) for kind in ("wav", "flac", "ogg", "mp3")}


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("target", TARGETS)
def test_a_changed_file_is_read_or_refused(
    target: str, seeds: dict[str, bytes], memory: Path, record_property: Callable[[str, object], None]
) -> None:
    read, (ends_s, place), runs = TARGETS[target][0], (time.monotonic() + SECONDS, memory / "file"), itertools.count()

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=not SECONDS,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(EDITS)
    def changed(edits: list[tuple[float, int, bytes]]) -> None:
        next(runs)
        content = seeds[target]
        for where, removed, piece in edits:
            at = int(where * len(content))
            content = content[:at] + piece + content[at + removed :]
        place.write_bytes(content)
        began_s = time.process_time()
        with contextlib.suppress(AsrError):
            read(place)
        assert time.process_time() - began_s < LONGEST_S

    changed()
    while time.monotonic() < ends_s:
        changed()
    record_property("count", next(runs))
