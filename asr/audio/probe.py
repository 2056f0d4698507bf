"""What a recording is, without decoding it.

In: a path. Out: `AudioInfo` (length, rate, channels, format), after the same checks that loading makes; a FLAC file is
also asked for its last sample, because a cut one still declares its full length.
"""

from dataclasses import dataclass
from pathlib import Path

from asr.audio.faults import AudioPath
from asr.audio.opening import open_recording


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """Facts of one recording. `frames` counts samples per channel; `format` and `subtype` are libsndfile's words.

    For a media file they name the container and the codec, such as `MP4` and `AAC`.
    """

    path: Path
    frames: int
    sample_rate: int
    channels: int
    duration_s: float
    format: str
    subtype: str


def probe(path: AudioPath) -> AudioInfo:
    """Length, rate, channels and format of a recording.

    Args:
        path: the recording.

    Returns:
        Its facts; `duration_s` is `frames / sample_rate`.

    Raises:
        AudioError: absent, a folder, a pipe, unreadable, empty, not audio, cut short, or with an absurd header.
    """
    with open_recording(path) as recording:
        if recording.format == "FLAC":
            recording.check_last_frame()
        return AudioInfo(
            path=Path(path),
            frames=recording.frames,
            sample_rate=recording.sample_rate,
            channels=recording.channels,
            duration_s=recording.frames / recording.sample_rate,
            format=recording.format,
            subtype=recording.subtype,
        )
