"""Clips for pages: Ogg Opus whose bytes depend on the sound alone."""

import io

import numpy as np
import pytest
import soundfile

from asr.audio.encode import checksum, encode_clip, without_serial


def test_ogg_pages_get_serial_0_and_their_right_checksum() -> None:
    stream = io.BytesIO()
    with soundfile.SoundFile(stream, "w", 16000, 1, format="OGG", subtype="OPUS") as file:
        file.write(np.zeros(16000, np.float32))
    given = stream.getvalue()
    page = bytearray(given[: 28 + given[27]])  # the first page: 27 bytes, one length, that many bytes
    stored = int.from_bytes(page[22:26], "little")
    page[22:26] = bytes(4)
    assert checksum(page) == stored  # libogg's own
    changed = without_serial(given)
    assert len(changed) == len(given) and changed[14:18] == bytes(4)
    with soundfile.SoundFile(io.BytesIO(changed)) as file:
        assert file.frames == 16000
    with pytest.raises(ValueError):
        without_serial(given + b"x")


@pytest.mark.parametrize(("rate", "encoded_rate"), [(8_000, 8_000), (16_000, 16_000), (44_100, 16_000)])
def test_the_same_sound_gives_the_same_bytes(rate: int, encoded_rate: int) -> None:
    waveform = np.sin(np.arange(rate) * 2 * np.pi * 440 / rate).astype(np.float32)

    clip = encode_clip(waveform, rate)

    assert clip == encode_clip(waveform, rate)
    with soundfile.SoundFile(io.BytesIO(clip)) as file:
        assert (file.samplerate, file.subtype, file.frames) == (encoded_rate, "OPUS", encoded_rate)
