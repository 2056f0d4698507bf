"""Sounds that are no speech, made from seeds: for the speech gate's benchmark and its tests.

In: a kind, a generator, a rate and a length. Out: a waveform ``(samples,)`` float32 at a level between whisper-quiet
and full scale. ``TUNED`` kinds were looked at while the gate was made; ``UNSEEN`` ones only when it was reported.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Waveform = NDArray[np.float64]
Random = np.random.Generator


def digital_silence(random: Random, rate: int, samples: int) -> Waveform:
    """Zeros."""
    return np.zeros(samples)


def dithered_silence(random: Random, rate: int, samples: int) -> Waveform:
    """The last bit of 16."""
    return np.round(random.uniform(-1, 1, samples) + random.uniform(-1, 1, samples)) / 32768


def coloured_noise(random: Random, rate: int, samples: int, slope: float) -> Waveform:
    """Noise whose power falls with frequency to the power ``slope``."""
    spectrum = np.fft.rfft(random.standard_normal(samples))
    hertz = np.maximum(np.fft.rfftfreq(samples, 1 / rate), 20.0)
    return np.fft.irfft(spectrum * hertz ** (-slope / 2), samples)


def white_noise(random: Random, rate: int, samples: int) -> Waveform:
    """White."""
    return coloured_noise(random, rate, samples, 0.0)


def pink_noise(random: Random, rate: int, samples: int) -> Waveform:
    """Pink."""
    return coloured_noise(random, rate, samples, 1.0)


def brown_noise(random: Random, rate: int, samples: int) -> Waveform:
    """Brown."""
    return coloured_noise(random, rate, samples, 2.0)


def hum(random: Random, rate: int, samples: int) -> Waveform:
    """Mains hum of 50 or 60 Hz with harmonics, in some noise."""
    base, time = random.choice([50.0, 60.0]), _time(rate, samples)
    parts = [random.uniform(0.05, 1) / order * np.sin(2 * np.pi * base * order * time) for order in range(1, 12)]
    return _sum(parts) + random.uniform(0, 0.1) * random.standard_normal(samples)


def fan(random: Random, rate: int, samples: int) -> Waveform:
    """A machine that turns: harmonics of a low note under broad noise."""
    note = _notes(random, rate, samples, random.uniform(70, 180), 8)
    return note + random.uniform(0.3, 2) * _unit(coloured_noise(random, rate, samples, random.uniform(0.5, 1.5)))


def tone(random: Random, rate: int, samples: int) -> Waveform:
    """One to three steady tones."""
    time = _time(rate, samples)
    hertz = random.uniform(80, 0.45 * rate, random.integers(1, 4))
    return _sum([random.uniform(0.3, 1) * np.sin(2 * np.pi * one * time) for one in hertz])


def sweep(random: Random, rate: int, samples: int) -> Waveform:
    """A tone that glides, once or again and again."""
    low, high = np.sort(random.uniform(80, 0.45 * rate, 2))
    turns = random.uniform(0.3, 3.0) * samples / rate
    share = np.abs((np.arange(samples) / samples * turns) % 2 - 1)
    return np.sin(2 * np.pi * np.cumsum(low * (high / low) ** share) / rate)


def clicks(random: Random, rate: int, samples: int) -> Waveform:
    """Clicks and knocks at random times."""
    sound = np.zeros(samples)
    for start in random.integers(0, samples, max(1, int(samples / rate * random.uniform(0.5, 8)))):
        length = min(samples - start, int(rate * random.uniform(0.001, 0.03)))
        decay = np.exp(-np.arange(length) / (length / 5 + 1))
        sound[start : start + length] += random.uniform(0.2, 1) * decay * random.standard_normal(length)
    return sound


def telephone_keys(random: Random, rate: int, samples: int) -> Waveform:
    """DTMF: two tones at a time, in beeps."""
    time, sound = _time(rate, samples), np.zeros(samples)
    on_s, off_s = random.uniform(0.05, 0.3), random.uniform(0.04, 0.3)
    for start_s in np.arange(0, samples / rate, on_s + off_s):
        low, high = random.choice([697, 770, 852, 941]), random.choice([1209, 1336, 1477, 1633])
        now = (time >= start_s) & (time < start_s + on_s)
        sound[now] = (np.sin(2 * np.pi * low * time) + np.sin(2 * np.pi * high * time))[now]
    return sound


def rain(random: Random, rate: int, samples: int) -> Waveform:
    """Drops: very many small clicks over noise."""
    drops = random.standard_normal(samples) * (random.uniform(size=samples) < random.uniform(20, 400) / rate)
    shape = np.exp(-np.arange(int(0.004 * rate)) / (0.001 * rate)) * random.standard_normal(int(0.004 * rate))
    return _unit(np.convolve(drops, shape)[:samples]) + random.uniform(0.05, 1) * random.standard_normal(samples)


def wind(random: Random, rate: int, samples: int) -> Waveform:
    """Gusts: low noise whose level rises and falls within seconds."""
    noise = coloured_noise(random, rate, samples, random.uniform(1.5, 2.5))
    return noise * np.exp(random.uniform(0.3, 1.0) * _wandering(random, rate, samples, random.uniform(0.3, 1.5)))


def chords(random: Random, rate: int, samples: int) -> Waveform:
    """Chords of three or four notes with harmonics, held for a while."""
    return _melody(random, rate, samples, voices=int(random.integers(3, 5)), note_s=random.uniform(0.5, 2.0))


def arpeggio(random: Random, rate: int, samples: int) -> Waveform:
    """One note after another."""
    return _melody(random, rate, samples, voices=1, note_s=random.uniform(0.12, 0.5))


def siren(random: Random, rate: int, samples: int) -> Waveform:
    """A tone with harmonics that wails."""
    hertz = random.uniform(400, 900) * 2 ** (0.5 * np.sin(2 * np.pi * random.uniform(0.2, 2) * _time(rate, samples)))
    phase = 2 * np.pi * np.cumsum(hertz) / rate
    return np.sin(phase) + 0.3 * np.sin(2 * phase) + 0.1 * np.sin(3 * phase)


def birds(random: Random, rate: int, samples: int) -> Waveform:
    """Chirps: short fast glides high up."""
    sound = np.zeros(samples)
    for start in random.integers(0, samples, max(1, int(samples / rate * random.uniform(1, 4)))):
        length = min(samples - start, int(rate * random.uniform(0.05, 0.25)))
        first_hz, last_hz = random.uniform(1800, 0.45 * rate, 2)
        path = np.linspace(first_hz, last_hz, length)
        sound[start : start + length] += np.sin(2 * np.pi * np.cumsum(path) / rate) * np.hanning(length)
    return sound + 0.01 * random.standard_normal(samples)


def applause(random: Random, rate: int, samples: int) -> Waveform:
    """Many hands."""
    claps = random.standard_normal(samples) * (random.uniform(size=samples) < random.uniform(10, 200) / rate)
    length = int(0.02 * rate)
    return np.convolve(claps, np.exp(-np.arange(length) / (length / 4)) * random.standard_normal(length))[:samples]


def telephone_bell(random: Random, rate: int, samples: int) -> Waveform:
    """A ring: two tones, shaken 20 times a second, with pauses."""
    time = _time(rate, samples)
    ring = np.sin(2 * np.pi * random.uniform(400, 1500) * time) + np.sin(2 * np.pi * random.uniform(400, 1500) * time)
    rings: Waveform = ring * (1 + np.sign(np.sin(2 * np.pi * 20 * time))) * (time % random.uniform(1.5, 4) < 1.0)
    return rings


def surf(random: Random, rate: int, samples: int) -> Waveform:
    """Noise that swells and falls slowly."""
    swell = 1 + 0.95 * np.sin(2 * np.pi * random.uniform(0.1, 0.5) * _time(rate, samples))
    return coloured_noise(random, rate, samples, random.uniform(0, 1.5)) * swell


def whistle(random: Random, rate: int, samples: int) -> Waveform:
    """A whistled tune: one gliding tone with vibrato, breathy."""
    steps = np.repeat(random.choice([0, 2, 4, 5, 7, 9, 11, 12], samples // (rate // 4) + 1), rate // 4)[:samples]
    smooth = np.convolve(steps, np.ones(rate // 20) / (rate // 20), "same")
    hertz = 900 * 2 ** ((smooth + 0.3 * np.sin(2 * np.pi * 5.5 * _time(rate, samples))) / 12)
    return np.sin(2 * np.pi * np.cumsum(hertz) / rate) + 0.05 * random.standard_normal(samples)


def modem(random: Random, rate: int, samples: int) -> Waveform:
    """Data as tones: a carrier that jumps between two frequencies 300 times a second."""
    bits = np.repeat(random.integers(0, 2, samples * 300 // rate + 2), rate // 300 + 1)[:samples]
    return np.sin(2 * np.pi * np.cumsum(np.where(bits, 1270.0, 1070.0)) / rate)


def footsteps(random: Random, rate: int, samples: int) -> Waveform:
    """Dull thuds, regular as steps are."""
    sound, length = np.zeros(samples), int(0.12 * rate)
    thud = np.exp(-np.arange(length) / (0.02 * rate)) * np.sin(
        2 * np.pi * random.uniform(60, 150) * np.arange(length) / rate
    )
    for start_s in np.arange(0.1, samples / rate - 0.2, random.uniform(0.35, 0.7)):
        start = int((start_s + random.uniform(0, 0.03)) * rate)
        now = min(length, samples - start)
        sound[start : start + now] += (thud + 0.2 * random.standard_normal(length) * np.abs(thud))[:now]
    return sound + 0.003 * random.standard_normal(samples)


def engine(random: Random, rate: int, samples: int) -> Waveform:
    """A motor that speeds up and slows down."""
    hertz = random.uniform(30, 90) * np.exp(0.3 * _wandering(random, rate, samples, 0.5))
    phase = 2 * np.pi * np.cumsum(hertz) / rate
    parts = [random.uniform(0.1, 1) / order * np.sin(order * phase) for order in range(1, 15)]
    return _sum(parts) + random.uniform(0.05, 0.5) * _unit(coloured_noise(random, rate, samples, 1.0))


Kind = Callable[[Random, int, int], Waveform]
TUNED: dict[str, Kind] = {
    kind.__name__: kind
    for kind in (
        digital_silence, dithered_silence, white_noise, pink_noise, brown_noise, hum, fan, tone, sweep, clicks,
        telephone_keys, rain, wind, chords, arpeggio, siren, birds, telephone_bell,
    )
}  # fmt: skip
UNSEEN: dict[str, Kind] = {kind.__name__: kind for kind in (applause, surf, engine, whistle, modem, footsteps)}
UNSCALED = {"digital_silence", "dithered_silence"}


def make_sound(kind: str, seed: int, rate: int, duration_s: float | None = None) -> NDArray[np.float32]:
    """One clip of a kind: 1 to 8 s unless told, its peak from -60 to -1 dB of full scale."""
    random = np.random.default_rng([seed, sum(map(ord, kind))])
    samples = int(rate * (duration_s or random.uniform(1, 8)))
    sound = {**TUNED, **UNSEEN}[kind](random, rate, samples)
    peak = 10 ** (random.uniform(-60, -1) / 20)
    scaled = sound if kind in UNSCALED else sound / max(1e-9, np.abs(sound).max()) * peak
    return scaled.astype(np.float32)


def looped(quiet: NDArray[np.float32], samples: int, fade: int) -> NDArray[np.float32]:
    """Room tone: a short quiet piece repeated with cross-fades, ``(samples,)``."""
    fade = min(fade, len(quiet) // 3)
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    piece = quiet[: len(quiet) - fade].copy()
    piece[:fade] = piece[:fade] * ramp + quiet[len(quiet) - fade :] * (1 - ramp)
    return np.tile(piece, -(-samples // len(piece)))[:samples]


def _melody(random: Random, rate: int, samples: int, voices: int, note_s: float) -> Waveform:
    sound, length = np.zeros(samples), int(note_s * rate)
    harmonics, decay = int(random.integers(1, 9)), random.uniform(0, 6)
    for start in range(0, samples, length):
        now = min(length, samples - start)
        envelope = np.minimum(1, np.arange(now) / (0.01 * rate)) * np.exp(-decay * np.arange(now) / rate)
        envelope *= np.minimum(1, (now - np.arange(now)) / (0.01 * rate))
        for step in random.choice([0, 2, 4, 5, 7, 9, 11, 12], voices, replace=False):
            hertz = 130.8 * 2 ** ((step + 12 * random.integers(0, 3)) / 12)
            sound[start : start + now] += envelope * _notes(random, rate, now, hertz, harmonics)
    return sound


def _sum(parts: Sequence[Waveform]) -> Waveform:
    total: Waveform = np.sum(parts, axis=0)
    return total


def _notes(random: Random, rate: int, samples: int, hertz: float, harmonics: int) -> Waveform:
    time = _time(rate, samples)
    orders = [order for order in range(1, harmonics + 1) if order * hertz < rate / 2]
    return _sum([np.sin(2 * np.pi * hertz * one * time + random.uniform(0, 6)) / one for one in orders])


def _wandering(random: Random, rate: int, samples: int, hertz: float) -> Waveform:
    """A smooth random curve of standard deviation 1 that turns about ``hertz`` times a second."""
    knots = max(4, int(samples / rate * hertz * 2) + 2)
    return np.interp(np.linspace(0, knots - 1, samples), np.arange(knots), random.standard_normal(knots))


def _time(rate: int, samples: int) -> Waveform:
    return np.arange(samples) / rate


def _unit(sound: Waveform) -> Waveform:
    return sound / max(1e-12, float(sound.std()))
