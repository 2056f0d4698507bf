"""The speech gate: how many sounds that are no speech get words, and how much speech it eats.

In: model directories, and the corpora for the second half. Out: of 200 clips (seeds that the gate was not fitted on;
six of the kinds, and the rooms' recordings, were never used for it) how many come out empty, with the gate and without;
of recordings that it was not fitted on, how many it changes, clean, quiet, in noise and through a telephone band.

Without models it reports on the sound's evidence alone, which is quick and bounds what any model gives; one sure
of nothing eats the most speech, one that is sure of everything lets the most sounds through.

    OMP_NUM_THREADS=1 python benchmarks/non_speech.py
    OMP_NUM_THREADS=1 python benchmarks/non_speech.py runs/an4/model runs/fsdd/model --out non_speech.json
"""

import argparse
import glob
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.audio import load_audio  # noqa: E402
from asr.errors import AsrError  # noqa: E402
from asr.files import write_json  # noqa: E402
from asr.recognition import Recognizer  # noqa: E402
from asr.recognition.speech_gate import (  # noqa: E402
    MODEL_LIFT,
    THRESHOLD,
    SignalTracker,
    mute_frames,
)
from benchmarks.recordings import PARTS, at_level, recordings, rooms, telephone, with_noise  # noqa: E402
from benchmarks.sounds import TUNED, UNSEEN, looped, make_sound  # noqa: E402

Waveform = NDArray[np.float32]
FIRST_SEED = 1_000_000
CLIPS = 200


