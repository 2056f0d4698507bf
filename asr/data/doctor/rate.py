"""Do text and time fit? Too much text for the frames, and speech faster or slower than people speak.

In: utterances. Out: findings. A transcript that belongs to another recording often shows here, without any model.
"""

import itertools
import math
import statistics
from collections.abc import Iterator, Sequence

from asr.data.findings import Finding, utterance_finding
from asr.data.utterance import Utterance
from asr.text.normalize import normalize_basic

FRAME_S = 0.04  # what models of this project make of 10 ms and four-fold subsampling, their default
# Speech rates are compared by their logarithms: a factor of 3 from the median, and 5 robust standard deviations.
_RATE_FACTOR = 3.0
_RATE_DEVIATIONS = 5.0
_RATE_NEEDS_UTTERANCES = 20
# Auctioneers reach about 25 letters a second; below one letter in 4 s of a long recording hardly anything is said.
_FASTEST = 35.0
_SLOWEST = 0.25
_SLOWEST_FROM_S = 8.0


def frames_findings(utterances: Sequence[Utterance], frame_s: float = FRAME_S) -> Iterator[Finding]:
    """Texts that CTC cannot spell in the frames of their recording: a frame a character, one more between equals."""
    for utterance in utterances:
        text = normalize_basic(utterance.text)
        needed = len(text) + sum(one == other for one, other in itertools.pairwise(text))
        frames = math.floor(utterance.duration_s / frame_s) + 1
        if needed > frames:
            message = f"{len(text)} characters need {needed} frames; {utterance.duration_s:.2f} s have {frames}"
            message += f" of {1000 * frame_s:.0f} ms: training refuses it"
            yield utterance_finding("warning", "too few frames for the text", utterance.id, message)


def rate_findings(utterances: Sequence[Utterance]) -> Iterator[Finding]:
    """Utterances with far more or fewer characters a second than the rest, or than anyone speaks."""
    rates = {
        position: len(text) / utterance.duration_s
        for position, utterance in enumerate(utterances)
        if (text := "".join(utterance.text.split()))
    }
    for position, rate in rates.items():
        slow = rate < _SLOWEST and utterances[position].duration_s > _SLOWEST_FROM_S
        if rate > _FASTEST or slow:
            message = f"{rate:.2f} characters a second; nobody speaks so {'slowly' if slow else 'fast'}"
            yield utterance_finding("warning", "impossible speech rate", utterances[position].id, message)
    if len(rates) < _RATE_NEEDS_UTTERANCES:
        return
    logs = {position: math.log(rate) for position, rate in rates.items()}
    middle = statistics.median(logs.values())
    deviation = 1.4826 * statistics.median(abs(value - middle) for value in logs.values())  # of a normal distribution
    limit = max(math.log(_RATE_FACTOR), _RATE_DEVIATIONS * deviation)
    for position, value in logs.items():
        if abs(value - middle) > limit:
            message = f"{math.exp(value):.1f} characters a second; the median is {math.exp(middle):.1f}"
            yield utterance_finding("warning", "strange speech rate", utterances[position].id, message)
