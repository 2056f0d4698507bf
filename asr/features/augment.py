"""Changes to training waveforms: speed, reverberation, level, noise. Every draw comes from a given generator.

In: a waveform ``(samples,)`` float32, a speed, a generator. Out: a waveform of the same kind. What is switched off
draws nothing, so that switching one thing on does not change the draws of those before it. Adding noise and convolving
are torchaudio's ``add_noise`` and ``fftconvolve``; speed is a resampling, equal to torchaudio's ``speed`` but by soxr.

Sources: speed perturbation, Ko et al. 2015; reverberation and noise from recordings, Ko et al. 2017 ("A study on data
augmentation of reverberant speech for robust speech recognition"); exponentially decaying noise as a room's response,
Polack 1988.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from asr.audio import AUDIO_EXTENSIONS, load_audio, probe, resample
from asr.errors import ConfigError
from asr.features.masking import SpecAugmentConfig
from asr.schema import check
from asr.torchaudio_door import require_torchaudio

Waveform = NDArray[np.float32]
DIRECT_TO_REVERBERANT_DB = (0.0, 10.0)  # of synthetic rooms; from a far corner to a near microphone
MOST_ROOM_S = 3.0  # of an impulse response that is used
LN_1000 = math.log(1000.0)  # 60 dB, the fall in one reverberation time


@dataclass(kw_only=True, slots=True)
class AugmentConfig:
    """What happens to training data only. ``speeds``: one is drawn per utterance and epoch (pitch moves with it).

    ``gain_db``: level drawn from plus or minus this many dB. ``noise_probability``: share of utterances to which noise
    at a signal-to-noise ratio from ``noise_snr_db`` (low, high) is added: a part of a recording from ``noise_folder``,
    white noise without one. ``reverb_probability``: share of utterances that are convolved with a room's impulse
    response: a recording from ``reverb_folder``; without one, a synthetic response with a reverberation time (RT60)
    from ``reverb_time_s`` (low, high). Folders are searched with their subfolders.
    """

    speeds: list[float] = field(default_factory=lambda: [0.9, 1.0, 1.1])  # one is drawn per utterance and epoch
    gain_db: float = 6.0  # level changes by up to plus or minus this
    noise_probability: float = 0.0  # share of utterances with noise added
    noise_snr_db: list[float] = field(default_factory=lambda: [10.0, 40.0])
    noise_folder: str | None = None  # recordings of noise; null: white noise
    reverb_probability: float = 0.0  # share of utterances with the reverberation of a room
    reverb_time_s: list[float] = field(default_factory=lambda: [0.1, 0.6])  # RT60 of synthetic rooms
    reverb_folder: str | None = None  # recorded impulse responses; null: synthetic ones
    spec_augment: SpecAugmentConfig = field(default_factory=SpecAugmentConfig)

    def __post_init__(self) -> None:
        good = bool(self.speeds) and all(0.5 <= speed <= 2.0 for speed in self.speeds)
        check(good, f"augment.speeds={self.speeds} must be a list of factors from 0.5 to 2")
        check(self.gain_db >= 0, f"augment.gain_db={self.gain_db} must not be negative")
        for key in ("noise_probability", "reverb_probability"):
            check(0 <= getattr(self, key) <= 1, f"augment.{key} must be in [0, 1]")
        for key, unit in (("noise_snr_db", "dB"), ("reverb_time_s", "seconds")):
            value = getattr(self, key)
            ordered = len(value) == 2 and value[0] <= value[1]
            check(ordered, f"augment.{key}={value} must be [low, high] in {unit}")
        in_range = self.reverb_time_s[0] > 0 and self.reverb_time_s[1] <= MOST_ROOM_S
        check(in_range, f"augment.reverb_time_s={self.reverb_time_s} must be above 0 and at most {MOST_ROOM_S}")

    @property
    def fastest(self) -> float:
        """The factor that makes utterances shortest; what CTC can spell is checked for it."""
        return max(self.speeds)


class WaveformAugment:
    """``augment(waveform, speed, generator)`` as ``config`` says, at ``sample_rate``.

    ``load_file(path, sample_rate, duration_s=None, channel=None)`` reads whole recordings of noise and impulse
    responses, as ``load_audio`` does or ``AudioCache.load_file``. A part of a long recording of noise is decoded each
    time: a lossy one decoded from the middle is not the slice of the whole to the last bit.

    Raises ConfigError, before any training, for a folder without recordings and where torchaudio is needed but absent.
    """

    def __init__(
        self, config: AugmentConfig, sample_rate: int, load_file: Callable[..., Waveform] | None = None
    ) -> None:
        self.config, self.sample_rate = config, sample_rate
        self._load_file = load_file or _load_file
        self._durations_s: dict[Path, float] = {}  # of recordings of noise
        self._noises: list[Path] = []
        self._rooms: list[Path] = []
        if config.noise_probability and config.noise_folder:
            require_torchaudio("augment.noise_folder")
            self._noises = _recordings("augment.noise_folder", config.noise_folder)
        if config.reverb_probability:
            require_torchaudio("augment.reverb_probability")
            if config.reverb_folder:
                self._rooms = _recordings("augment.reverb_folder", config.reverb_folder)

    def __call__(self, waveform: Waveform, speed: float, generator: np.random.Generator) -> Waveform:
        """Played at ``speed``, then reverberation, gain and noise as drawn from ``generator``.

        ``(samples,)`` float32 -> ``(samples',)`` float32. Raises AudioError for a noise or impulse response that
        cannot be read.
        """
        config = self.config
        if speed != 1.0:
            waveform = resample(waveform, round(self.sample_rate * speed), self.sample_rate)
        if config.reverb_probability and generator.random() < config.reverb_probability:
            waveform = reverberate(waveform, self._room(generator))
        if config.gain_db:
            waveform = waveform * np.float32(10 ** (generator.uniform(-config.gain_db, config.gain_db) / 20))
        if config.noise_probability and generator.random() < config.noise_probability:
            snr_db = generator.uniform(config.noise_snr_db[0], config.noise_snr_db[1])
            if self._noises:
                waveform = add_noise(waveform, self._noise(len(waveform), generator), snr_db)
            else:
                waveform = add_white_noise(waveform, snr_db, generator)
        return waveform

    def _noise(self, samples: int, generator: np.random.Generator) -> Waveform:
        """A part of a recording of noise, ``(samples,)``; a shorter recording is repeated."""
        path = self._noises[int(generator.integers(len(self._noises)))]
        wanted_s = samples / self.sample_rate
        if path not in self._durations_s:
            self._durations_s[path] = probe(path).duration_s
        spare_s = self._durations_s[path] - wanted_s
        if spare_s > 0:
            start_s = generator.uniform(0, spare_s)
            noise = load_audio(path, sample_rate=self.sample_rate, start_s=start_s, duration_s=wanted_s)
        else:
            noise = self._load_file(path, self.sample_rate)
        return np.resize(noise, samples)

    def _room(self, generator: np.random.Generator) -> Waveform:
        """An impulse response, drawn or made."""
        if not self._rooms:
            time_s = generator.uniform(self.config.reverb_time_s[0], self.config.reverb_time_s[1])
            ratio_db = generator.uniform(*DIRECT_TO_REVERBERANT_DB)
            return synthetic_room(time_s, ratio_db, self.sample_rate, generator)
        path = self._rooms[int(generator.integers(len(self._rooms)))]
        length_s = min(MOST_ROOM_S, probe(path).duration_s)
        return self._load_file(path, self.sample_rate, duration_s=length_s, channel=0)


def _load_file(path: Path, sample_rate: int, **part: Any) -> Waveform:
    waveform: Waveform = load_audio(path, sample_rate=sample_rate, **part)
    return waveform


def add_white_noise(waveform: Waveform, snr_db: float, generator: np.random.Generator) -> Waveform:
    """``waveform`` with white noise ``snr_db`` dB below its mean power; digital silence stays as it is."""
    power = float(np.mean(np.square(waveform))) if waveform.size else 0.0
    noise = generator.standard_normal(waveform.shape, dtype=np.float32)
    return waveform + noise * np.float32(np.sqrt(power / 10 ** (snr_db / 10)))


def add_noise(waveform: Waveform, noise: Waveform, snr_db: float) -> Waveform:
    """``waveform`` with ``noise``, both ``(samples,)``, at ``snr_db`` dB; silence of either leaves it as it is."""
    if not np.square(waveform).sum() or not np.square(noise).sum():
        return waveform
    functional = _functional()
    noisy = functional.add_noise(_tensor(waveform), _tensor(noise), torch.tensor(snr_db, dtype=torch.float32))
    result: Waveform = noisy.numpy()
    return result


def reverberate(waveform: Waveform, room: Waveform) -> Waveform:
    """``waveform`` convolved with the impulse response ``room`` ``(taps,)``; as long and as loud as before.

    The direct sound, the response's largest peak, keeps its place, so that texts and times still fit.
    """
    room = room[int(np.abs(room).argmax()) :] if len(room) else room
    before = float(np.square(waveform, dtype=np.float64).sum())
    if not before or not room.any():
        return waveform
    wet = _functional().fftconvolve(_tensor(waveform), _tensor(room))[: len(waveform)].numpy()
    after = float(np.square(wet, dtype=np.float64).sum())
    result: Waveform = wet * np.float32(math.sqrt(before / after)) if after else waveform
    return result


def synthetic_room(
    reverb_time_s: float, direct_to_reverberant_db: float, sample_rate: int, generator: np.random.Generator
) -> Waveform:
    """A direct sound and noise that falls by 60 dB in ``reverb_time_s``, ``(taps,)``.

    The energy of the direct sound is ``direct_to_reverberant_db`` above that of the noise.
    """
    time_s = np.arange(1, max(2, round(reverb_time_s * sample_rate))) / sample_rate
    tail = generator.standard_normal(len(time_s)) * np.exp(-LN_1000 * time_s / reverb_time_s)
    tail *= 10 ** (-direct_to_reverberant_db / 20) / np.sqrt(np.square(tail).sum())
    return np.concatenate(([1.0], tail)).astype(np.float32)


def _recordings(key: str, folder: str) -> list[Path]:
    """The audio files below ``folder``, sorted, so that draws do not depend on the file system's order."""
    root = Path(os.path.expanduser(folder))
    if not root.is_dir():
        raise ConfigError(f"config: {key}={folder}: no such folder")
    found = sorted(path for path in root.rglob("*") if path.suffix.lower() in AUDIO_EXTENSIONS and path.is_file())
    if not found:
        raise ConfigError(f"config: {key}={folder}: no recordings ({', '.join(sorted(AUDIO_EXTENSIONS))}) in it")
    return found


def _functional() -> ModuleType:
    module: ModuleType = require_torchaudio("augment.noise_folder or augment.reverb_probability").functional
    return module


def _tensor(waveform: Waveform) -> torch.Tensor:
    return torch.from_numpy(np.array(waveform, np.float32))  # a copy: recordings in memory are read-only
