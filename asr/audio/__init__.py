"""Recordings in, mono float32 waveforms out: probe, load, stream, resample, encode."""

from asr.audio.load import AudioInfo, decoder_versions, load_audio, load_part, mixed, probe, stream_audio
from asr.audio.resample import Resampler, resample

# Extensions, for searching folders and for messages; how a file is read depends on its content alone.
AUDIO_EXTENSIONS: frozenset[str] = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64"}
    | {".sph", ".nist", ".voc", ".wave", ".bwf"}
)
# Read by PyAV (the [media] extra).
MEDIA_EXTENSIONS: frozenset[str] = frozenset(
    {".m4a", ".m4b", ".mp4", ".m4v", ".mov", ".3gp", ".webm", ".mka", ".mkv", ".aac", ".wma", ".wmv", ".asf", ".amr"}
    | {".ac3", ".eac3", ".mp2", ".avi", ".flv", ".mpg", ".mpeg", ".vob", ".spx", ".wv", ".tta", ".ape", ".tak"}
    | {".m2ts", ".mts"}  # not .ts, which TypeScript has too
)
# Played by browsers from a linked file.
BROWSER_EXTENSIONS: frozenset[str] = frozenset(
    {".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".mp4", ".webm", ".aac"}
)

__all__ = [
    "AUDIO_EXTENSIONS",
    "BROWSER_EXTENSIONS",
    "MEDIA_EXTENSIONS",
    "AudioInfo",
    "Resampler",
    "decoder_versions",
    "load_audio",
    "load_part",
    "mixed",
    "probe",
    "resample",
    "stream_audio",
]
