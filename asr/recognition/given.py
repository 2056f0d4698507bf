"""What a caller of the Python API may give as a recording, and one sentence for everything else.

In: a path; a file's bytes, or an open binary file; samples as an array, a tensor or a list; or a mapping with ``array``
and ``sampling_rate``, as Hugging Face datasets hold audio. Out: an ``AudioSource`` at the model's rate, or one for each
channel. What is given is never changed.
"""

import contextlib
import io
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray

from asr.audio import mixed, resample
from asr.audio.recording import MAX_RATE_HZ, MIN_RATE_HZ
from asr.errors import AudioError, ConfigError
from asr.recognition.hypothesis import Channel
from asr.recognition.reading import AudioSource, Waveform, file_sources, waveform_source

MOST_CHANNELS = 8
_FULL_SCALE = {"int8": 2.0**7, "int16": 2.0**15, "int32": 2.0**31}
_CHOICES = (
    "give a path, the bytes of an audio file, an open binary file, samples with their sample_rate, or a mapping with"
    ' "array" and "sampling_rate"'
)


class BinaryFile(Protocol):
    """An open file, ``io.BytesIO``, a response body: what ``read`` gives bytes for."""

    def read(self, size: int = ..., /) -> bytes:
        """The next ``size`` bytes, or all that are left."""


class Samples(TypedDict):
    """Samples and their rate in Hz, as Hugging Face datasets have them."""

    array: Any
    sampling_rate: float


AudioInput = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryFile | Samples | NDArray[Any]


@contextlib.contextmanager
def given_sources(
    audio: Any, sample_rate: Any, to_rate: int, channel: Channel = None, track: int | None = None
) -> Iterator[list[AudioSource]]:
    """The recording, or with ``channel="split"`` each of its channels, to be read inside the ``with``.

    Raises AudioError or ConfigError, there too.
    """
    check_choice(channel, track)
    if isinstance(audio, Mapping):
        audio, sample_rate = _unpacked(audio, sample_rate)
    encoded = isinstance(audio, bytes | bytearray | memoryview) or hasattr(audio, "read")
    if sample_rate is not None and (encoded or isinstance(audio, str | os.PathLike)):
        raise ConfigError(
            f"transcribe: sample_rate={sample_rate!r} is for samples; a file says its own, so leave it out"
        )
    if isinstance(audio, str | os.PathLike):
        if not os.fspath(audio):
            raise AudioError("transcribe: the path is empty; give the path of a recording")
        yield file_sources(os.fspath(audio), to_rate, 0, channel, track)
    elif encoded:
        with _on_disk(audio) as path:
            yield file_sources(path, to_rate, 0, channel, track)
    else:
        if track is not None:
            raise ConfigError(f"transcribe: track={track} is for files; samples have channels only")
        rate = checked_rate(sample_rate)
        waveforms = [mono_samples(audio)] if channel is None else _channels(audio, channel)
        yield [waveform_source(one if rate == to_rate else resample(one, rate, to_rate), to_rate) for one in waveforms]


def check_choice(channel: Any, track: Any) -> None:
    """Raise ConfigError where these are no channel and no track."""
    for name, value, others in (("channel", channel, ' or "split"'), ("track", track, "")):
        whole = not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= 0
        if not (value is None or whole or (others and value == "split")):
            raise ConfigError(f"transcribe: {name}={value!r} must be a number from 0 on{others}, or None")


def _channels(audio: Any, channel: int | Literal["split"]) -> list[Waveform]:
    """One channel of samples in memory, or each."""
    values = _scaled(audio)
    table = values[:, None] if values.ndim == 1 else _by_channel(values)
    if channel != "split" and channel >= table.shape[1]:
        raise AudioError(f"transcribe: there is no channel {channel}; the samples have {table.shape[1]}, from 0")
    chosen = range(table.shape[1]) if channel == "split" else (channel,)
    return [np.array(table[:, one], dtype=np.float32) for one in chosen]


def _unpacked(audio: Mapping[str, Any], sample_rate: Any) -> tuple[Any, Any]:
    if not {"array", "sampling_rate"} <= audio.keys():
        keys = ", ".join(map(repr, audio)) or "nothing"
        raise AudioError(f'transcribe: a mapping must hold "array" and "sampling_rate"; this one holds {keys}')
    if sample_rate is not None and sample_rate != audio["sampling_rate"]:
        raise ConfigError(
            f"transcribe: sample_rate={sample_rate!r}, but the mapping's sampling_rate is {audio['sampling_rate']!r};"
            " leave sample_rate out"
        )
    return audio["array"], audio["sampling_rate"]


@contextlib.contextmanager
def _on_disk(audio: Any) -> Iterator[Path]:
    """The bytes as a file: decoders need its length and seek in it. Errors name what was given, not that file."""
    given = f"the {type(audio).__name__}" if not isinstance(getattr(audio, "name", None), str) else audio.name
    with tempfile.TemporaryDirectory(prefix="asr-") as folder:
        path = Path(folder) / "audio"
        with path.open("wb") as file:
            if hasattr(audio, "read"):
                _copy(audio, file)
            else:
                file.write(audio)
        if not path.stat().st_size:
            if not hasattr(audio, "read"):
                raise AudioError(f"transcribe: the {type(audio).__name__} object is empty; give a whole audio file")
            raise AudioError(f"transcribe: {given} holds no bytes; an open file is read from where it stands (seek(0))")
        try:
            yield path
        except AudioError as error:
            raise type(error)(str(error).replace(str(path), given)) from None


