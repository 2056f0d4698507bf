"""The two seams between `asr transcribe` and the recogniser: how it is built, and how it is given many files.

In: options and paths. Out: a recogniser; hypotheses or errors in the order of the paths.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asr.commands._transcribe_options import TranscribeOptions
from asr.errors import AsrError, UsageError

if TYPE_CHECKING:
    from asr.recognition import Hypothesis, Recognizer


def build_recognizer(options: TranscribeOptions) -> "Recognizer":
    """The model on its device, with the decoder that was asked for. Raises ModelError, ConfigError or UsageError."""
    from asr.recognition import Recognizer

    if options.decoder.given().get("name", "greedy") != "greedy" or options.decoder.given().keys() - {"name"}:
        raise UsageError("beam search is not part of this version; leave out its options")
    return Recognizer.from_pretrained(options.model, device=options.device)


def transcribe_all(
    recognizer: "Recognizer",
    paths: Sequence[Path],
    options: TranscribeOptions,
    progress: Callable[[float, float], None],
) -> Iterator["Hypothesis | AsrError"]:
    """A hypothesis, or the error that says why there is none, for each path in order.

    ``progress(done_s, total_s)`` in seconds of audio.
    """
    from asr.audio import load_audio

    done_s = 0.0
    for number, path in enumerate(paths, 1):
        try:
            waveform = load_audio(path, sample_rate=recognizer.sample_rate, channel=options.channel)
            hypothesis = recognizer.transcribe(waveform, sample_rate=recognizer.sample_rate)
        except AsrError as error:
            yield error
            continue
        done_s += hypothesis.duration_s
        progress(done_s, done_s / number * len(paths))
        yield hypothesis
