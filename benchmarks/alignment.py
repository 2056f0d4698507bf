"""How well `asr align` finds the words of a text in long recordings, and what it takes.

In: a model, and the corpora of benchmarks/recordings.py. Out: for recordings joined from utterances of LibriSpeech's
test speakers, how many words are within 100 ms of where each utterance, aligned alone by the same model, has them, and
inside their utterance, whose bounds are known; the same with the text of five utterances taken away, and with 60 words
of another speaker put in, and how much of these passages is found. For digits of FSDD joined with pauses, whose bounds
are known to a sample, the share of words within 100 ms. With --memory, the peak memory of a fresh process for an hour,
and for a minute, the model's own. Required: 98 % of words within 100 ms; an hour in 500 MB beyond the model's own.

    OMP_NUM_THREADS=1 python benchmarks/alignment.py --recordings 3 --memory
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.audio import load_audio  # noqa: E402
from asr.data.manifest import Utterance  # noqa: E402
from asr.data.readers import read_librispeech  # noqa: E402
from asr.decoding import DecodedText  # noqa: E402
from asr.errors import AsrError  # noqa: E402
from asr.files import write_json  # noqa: E402
from asr.recognition import Recognizer  # noqa: E402
from asr.recognition.alignment import AlignedText, align_emissions, for_alignment, spelled_words  # noqa: E402
from asr.recognition.windows import Emissions  # noqa: E402
from asr.terminal import table  # noqa: E402
from asr.text.normalize import get_normalizer  # noqa: E402
from benchmarks.known_words import fsdd_clips, join_clips  # noqa: E402
from benchmarks.recordings import CORPORA, LIBRISPEECH_DEV_SPEAKERS  # noqa: E402

NEAR_S = 0.1
GONE, ADDED = 5, 60  # utterances whose text is taken away; words put in
CHILD = """
import sys
from asr.cli import main
main(["align", *sys.argv[1:4], "--format", "json", "--output-dir", sys.argv[4]])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
Times = NDArray[np.float64]


class Joined:
    """Utterances one after another as one recording, with the bounds of each and the words' times alone."""

    def __init__(self, recognizer: Recognizer, utterances: Sequence[Utterance]) -> None:
        self.utterances, rate = utterances, recognizer.sample_rate
        waveforms = [load_audio(one.audio, sample_rate=rate) for one in utterances]
        self.waveform = np.concatenate(waveforms)
        self.starts_s = np.cumsum([0] + [len(one) for one in waveforms]) / rate
        started = time.perf_counter()
        self.emissions = next(iter(emissions(recognizer, [self.waveform])))
        self.model_s = time.perf_counter() - started
        self.owner = np.array([n for n, one in enumerate(utterances) for _ in one.text.split()])
        normalize = get_normalizer(str(recognizer.facts["normalizer"]))
        times = []
        for utterance, alone, start_s in zip(
            utterances, emissions(recognizer, waveforms), self.starts_s[:-1], strict=True
        ):
            tokens = recognizer.tokenizer.encode(normalize(utterance.text))
            timed = recognizer.timed_words(alone, DecodedText(text=utterance.text, tokens=tuple(tokens), score=0.0))
            times += [(word.start_s + start_s, word.end_s + start_s) for word in timed.words]
        self.times = np.array(times)


def emissions(recognizer: Recognizer, waveforms: Sequence[NDArray[np.float32]]) -> Iterator[Emissions]:
    """Of each waveform, on one core."""
    for one in recognizer.emissions(waveforms, workers=1):
        if isinstance(one, AsrError):
            raise one
        yield one


def align(recognizer: Recognizer, found: Emissions, lines: Sequence[str]) -> AlignedText:
    """The lines in a recording's emissions, as `asr align` does it."""
    normalize = get_normalizer(str(recognizer.facts["normalizer"]))
    return align_emissions(
        found, spelled_words("\n".join(lines), recognizer.tokenizer, normalize), recognizer.tokenizer
    )


