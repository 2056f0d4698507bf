"""Live sound to text: one recording, pipe or microphone to the events of a stream, and each event as a line of JSON.

In: ``StreamingOptions`` and where the sound is. Out: ``StreamEvent``s as soon as they are known.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.errors import AsrError, UsageError
from asr.files import json_value
from asr.transcription.inputs import MICROPHONE, STDIN
from asr.transcription.job import build_recognizer
from asr.transcription.options import TranscribeOptions

if TYPE_CHECKING:
    import numpy as np

    from asr.recognition import Recognizer, StreamEvent

READ_S = 0.5  # of a file at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamingOptions:
    """``raw_rate``: standard input is 16-bit mono sound at so many Hz, None: a file's bytes. The others: see
    ``asr.recognition.StreamOptions``.
    """

    chunk_s: float | None = None
    look_ahead_s: float | None = None
    pause_s: float | None = None
    raw_rate: int | None = None


def stream_events(path: str, options: TranscribeOptions, streaming: StreamingOptions) -> Iterator["StreamEvent"]:
    """The events of the sound at ``path``: a file, "-" for standard input, or "microphone", which has no end.

    Ctrl-C ends the sound, and so does damage: what was heard is still given, then it is raised. Raises an AsrError for
    sound that cannot be read, a model that cannot be streamed, and impossible options.
    """
    recognizer = build_recognizer(replace(options, backend="torch"))  # which computes streams, whatever is installed
    chosen: dict[str, Any] = {name: getattr(streaming, name) for name in ("chunk_s", "look_ahead_s", "pause_s")}
    stream = recognizer.stream(**{name: value for name, value in chosen.items() if value is not None})
    ended_by: KeyboardInterrupt | AsrError | None = None
    with closing(_blocks(path, recognizer, options, streaming.raw_rate)) as blocks:  # type: ignore[type-var]
        try:
            for block in blocks:
                yield from stream.feed(block)
        except (KeyboardInterrupt, AsrError) as error:
            ended_by = error
    yield from stream.finish()
    if ended_by is not None:
        raise ended_by


def event_line(event: "StreamEvent") -> str:
    """The event as one line of JSON: kind, text, start_s, end_s, confidence, words."""
    values: dict[str, Any] = json_value(event, digits=6)
    values["words"] = [
        {"word": word.text, "start_s": word.start_s, "end_s": word.end_s, "confidence": word.confidence}
        for word in event.words
    ]
    return json.dumps(values, ensure_ascii=False, allow_nan=False)


def _blocks(
    path: str, recognizer: "Recognizer", options: TranscribeOptions, raw_rate: int | None
) -> Iterator["np.ndarray"]:
    from asr.audio import stream_audio
    from asr.audio.streaming import media_blocks, microphone_blocks, raw_blocks

    if options.channel == "split":
        raise UsageError("--channels split is for whole recordings; leave out --stream, or choose one with --channel N")
    rate, channel, track = recognizer.sample_rate, options.channel, options.track
    if path == MICROPHONE:
        return microphone_blocks(rate)
    if path != STDIN:
        return stream_audio(Path(path), sample_rate=rate, block_s=READ_S, channel=channel, track=track)
    stdin = getattr(sys.stdin, "buffer", None)
    if stdin is None or sys.stdin.isatty():
        raise UsageError("'-' reads sound from a pipe, and stdin is no pipe: COMMAND | asr transcribe - --stream")
    return media_blocks(stdin, rate, channel, track) if raw_rate is None else raw_blocks(stdin, raw_rate, rate)
