"""Real recordings for benchmarks, by corpus and part, and what is done to them: noise, low level, telephone band.

In: the folder of corpora ($ASR_CORPORA, else ../shared/corpora). Out: lists of paths, and changed waveforms.
"""

import glob
import os
import random
import sys
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Waveform = NDArray[np.float32]
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.audio import load_audio  # noqa: E402

CORPORA = Path(os.environ.get("ASR_CORPORA") or ROOT.parent / "shared" / "corpora")
LIBRISPEECH_DEV_SPEAKERS = ("2277", "251", "2902", "1993")
# corpus -> (patterns of the training part, patterns of the part that is reported on)
PARTS: dict[str, tuple[list[str], list[str]]] = {
    "librispeech": (
        ["LibriSpeech/train-clean-5/**/*.opus"],
        [f"LibriSpeech/dev-clean/{speaker}/**/*.mp3" for speaker in LIBRISPEECH_DEV_SPEAKERS],
    ),
    "an4": (["an4/wav/an4_clstk/**/*.opus"], ["an4/wav/an4test_clstk/**/*.opus"]),
    "fsdd": (
        ["free-spoken-digit-dataset/recordings/*_[1-4][0-9].flac"],
        ["free-spoken-digit-dataset/recordings/*_[0-4].flac"],
    ),
    "speechocean762": (["speechocean762/WAVE/SPEAKER[0-4]*/*.opus"], ["speechocean762/WAVE/SPEAKER[5-9]*/*.opus"]),
}


def recordings(corpus: str, *, reported: bool, count: int | None = None, seed: int = 0) -> list[str]:
    """Paths of a corpus's part in a fixed random order, ``count`` of them at most; none where it is absent."""
    patterns = PARTS[corpus][1 if reported else 0]
    paths = sorted(path for one in patterns for path in glob.glob(str(CORPORA / one), recursive=True))
    random.Random(seed).shuffle(paths)
    return paths[:count]


def with_noise(waveform: Waveform, snr_db: float, random: np.random.Generator) -> Waveform:
    """White noise added at a signal-to-noise ratio over the whole recording."""
    level = float(waveform.std()) * 10 ** (-snr_db / 20)
    return (waveform + level * random.standard_normal(len(waveform))).astype(np.float32)


def at_level(waveform: Waveform, level_db: float) -> Waveform:
    """Its root mean square moved to ``level_db`` of full scale, then rounded to 16 bits as a file would be."""
    scaled = waveform / max(1e-9, float(waveform.std())) * 10 ** (level_db / 20)
    return (np.round(scaled * 32768) / 32768).astype(np.float32)


def telephone(waveform: Waveform, rate: int) -> Waveform:
    """300 to 3400 Hz only."""
    spectrum = np.fft.rfft(waveform)
    hertz = np.fft.rfftfreq(len(waveform), 1 / rate)
    spectrum[(hertz < 300) | (hertz > 3400)] = 0
    return np.fft.irfft(spectrum, len(waveform)).astype(np.float32)


def room_tone(waveform: Waveform, rate: int, length_s: float = 0.3, under_db: float = 30.0) -> Waveform | None:
    """The quietest stretch: the room, with nobody speaking. None where it is not ``under_db`` below the recording."""
    length = int(length_s * rate)
    energy = np.convolve(waveform.astype(np.float64) ** 2, np.ones(length), "valid")
    if not len(energy) or energy.min() / length > float(np.mean(waveform**2)) * 10 ** (-under_db / 10):
        return None
    start = int(energy.argmin())
    return waveform[start : start + length]


def rooms(rate: int, count: int, *, reported: bool, seed: int) -> list[Waveform]:
    """Room tones of LibriSpeech's recordings; none where it is absent."""
    waveforms = (load_audio(path, sample_rate=rate) for path in recordings("librispeech", reported=reported, seed=seed))
    tones = (room_tone(waveform, rate) for waveform in waveforms)
    return list(islice((tone for tone in tones if tone is not None), count))
