"""Recordings in, mono float32 waveforms out: probe, load, stream and resample. Knows nothing of text or models."""

from asr.audio.load import AudioInfo, load_audio, probe, stream_audio
from asr.audio.media import MEDIA_EXTENSIONS
from asr.audio.resample import resample

# What a search of folders takes for recordings; reading goes by content, not by these.
AUDIO_EXTENSIONS: frozenset[str] = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64"}
    | {".sph", ".nist", ".voc"}
)

__all__ = ["AUDIO_EXTENSIONS", "MEDIA_EXTENSIONS", "AudioInfo", "load_audio", "probe", "resample", "stream_audio"]
