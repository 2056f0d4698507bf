"""Fit the speech gate's logistic regression, and write its weights into asr/recognition/speech_gate.py.

In: the training parts of the corpora (clean, in noise, quiet, telephone band), and sounds that are no speech, made from
seeds 1000 on. Out: 30 weights and a bias. A recording is speech where it is most like it: of each, the best quarter of
its windows counts, chosen anew in four rounds; of a sound that is none, every window does. benchmarks/non_speech.py
reports on is other recordings, other seeds, and kinds of sound that are not used here.

    OMP_NUM_THREADS=1 python benchmarks/fit_speech_gate.py
"""

import argparse
import glob
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.audio import load_audio  # noqa: E402
from asr.recognition import speech_gate as speech_signal  # noqa: E402
from benchmarks.recordings import at_level, recordings, rooms, telephone, with_noise  # noqa: E402
from benchmarks.sounds import TUNED, looped, make_sound  # noqa: E402

Array = NDArray[np.float64]
GATE = ROOT / "asr" / "recognition" / "speech_gate.py"
RATES = (16000, 8000)
FIRST_SEED = 1000


def speech(options: argparse.Namespace) -> Iterator[Array]:
    """Windows of each recording, as it is and changed."""
    random = np.random.default_rng(1)
    sizes = {"librispeech": 60, "an4": 150, "fsdd": 300, "speechocean762": 100}
    paths = {name: recordings(name, reported=False, count=count) for name, count in sizes.items()}
    paths["digits"] = sorted(glob.glob(options.digits))[:200] if options.digits else []
    for rate in RATES:
        for name, files in paths.items():
            for path in files if rate == 16000 else files[::2]:
                waveform = load_audio(path, sample_rate=rate)
                yield windows(waveform, rate)
                if name in ("librispeech", "an4", "fsdd"):
                    yield windows(with_noise(waveform, 10, random), rate)
                    yield windows(at_level(waveform, -40), rate)
                    yield windows(telephone(waveform, rate), rate)


def no_speech(options: argparse.Namespace) -> Iterator[Array]:
    """Windows of each made sound, and of rooms."""
    for rate in RATES:
        for kind in TUNED:
            for seed in range(options.clips):
                yield windows(make_sound(kind, FIRST_SEED + seed, rate), rate)
        for quiet in rooms(rate, options.clips, reported=False, seed=5):
            yield windows(looped(quiet, 4 * rate, rate // 20), rate)


def windows(waveform: NDArray[np.float32], rate: int) -> Array:
    """What the regression sees: ``(windows, 30)``."""
    spectrum = speech_signal._FrameSpectrum(rate)
    half = np.zeros(spectrum.length // 2, np.float32)
    frames = spectrum.measure(np.concatenate((half, waveform, half)))
    length = min(speech_signal.WINDOW, len(frames))
    return speech_signal.window_measures(speech_signal.frame_measures(frames), length, speech_signal.WINDOW_HOP)


def fit(speech_clips: list[Array], other_clips: list[Array]) -> tuple[Array, float]:
    """Weights and bias for the measures as they are."""
    every = np.concatenate([*speech_clips, *other_clips])
    mean, scale = every.mean(0), every.std(0) + 1e-3
    others = np.concatenate(other_clips)
    other_weight = np.concatenate([np.full(len(clip), 2 / len(clip) + 0.02) for clip in other_clips])
    order = [np.argsort(-clip[:, 0])[:1] for clip in speech_clips]
    for _ in range(4):
        chosen = np.concatenate([clip[best] for clip, best in zip(speech_clips, order, strict=True)])
        chosen_weight = np.concatenate([np.full(len(best), 1 / len(best)) for best in order])
        inputs = (np.concatenate((chosen, others)) - mean) / scale
        target = np.concatenate((np.ones(len(chosen)), np.zeros(len(others))))
        solution = logistic_regression(inputs, target, np.concatenate((chosen_weight, other_weight)))
        weights, bias = solution[:-1] / scale, float(solution[-1] - (solution[:-1] * mean / scale).sum())
        order = [np.argsort(-(clip @ weights))[: max(1, len(clip) // 4)] for clip in speech_clips]
    return weights, bias


def logistic_regression(inputs: Array, target: Array, weight: Array, penalty: float = 2.0) -> Array:
    """Newton's method with an L2 penalty on all but the bias, which comes last."""
    inputs = np.column_stack((inputs, np.ones(len(inputs))))
    solution = np.zeros(inputs.shape[1])
    ridge = np.append(np.full(inputs.shape[1] - 1, penalty), 1e-6)
    for _ in range(50):
        chance = 1 / (1 + np.exp(-np.clip(inputs @ solution, -40, 40)))
        slope = inputs.T @ (weight * (target - chance)) - ridge * solution
        curve = (inputs * (weight * chance * (1 - chance))[:, None]).T @ inputs + np.diag(ridge)
        step = np.linalg.solve(curve, slope)
        solution += step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-6:
            break
    return solution


def written(source: str, weights: Array, bias: float) -> str:
    """``source``, speech_gate.py's, with these weights and this bias in place of its own."""
    rounded = [f"{weight:.4f}" for weight in weights]
    rows = "\n".join("    " + ", ".join(rounded[start : start + 10]) + "," for start in range(0, len(rounded), 10))
    source, blocks = re.subn(r"(?ms)^(WEIGHTS: .*? = \(\n).*?^(\))", rf"\g<1>{rows}\n\2", source)
    source, biases = re.subn(r"(?m)^BIAS = .*$", f"BIAS = {bias:.4f}", source)
    if (blocks, biases) != (1, 1):
        raise SystemExit(f"{GATE}: expected WEIGHTS and BIAS once each, found {blocks} and {biases}")
    return source


def main() -> int:
    """Fit, write, and say how the training data comes out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--digits", default="", metavar="PATTERN", help="training recordings of recipes/digits")
    parser.add_argument("--clips", type=int, default=30, help="sounds of each kind and rate (default: 30)")
    options = parser.parse_args()
    speech_clips, other_clips = list(speech(options)), list(no_speech(options))
    weights, bias = fit(speech_clips, other_clips)
    GATE.write_text(written(GATE.read_text(encoding="utf-8"), weights, bias), encoding="utf-8")
    best = [np.array([(clip @ weights).max() + bias for clip in clips]) for clips in (speech_clips, other_clips)]
    for bar in (-1.0, 0.0, 1.0):
        eaten, passed = (best[0] <= bar).mean(), (best[1] > bar).mean()
        print(f"bar {bar:+.0f}: {eaten:.2%} of speech eaten, {passed:.2%} of others pass")
    return 0


if __name__ == "__main__":
    sys.exit(main())