def times_of(aligned: AlignedText) -> Times:
    """Start and end of each word of the text, NaN where it was not found."""
    rows = [(word.start_s, word.end_s) for word in aligned.words]
    return np.array([(np.nan, np.nan) if start_s is None else (start_s, end_s) for start_s, end_s in rows], float)


def near(found: Times, true: Times) -> dict[str, str]:
    """The share of words found, and of those with their start, their end and both within 100 ms of ``true``."""
    off_s = np.abs(found - true)
    off_s = off_s[~np.isnan(off_s[:, 0])]
    shares = [f"{one:.1%}" for one in (*(off_s <= NEAR_S).mean(axis=0), (off_s <= NEAR_S).all(axis=1).mean())]
    return {
        "found": f"{len(off_s) / len(found):.2%}",
        "start, end, both within 100 ms": ", ".join(shares),
        "median ms": f"{1000 * np.median(off_s):.0f}",
    }


def speech_rows(recognizer: Recognizer, joined: Joined, other: str) -> Iterator[dict[str, Any]]:
    """The text as it is, with five utterances' text taken away, and with a paragraph of another speaker."""
    lines = [one.text for one in joined.utterances]
    started = time.perf_counter()
    plain = align(recognizer, joined.emissions, lines)
    took_s = time.perf_counter() - started
    found = times_of(plain)
    bounds = np.stack([joined.starts_s[joined.owner], joined.starts_s[joined.owner + 1]], axis=1)
    inside = (found[:, 0] >= bounds[:, 0] - NEAR_S) & (found[:, 1] <= bounds[:, 1] + NEAR_S)
    sure = np.median([line.confidence or 0.0 for line in plain.lines])
    yield {
        "text": "as spoken", "words": len(found), **near(found, joined.times),
        "in their utterance": f"{inside[~np.isnan(found[:, 0])].mean():.2%}",
        "passage": f"{len(plain.passages)} reported; median confidence of lines {sure:.2f}",
        "seconds": f"{joined.model_s:.0f} + {took_s:.1f}",
    }  # fmt: skip
    half = len(lines) // 2
    kept = (joined.owner < half) | (joined.owner >= half + GONE)
    less = align(recognizer, joined.emissions, lines[:half] + lines[half + GONE :])
    start_s, stop_s = joined.times[~kept][0, 0], joined.times[~kept][-1, 1]
    extra = [one for one in less.passages if one.kind == "extra"]
    covered = sum(max(0.0, min(one.end_s, stop_s) - max(one.start_s, start_s)) for one in extra)
    beyond = sum(one.end_s - one.start_s for one in extra) - covered
    yield {
        "text": f"{GONE} utterances less", "words": int(kept.sum()), **near(times_of(less), joined.times[kept]),
        "in their utterance": "", "seconds": "",
        "passage": f"{covered / (stop_s - start_s):.1%} of {stop_s - start_s:.1f} s found, {beyond:.1f} s elsewhere",
    }  # fmt: skip
    at, words = int(np.sum(joined.owner < half)), other.split()[:ADDED]
    more = align(recognizer, joined.emissions, [*lines[:half], " ".join(words), *lines[half:]])
    found = times_of(more)
    added = np.isnan(found[at : at + ADDED, 0])
    rest = np.delete(found, np.s_[at : at + ADDED], axis=0)
    sure = next(line.confidence or 0.0 for line in more.lines if line.line == half + 1)
    yield {
        "text": f"{ADDED} words more", "words": len(rest), **near(rest, joined.times),
        "in their utterance": "", "seconds": "",
        "passage": f"{added.sum()} of {ADDED} reported missing; confidence of their line {sure:.2f}",
    }  # fmt: skip