def _copy(audio: Any, file: Any) -> None:
    as_text = AudioError("transcribe: the file is open as text; open it in binary mode: open(path, 'rb')")
    if isinstance(audio, io.TextIOBase):
        raise as_text
    try:
        shutil.copyfileobj(audio, file, 1 << 20)
    except TypeError:
        raise as_text from None
    except (OSError, ValueError) as error:
        raise AudioError(f"transcribe: the file cannot be read: {error}") from None


def mono_samples(audio: Any, *, part: bool = False) -> Waveform:
    """Samples as float32 ``(samples,)`` at their own rate, in memory of their own where they may not be written to.

    Floating point has its full scale at 1; int8, int16 and int32 at the largest value of their type, and uint8 is
    centred on 128, as in WAV. ``(samples, channels)`` and ``(channels, samples)`` are averaged, as files are; the axis
    of at most 8 is that of the channels; in ``part`` of a recording, where both may be, the second one. Raises
    AudioError for samples of another type or shape, of none, and for NaN and infinity.
    """
    values = _scaled(audio)
    by_channel = part and max(values.shape) <= MOST_CHANNELS
    table = values if values.ndim == 1 or by_channel else _by_channel(values)
    return np.array(table if table.ndim == 1 else mixed(table), dtype=np.float32)


def _scaled(audio: Any) -> NDArray[Any]:
    """Finite samples of full scale 1, ``(samples,)`` or with channels, and at least one."""
    values = _array(audio)
    if values.size and not np.isfinite(values).all():
        raise AudioError("transcribe: the samples hold NaN or infinity; samples must be finite")
    if values.ndim not in (1, 2) or not values.size:
        shape = " x ".join(map(str, values.shape))
        what = f"an array of {shape}" if values.ndim else "a single number"
        raise AudioError(
            f"transcribe: {what} holds no samples of one recording; (samples,) or (samples, channels) does"
        )
    if values.dtype == np.uint8:
        return (values.astype(np.float32) - 128) / 128
    scaled: NDArray[Any] = values / _FULL_SCALE[values.dtype.name] if values.dtype.name in _FULL_SCALE else values
    return scaled


def _array(audio: Any) -> NDArray[Any]:
    """What was given as an array of a numeric type with a known full scale."""
    if audio is None or isinstance(audio, bool | Real):
        raise AudioError(f"transcribe: {audio!r} is no recording; {_CHOICES}")
    if hasattr(audio, "detach"):  # a torch tensor
        audio = audio.detach().cpu()
    try:
        values = np.asarray(audio)
    except Exception:  # whatever an object's own __array__ raises, or rows of different lengths
        values = np.empty(0, object)
    if values.dtype.kind == "f" or values.dtype.name in (*_FULL_SCALE, "uint8"):
        return values
    if values.dtype.kind in "iu":
        raise AudioError(
            f"transcribe: samples of type {values.dtype} have no certain full scale; convert them to int16 or float32"
        )
    if isinstance(audio, list | tuple) and len(audio) == 2 and any(isinstance(one, Real) for one in audio):
        raise AudioError("transcribe: samples and rate come in a tuple; give transcribe(samples, sample_rate=rate)")
    shown = (
        f"an array of type {values.dtype}"
        if isinstance(audio, np.ndarray)
        else f"a value of type {type(audio).__name__}"
    )
    several = "; for several recordings call it for each" if isinstance(audio, list | tuple) else ""
    raise AudioError(f"transcribe: {shown} is no recording; {_CHOICES}{several}")


def checked_rate(rate: Any) -> int:
    """A sample rate in Hz as a whole number. Raises ConfigError where it is none, or impossible."""
    if rate is None:
        raise ConfigError(
            "transcribe: samples need their sample_rate in Hz, e.g. transcribe(samples, sample_rate=16000)"
        )
    number = float(rate) if isinstance(rate, Real) else math.nan  # True is 1, which is too low
    if not number.is_integer() or not MIN_RATE_HZ <= number <= MAX_RATE_HZ:
        raise ConfigError(
            f"transcribe: sample_rate={rate!r} must be a whole number of Hz, {MIN_RATE_HZ} to {MAX_RATE_HZ}"
        )
    return int(number)


def _by_channel(values: NDArray[Any]) -> NDArray[Any]:
    """``(samples, channels)``. Raises AudioError where it is unclear which axis the channels are."""
    few = [axis for axis in (0, 1) if values.shape[axis] <= MOST_CHANNELS]
    if len(few) != 1:
        raise AudioError(
            f"transcribe: in an array of {' x '.join(map(str, values.shape))} it is unclear which axis is the channels"
            f" (the one of at most {MOST_CHANNELS}); give one channel, (samples,)"
        )
    return values if few[0] == 1 else values.T
