"""Which of the two readers a recording needs: libsndfile's, or FFmpeg's for media files; told by its first bytes.

In: a path. Out: an open recording; both kinds keep one contract, so that loading, streaming and probing know no
difference.
"""

from asr.audio.faults import AudioPath, media_kind, read_head
from asr.audio.media import MediaRecording
from asr.audio.source import Recording, check_rate

AnyRecording = Recording | MediaRecording


def open_recording(path: AudioPath) -> AnyRecording:
    """Open and check a recording of any kind.

    Raises:
        AudioError: nothing readable lies there, or it needs PyAV; the message says what, why and what to do.
    """
    head = read_head(path)
    if media_kind(head) is None:
        return Recording(path)
    recording = MediaRecording(path, head)
    try:
        check_rate(path, recording.sample_rate)
    except BaseException:
        recording.close()
        raise
    return recording