def digit_row(recognizer: Recognizer, seed: int) -> dict[str, Any]:
    """Digits of FSDD in one recording, bounds known by construction."""
    clips = fsdd_clips(CORPORA / "free-spoken-digit-dataset", recognizer.sample_rate)
    together = {"all": [clip for own in clips.values() for clip in own]}
    rate = recognizer.sample_rate
    pauses: dict[str, Any] = {"silence_s": (0.05, 0.5), "snr_db": (15.0, 45.0)}
    (made,) = join_clips(together, rate, count=1, words=(300, 300), seed=seed, **pauses)
    aligned = align(recognizer, next(iter(emissions(recognizer, [made.waveform]))), [" ".join(made.words)])
    row = near(times_of(aligned), np.array(made.bounds_s))
    return {"text": "FSDD digits", "words": len(made.words), **row, "in their utterance": "", "seconds": "",
            "passage": f"{len(aligned.passages)} reported"}  # fmt: skip


def memory_mb(model: str, joined: Joined, rate: int, minutes: float) -> float:
    """The peak of a fresh process that aligns so many minutes of the recording, repeated, and its text."""
    times = max(1, round(minutes * 60 / (len(joined.waveform) / rate)))
    count = len(joined.utterances) if times > 1 else int(np.searchsorted(joined.starts_s, minutes * 60))
    with tempfile.TemporaryDirectory() as folder:
        samples = np.round(joined.waveform[: round(joined.starts_s[count] * rate)] * 32767).astype(np.int16)
        with soundfile.SoundFile(f"{folder}/talk.wav", "w", rate, 1, subtype="PCM_16") as file:
            for _ in range(times):
                file.write(samples)
        text = "\n".join(one.text for one in joined.utterances[:count])
        Path(folder, "talk.txt").write_text("\n".join([text] * times))
        command = [sys.executable, "-c", CHILD, model, f"{folder}/talk.wav", f"{folder}/talk.txt", f"{folder}/out"]
        ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return int(ended.stdout.split()[-1]) / 1024


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="english", help="a model directory (default: english)")
    parser.add_argument("--recordings", type=int, default=1, help="joined recordings (default: 1)")
    parser.add_argument("--minutes", type=float, default=10.0, help="length of each (default: 10)")
    parser.add_argument("--memory", action="store_true", help="measure the memory of an hour, too")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, metavar="FILE.json")
    options = parser.parse_args()
    recognizer = for_alignment(Recognizer.from_pretrained(options.model, device="cpu", decoding={"name": "greedy"}))
    folders = [one for one in sorted((CORPORA / "LibriSpeech/dev-clean").iterdir()) if one.is_dir()]
    speakers = [one for one in folders if one.name not in LIBRISPEECH_DEV_SPEAKERS]
    waiting = [one for speaker in speakers[: 2 * options.recordings + 1] for one in read_librispeech(speaker)]
    other = " ".join(one.text for one in waiting[-20:])
    rows: list[dict[str, Any]] = []
    for _ in range(options.recordings):
        lengths = np.cumsum([one.duration_s for one in waiting])
        count = int(np.searchsorted(lengths, options.minutes * 60)) + 1
        joined, waiting = Joined(recognizer, waiting[:count]), waiting[count:]
        rows += speech_rows(recognizer, joined, other)
        print(f"{len(rows)} rows done", file=sys.stderr, flush=True)
    rows.append(digit_row(recognizer, options.seed))
    print(table([[str(row[name]) for name in rows[0]] for row in rows], list(rows[0])))
    memory: dict[str, float] = {}
    if options.memory:
        for minutes in (1, 60):
            memory[f"{minutes} min"] = round(memory_mb(options.model, joined, recognizer.sample_rate, minutes), 1)
            print(f"peak memory, {minutes} minutes: {memory[f'{minutes} min']:.0f} MB", flush=True)
    if options.out:
        write_json(options.out, {"seed": options.seed, "rows": rows, "memory_mb": memory})


if __name__ == "__main__":
    main()
