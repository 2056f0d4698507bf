"""What very low levels cost: 16-bit copies of recordings at falling peak levels, beside float copies of the same level.

In: a model directory and a manifest with transcripts. Out: at each level the WER of both kinds of copies, the share of
words that changed against the recordings as they are, and the ratio of sound to rounding noise. The float copies show
what the level itself changes, the 16-bit ones what the file format adds: rounding to whole steps of 1/32768.

    OMP_NUM_THREADS=1 python benchmarks/quiet_files.py english data/english/test-an4.jsonl
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import asr  # noqa: E402
from asr.audio import load_audio  # noqa: E402
from asr.data.manifest import read_manifest  # noqa: E402

Waveform = NDArray[np.float32]
PEAKS_DBFS = (-20, -30, -40, -46, -52, -60)
FULL_SCALE = 32768


def at_peak(waveform: Waveform, peak_dbfs: float) -> Waveform:
    """The same sound with its largest sample at this level."""
    quiet: Waveform = (waveform / np.abs(waveform).max() * 10 ** (peak_dbfs / 20)).astype(np.float32)
    return quiet


def rounded(waveform: Waveform) -> Waveform:
    """As a 16-bit file holds it."""
    return (np.round(waveform * FULL_SCALE) / FULL_SCALE).astype(np.float32)


def noise_db(waveforms: list[Waveform], peak_dbfs: float) -> float:
    """The median ratio of sound to rounding noise."""
    quiet = [at_peak(one, peak_dbfs) for one in waveforms]
    ratios = [np.square(one).mean() / np.square(rounded(one) - one).mean() for one in quiet]
    return float(10 * np.log10(np.median(ratios)))


def main() -> int:
    """Measure and say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL", help="a model directory, or english")
    parser.add_argument("manifest", type=Path, help="recordings with transcripts")
    parser.add_argument("--count", type=int, default=30, help="its first so many (default: 30)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    recognizer = asr.load_model(options.model, "cpu", words=False, decoding={"name": "greedy"})
    utterances = read_manifest(options.manifest)[: options.count]
    waveforms = [
        load_audio(one.audio, sample_rate=recognizer.sample_rate, start_s=one.start_s, duration_s=one.duration_s)
        for one in utterances
    ]
    references = [one.text for one in utterances]

    def heard(change: Callable[[Waveform], Waveform]) -> list[str]:
        return [one.text for one in recognizer.transcribe_waveforms([change(waveform) for waveform in waveforms])]

    plain = heard(lambda waveform: waveform)
    print(f"as recorded: WER {asr.wer(references, plain):.1%} of {len(utterances)} recordings")
    for peak in PEAKS_DBFS:
        kinds = {
            "float": heard(lambda waveform, peak=peak: at_peak(waveform, peak)),  # type: ignore[misc]
            "16-bit": heard(lambda waveform, peak=peak: rounded(at_peak(waveform, peak))),  # type: ignore[misc]
        }
        shown = "; ".join(
            f"{kind} WER {asr.wer(references, texts):.1%}, changed {asr.wer(plain, texts):.1%}"
            for kind, texts in kinds.items()
        )
        print(f"peaks at {peak} dBFS: {shown}; rounding noise {noise_db(waveforms, peak):.0f} dB down", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
