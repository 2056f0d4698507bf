"""Recordings whose word bounds are known by construction: single words, trimmed, joined with silences of known length.

In: clips of one word each, by speaker. Out: ``KnownRecording``s. A clip's true bounds are its first and last sample
that are not below -40 dB of the clip's peak; what lies outside is cut off before joining, so the bounds in the joined
recording are exact to a sample. Noise, where it is asked for, is laid over everything afterwards: the bounds stay.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.audio import load_audio, resample  # noqa: E402
from recipes.digits.prepare import ACCENTS, VOICES, WORDS  # noqa: E402

TRIM_DB = -40.0
SYNTHESIS_RATE = 16000
Clip = tuple[str, NDArray[np.float32]]  # the word and its trimmed sound


@dataclass(frozen=True, slots=True)
class KnownRecording:
    """``waveform`` ``(samples,)`` and, for each of its ``words``, the ``bounds_s`` in seconds."""

    waveform: NDArray[np.float32]
    words: list[str]
    bounds_s: list[tuple[float, float]]


def trim(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """``(samples,)`` from the first to the last sample that is not below -40 dB of the peak."""
    loud = np.flatnonzero(np.abs(waveform) >= np.abs(waveform).max() * 10 ** (TRIM_DB / 20))
    return waveform[loud[0] : loud[-1] + 1]


def fsdd_clips(corpus: Path, rate: int, indices: Sequence[int] = range(5)) -> dict[str, list[Clip]]:
    """The published test clips (indices 0 to 4) by speaker, trimmed, at ``rate``."""
    clips: dict[str, list[Clip]] = {}
    for path in sorted((corpus / "recordings").glob("*.flac")) or sorted((corpus / "recordings").glob("*.wav")):
        digit, speaker, index = path.stem.split("_")
        if int(index) in indices:
            clips.setdefault(speaker, []).append((WORDS[int(digit)], trim(load_audio(path, sample_rate=rate))))
    return clips


def synthetic_clips(folder: Path, rate: int, per_word: int, seed: int, part: str = "test") -> dict[str, list[Clip]]:
    """Each digit ``per_word`` times in each voice of a ``part`` of recipes/digits, trimmed, at ``rate``."""
    generator = np.random.default_rng([seed, 1])
    plans: list[dict[str, Any]] = []
    for voice in VOICES[part].split():
        for number, word in enumerate(WORDS * per_word):
            plans.append({
                "voice": f"{generator.choice(ACCENTS)}+{voice}", "speaker": voice, "text": word, "spoken": word,
                "file": str(folder / f"{voice}-{number:03d}.flac"),
                "words_per_minute": int(generator.integers(120, 220)),
                "pitch": int(generator.integers(30, 70)), "pitch_range": int(generator.integers(20, 80)),
                "word_gap_10ms": 0, "lead_s": 0.0, "trail_s": 0.0, "snr_db": 100.0, "noise_slope": 0.0,
                "noise_seed": int(generator.integers(1 << 30)), "peak_dbfs": -3.0,
            })  # fmt: skip
    script = "".join(json.dumps(plan) + "\n" for plan in plans)
    command = [sys.executable, "-P", str(ROOT / "recipes" / "digits" / "synthesis.py")]
    subprocess.run(command, input=script, text=True, check=True)
    clips: dict[str, list[Clip]] = {}
    for plan in plans:
        sound = trim(load_audio(plan["file"], sample_rate=SYNTHESIS_RATE))  # trimmed before a filter can ring
        clips.setdefault(plan["speaker"], []).append((plan["text"], resample(sound, SYNTHESIS_RATE, rate)))
    return clips


def join_clips(
    clips: Mapping[str, Sequence[Clip]],
    rate: int,
    *,
    count: int,
    words: tuple[int, int],
    silence_s: tuple[float, float],
    snr_db: tuple[float, float] | None,
    seed: int,
) -> list[KnownRecording]:
    """``count`` recordings, each of one speaker: from ``words[0]`` to ``words[1]`` clips, silences of ``silence_s``.

    ``snr_db``: white to brown noise at that much below the speech; None leaves digital silence.
    """
    generator = np.random.default_rng([seed, 2])
    speakers = sorted(clips)
    made = []
    for number in range(count):
        own = clips[speakers[number % len(speakers)]]
        chosen = [own[index] for index in generator.integers(len(own), size=generator.integers(words[0], words[1] + 1))]
        pieces, bounds_s, at = [], [], 0
        for _, sound in chosen:
            pause = np.zeros(round(generator.uniform(*silence_s) * rate), np.float32)
            pieces += [pause, sound * np.float32(0.5 / np.abs(sound).max())]
            bounds_s.append(((at + len(pause)) / rate, (at + len(pause) + len(sound)) / rate))
            at += len(pause) + len(sound)
        waveform = np.concatenate([*pieces, np.zeros(round(generator.uniform(*silence_s) * rate), np.float32)])
        if snr_db is not None:
            waveform = waveform + _noise(np.concatenate(pieces[1::2]), len(waveform), generator, snr_db)
        made.append(KnownRecording(waveform.astype(np.float32), [word for word, _ in chosen], bounds_s))
    return made


def _noise(
    speech: NDArray[np.float32], samples: int, generator: np.random.Generator, snr_db: tuple[float, float]
) -> NDArray[np.float64]:
    """White to brown, as in recipes/digits."""
    spectrum = np.fft.rfft(generator.standard_normal(samples))
    spectrum *= np.maximum(np.arange(len(spectrum)), 1) ** -generator.uniform(0, 1)
    noise = np.fft.irfft(spectrum, samples)
    level = np.sqrt(np.mean(speech**2)) * 10 ** (-generator.uniform(*snr_db) / 20)
    scaled: NDArray[np.float64] = noise / noise.std() * level
    return scaled
