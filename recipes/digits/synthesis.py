"""Speaking plans aloud: espeak-ng's library, out of the pip package espeakng-loader, through ctypes.

In: on standard input, one JSON object a line: what to say, in which voice, how loud, with which noise, and the file to
write. Out: those files, 16 kHz mono FLAC. Why a process of its own: the library keeps global state, may end the process
on a fault, and what it says depends slightly on what it said before; a fresh process with a fixed list is reproducible.

"""

import ctypes
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import espeakng_loader
import numpy as np
import numpy.typing as npt
import soundfile
import soxr

SAMPLE_RATE = 16000
SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS of speak_lib.h
UTF8 = 1  # espeakCHARS_UTF8
PARAMETERS = {"words_per_minute": 1, "volume": 2, "pitch": 3, "pitch_range": 4, "word_gap_10ms": 7}
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)

Waveform = npt.NDArray[np.float32]
Speak = Callable[[dict[str, Any]], Waveform]


def open_synthesizer() -> tuple[Speak, int]:
    """Load the library; returns what speaks a plan, (samples,) float32 in -1..1, and its sample rate."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    os.chdir(espeakng_loader.get_data_path())  # the library keeps 160 characters of a path: a relative one always fits
    sample_rate = library.espeak_Initialize(SYNCHRONOUS, 0, b".", 1 << 15)
    if sample_rate <= 0:
        sys.exit(f"espeak-ng cannot start (code {sample_rate}): reinstall the pip package espeakng-loader.")
    pieces: list[npt.NDArray[np.int16]] = []

    def collect(samples: Any, count: int, _: Any) -> int:
        if samples and count > 0:
            pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    callback = CALLBACK(collect)
    library.espeak_SetSynthCallback(callback)

    def speak(plan: dict[str, Any], keep: Any = callback) -> Waveform:  # keep: the callback must outlive the calls
        if library.espeak_SetVoiceByName(plan["voice"].encode()) != 0:
            sys.exit(f"espeak-ng has no voice {plan['voice']}.")
        for name, number in PARAMETERS.items():
            library.espeak_SetParameter(number, plan.get(name, 100), 0)
        pieces.clear()
        library.espeak_ng_SetRandSeed(ctypes.c_long(plan["noise_seed"]))  # the library's start seeds breath by the time
        ctypes.CDLL(None).srand(ctypes.c_uint(plan["noise_seed"]))  # what its Klatt voices draw from
        words = plan["spoken"].encode()
        library.espeak_Synth(words, len(words) + 1, 0, 0, 0, UTF8, None, None)
        library.espeak_Synchronize()
        if not pieces:
            sys.exit(f"espeak-ng said nothing for {plan['spoken']!r} in voice {plan['voice']}.")
        return np.concatenate(pieces).astype(np.float32) / np.float32(32768)

    return speak, sample_rate


def record(speech: Waveform, plan: dict[str, Any]) -> Waveform:
    """Speech as a microphone might hear it: silence around it, coloured noise at ``snr_db``, peak at ``peak_dbfs``."""
    lead, trail = (np.zeros(int(plan[name] * SAMPLE_RATE), np.float32) for name in ("lead_s", "trail_s"))
    padded = np.concatenate([lead, speech, trail])
    noise = coloured_noise(len(padded), plan["noise_slope"], plan["noise_seed"])
    padded = padded + noise * np.sqrt(np.mean(speech**2)) * 10 ** (-plan["snr_db"] / 20)
    scaled: Waveform = (padded * (10 ** (plan["peak_dbfs"] / 20) / np.abs(padded).max())).astype(np.float32)
    return scaled


def coloured_noise(count: int, slope: float, seed: int) -> Waveform:
    """(count,) noise of unit power whose amplitude falls as frequency ** -slope (0 white, 1 brown)."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
    spectrum *= np.maximum(np.arange(len(spectrum)), 1) ** -slope
    noise = np.fft.irfft(spectrum, count)
    unit: Waveform = (noise / noise.std()).astype(np.float32)
    return unit


def main() -> None:
    """Read plans from standard input and write their files, each whole or not at all."""
    plans = [json.loads(line) for line in sys.stdin]
    speak, sample_rate = open_synthesizer()
    for plan in plans:
        speech = np.asarray(soxr.resample(speak(plan), sample_rate, SAMPLE_RATE, quality="HQ"), np.float32)
        file = Path(plan["file"])
        temporary = file.with_suffix(".tmp")
        soundfile.write(temporary, record(speech, plan), SAMPLE_RATE, format="FLAC", subtype="PCM_16")
        os.replace(temporary, file)


if __name__ == "__main__":
    main()