def clips(rate: int, seed: int, seconds: float | None = None) -> list[tuple[str, Waveform]]:
    """200 sounds: every kind in turn, then 15 rooms where LibriSpeech is at hand; all cut to ``seconds``, if given."""
    kinds = [*TUNED, *UNSEEN]
    tones = [looped(tone, 5 * rate, rate // 20) for tone in rooms(rate, 15, reported=True, seed=seed)]
    count = CLIPS - len(tones)
    made = [
        (kinds[index % len(kinds)], make_sound(kinds[index % len(kinds)], seed + index, rate, seconds))
        for index in range(count)
    ]
    stop = None if seconds is None else round(seconds * rate)
    return made + [("room", tone[:stop]) for tone in tones]


def words_on(recognizer: Recognizer, sounds: list[tuple[str, Waveform]]) -> dict[str, Any]:
    """How many of the sounds come out empty, and what the others got."""
    found = {}
    for gate in (True, False):
        recognizer.speech_gate = gate
        texts = [recognizer.decode(one).text for one in _whole(recognizer.emissions([sound for _, sound in sounds]))]
        found["with" if gate else "without"] = [
            (kind, text) for (kind, _), text in zip(sounds, texts, strict=True) if text
        ]
    return {
        "empty": 1 - len(found["with"]) / len(sounds),
        "empty_without_gate": 1 - len(found["without"]) / len(sounds),
        "words": found["with"],
    }


def changes(rate: int) -> dict[str, Callable[[Waveform], Waveform]]:
    """What is done to a recording before it is heard."""
    random = np.random.default_rng(FIRST_SEED)
    return {
        "clean": lambda waveform: waveform,
        "-40 dB": lambda waveform: at_level(waveform, -40),
        "telephone": lambda waveform: telephone(waveform, rate),
        "10 dB SNR": lambda waveform: with_noise(waveform, 10, random),
    }


def eaten(recognizer: Recognizer, files: list[str], change: Callable[[Waveform], Waveform]) -> dict[str, Any]:
    """Of the recordings, how many the gate leaves as they are, changes or silences; ``text_lost``: tokens went."""
    waveforms = [change(load_audio(path, sample_rate=recognizer.sample_rate)) for path in files]
    recognizer.speech_gate = False
    counts = {"recordings": len(files), "touched": 0, "text_lost": 0, "silenced": 0}
    names = []
    for path, waveform, emissions in zip(files, waveforms, _whole(recognizer.emissions(waveforms)), strict=True):
        odds = log_odds(waveform, recognizer.sample_rate)
        mute = mute_frames(emissions.log_probs, odds, emissions.frame_s, emissions.edge_s)
        lost = bool((emissions.log_probs[mute].argmax(1) != 0).any())
        counts["touched"] += bool(mute.any())
        counts["text_lost"] += lost
        counts["silenced"] += bool(mute.all())
        names += [Path(path).name] if mute.all() or lost else []
    return {**counts, "untouched": 1 - counts["touched"] / max(1, len(files)), "names": names}


def bounds(rate: int, options: argparse.Namespace) -> dict[str, Any]:
    """By the sound alone: sounds that pass for an unsure and a sure model, recordings eaten likewise."""
    found: dict[str, Any] = {}
    groups = {"sounds": clips(rate, options.seed, options.seconds)}
    for corpus, paths in report_files(options).items():
        waveforms = [(Path(path).name, load_audio(path, sample_rate=rate)) for path in paths]
        for name, change in changes(rate).items() if paths else ():
            groups[f"{corpus} {name}"] = [(path, change(waveform)) for path, waveform in waveforms]
    for group, named in groups.items():
        best = np.array([log_odds(waveform, rate).max() for _, waveform in named])
        unsure, sure = best > THRESHOLD, best > THRESHOLD - MODEL_LIFT
        wrong = ~unsure if group != "sounds" else sure
        found[group] = {
            "count": len(named),
            "heard_unsure": int(unsure.sum()),
            "heard_sure": int(sure.sum()),
            "wrong": [f"{name} {odds:.1f}" for (name, _), odds, bad in zip(named, best, wrong, strict=True) if bad],
        }
        print(f"{rate} Hz, {group}: {found[group]}", flush=True)
    return found


def log_odds(waveform: Waveform, rate: int) -> NDArray[np.float64]:
    """Of speech, in each window."""
    tracker = SignalTracker(rate)
    tracker.push(waveform)
    return tracker.log_odds()


def report_files(options: argparse.Namespace) -> dict[str, list[str]]:
    """The recordings that are reported on, by corpus."""
    files = {name: recordings(name, reported=True, count=options.count) for name in PARTS}
    return files | {"digits": sorted(glob.glob(options.digits))[: options.count] if options.digits else []}


def speed() -> float:
    """Times real time of listening, at 16 kHz on one core."""
    sound = make_sound("pink_noise", 1, 16000, 120)
    seconds = []
    for _ in range(5):
        start_s = time.perf_counter()
        tracker = SignalTracker(16000)
        for start in range(0, len(sound), 36 * 16000):
            tracker.push(sound[start : start + 36 * 16000])
        tracker.log_odds()
        seconds.append(time.perf_counter() - start_s)
    return 120 / float(np.median(seconds))


def report(options: argparse.Namespace) -> dict[str, Any]:
    """Everything, printed as it is found."""
    found: dict[str, Any] = {"times_real_time": speed(), "sounds": {}, "speech": {}}
    print(f"listening: {found['times_real_time']:.0f} times real time")
    if not options.models:
        found["bounds"] = {rate: bounds(rate, options) for rate in options.rates}
    recognizers = {model: Recognizer.from_pretrained(model, device="cpu") for model in options.models}
    for model, recognizer in recognizers.items():
        one = words_on(recognizer, clips(recognizer.sample_rate, options.seed, options.seconds))
        found["sounds"][model] = one
        print(f"{model}: {one['empty']:.1%} of {CLIPS} sounds empty ({one['empty_without_gate']:.1%} without the gate)")
        print("  " + "; ".join(f"{kind}: {text[:40]!r}" for kind, text in one["words"]))
    files = report_files(options)
    for model, recognizer in recognizers.items():
        for corpus, paths in files.items():
            for name, change in changes(recognizer.sample_rate).items() if paths else ():
                one = eaten(recognizer, paths, change)
                found["speech"][f"{model} {corpus} {name}"] = one
                print(f"{model} {corpus} {name}: {one}", flush=True)
    return found


def _whole(emissions: Any) -> Any:
    for one in emissions:
        if isinstance(one, AsrError):
            raise one
        yield one


def main() -> int:
    """Measure and say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="model directories")
    parser.add_argument("--digits", default="", metavar="PATTERN", help="test recordings of recipes/digits")
    parser.add_argument("--rates", type=int, nargs="*", default=(8000, 16000), help="without models (default: both)")
    parser.add_argument("--count", type=int, default=300, help="recordings of each corpus at most (default: 300)")
    parser.add_argument("--seconds", type=float, help="cut the sounds to this length (default: 1 to 8 s, as drawn)")
    parser.add_argument("--seed", type=int, default=FIRST_SEED, help="of the sounds (default: 1000000)")
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = report(options)
    if options.out:
        write_json(options.out, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
