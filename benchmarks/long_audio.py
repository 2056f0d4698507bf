"""Long recordings: what the seams between windows cost, and how the memory grows.

In: a model directory, and real recordings (of a corpus here, or any files). Out: for a joined recording of ten
minutes, the share of the whole-file decode's words that the windowed decode has, too (matched by alignment, so a lost,
doubled or changed word counts), at several contexts; and the peak resident memory of a fresh process that transcribes a
short and a long file, numpy's, torch's and the allocators' included.

    OMP_NUM_THREADS=1 python benchmarks/long_audio.py runs/an4/model --corpus an4 --out long_audio.json
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.audio import load_audio  # noqa: E402
from asr.files import write_json  # noqa: E402
from asr.recognition import Recognizer  # noqa: E402
from asr.recognition.windows import CONTEXT_S, WindowSizes  # noqa: E402
from asr.scoring import align_words  # noqa: E402
from benchmarks.recordings import PARTS, recordings  # noqa: E402

CONTEXTS_S = (1.0, 2.0, 4.0, CONTEXT_S)
CHILD = """
import sys
from asr.recognition import Recognizer
recognizer = Recognizer.from_pretrained(sys.argv[1], device="cpu")
hypothesis = recognizer.transcribe(sys.argv[2])
# VmHWM begins anew with this program; ru_maxrss would be the parent's peak, which survives exec
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(peak, len(hypothesis.text.split()), round(hypothesis.duration_s))
"""


def joined(paths: list[str], rate: int, duration_s: float) -> NDArray[np.float32]:
    """The recordings one after another, again from the first where they do not suffice."""
    found, samples = [], 0
    for path in _endless(paths):
        found.append(load_audio(path, sample_rate=rate))
        samples += len(found[-1])
        if samples >= duration_s * rate:
            return np.concatenate(found)[: round(duration_s * rate)]
    raise SystemExit("no recordings: set ASR_CORPORA, or name files with --files")


def seams(recognizer: Recognizer, waveform: NDArray[np.float32]) -> dict[str, Any]:
    """Words of the whole-file decode that each context's windowed decode shares, and frames that differ."""
    plain = recognizer.sizes
    whole, whole_words = decoded(recognizer, waveform, longest_s=2 * len(waveform) / recognizer.sample_rate)
    found: dict[str, Any] = {"words": len(whole_words)}
    for context_s in CONTEXTS_S:
        frames, words = decoded(recognizer, waveform, context_s=context_s)
        wrong = sum(pair.operation != "hit" for pair in align_words(" ".join(whole_words), " ".join(words)))
        found[f"{context_s:g} s"] = {
            "words_equal": 1 - wrong / max(1, len(whole_words)),
            "frames_changed": float((frames.argmax(1) != whole.argmax(1)).mean()),
        }
        print(f"context {context_s:g} s: {found[f'{context_s:g} s']}", flush=True)
    recognizer.sizes = plain
    return found


def decoded(
    recognizer: Recognizer, waveform: NDArray[np.float32], **sizes: float
) -> tuple[NDArray[np.float32], list[str]]:
    """Emissions and words with windows of these sizes."""
    factor = recognizer.sizes.factor
    recognizer.sizes = WindowSizes.of(recognizer.frame_s / factor, factor, **sizes)  # type: ignore[arg-type]
    (emissions,) = recognizer.emissions([waveform], workers=1)
    return emissions.log_probs, recognizer.decode(emissions).text.split()  # type: ignore[arg-type,union-attr]


def memory(model: str, waveform: NDArray[np.float32], rate: int, minutes: tuple[float, float]) -> dict[str, Any]:
    """Peak resident MB of a fresh process for a file of each length."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for length in minutes:
            path = Path(folder) / "long.wav"
            with soundfile.SoundFile(path, "w", rate, 1, "PCM_16") as stream:
                left = round(length * 60 * rate)
                while left > 0:
                    stream.write(waveform[:left])
                    left -= len(waveform)
            command = [sys.executable, "-c", CHILD, model, str(path)]
            said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
            kilobytes, words, heard_s = map(int, said.split())
            found[f"{length:g} min"] = {"peak_mb": kilobytes / 1024, "words": words, "heard_s": heard_s}
            print(f"{length:g} min: {found[f'{length:g} min']}", flush=True)
    short, long = (found[f"{length:g} min"]["peak_mb"] for length in minutes)
    return {**found, "ratio": long / short}


def _endless(paths: list[str]) -> Iterator[str]:
    while paths:
        yield from paths


def main() -> int:
    """Measure and say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL", help="a model directory")
    parser.add_argument("--corpus", choices=PARTS, default="an4", help="whose recordings to join (default: an4)")
    parser.add_argument("--files", nargs="*", help="recordings to join instead")
    parser.add_argument("--only", choices=("seams", "memory"), help="one half alone")
    parser.add_argument("--seam-minutes", type=float, default=10, help="joined length (default: 10)")
    parser.add_argument(
        "--minutes", type=float, nargs=2, default=(5, 60), help="lengths for the memory (default: 5 60)"
    )
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    recognizer = Recognizer.from_pretrained(options.model, device="cpu", speech_gate=False)
    paths = options.files or recordings(options.corpus, reported=True)
    waveform = joined(paths, recognizer.sample_rate, 60 * options.seam_minutes)
    found = {"model": options.model}
    if options.only != "memory":
        found["seams"] = seams(recognizer, waveform)
    if options.only != "seams":
        found["memory"] = memory(options.model, waveform, recognizer.sample_rate, tuple(options.minutes))
        print(f"ratio {found['memory']['ratio']:.3f}")
    if options.out:
        write_json(options.out, found)
    print(json.dumps({"torch": torch.__version__}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
