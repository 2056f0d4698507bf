"""The two seams between `asr transcribe` and the recogniser: how it is built, and how it is given many files.

In: options and paths. Out: a recogniser; hypotheses or errors in the order of the paths.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from asr.commands._decoder_options import check_lm_weight
from asr.commands._transcribe_options import TranscribeOptions
from asr.errors import AsrError

if TYPE_CHECKING:
    from asr.recognition import Hypothesis, Recognizer


def build_recognizer(options: TranscribeOptions) -> "Recognizer":
    """The model on its device, with the decoder that was asked for. Raises ModelError, ConfigError or UsageError."""
    from asr.recognition import Recognizer

    recognizer = Recognizer.from_pretrained(
        options.model,
        device=options.device,
        speech_gate=options.speech_gate,
        words=options.words,
        decoding=options.decoder.given(),
    )
    check_lm_weight(options.decoder.lm_weight, recognizer.decoding.language_model)
    return recognizer


def transcribe_all(
    recognizer: "Recognizer",
    paths: Sequence[Path],
    options: TranscribeOptions,
    progress: Callable[[float, float], None],
) -> Generator["Hypothesis | AsrError", None, None]:
    """A hypothesis, or the error that says why there is none, for each path in order.

    ``progress(done_s, total_s)`` in seconds of audio. Closing the iterator stops the work.
    """
    results = recognizer.transcribe_files(
        paths, progress=progress, workers=options.workers, batch_s=options.batch_s, channel=options.channel
    )
    with closing(results):
        for _, result in results:
            yield result
