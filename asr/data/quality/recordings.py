"""Checks of utterances against their recordings: spans, channels, lengths, repeats, and texts that do not fit the time.

In: utterances, and what opening their recordings found. Out: findings. A transcript that belongs to another recording
often shows here, by its speech rate, without any model.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from asr.audio.load import END_TOLERANCE_S
from asr.data.manifest import Utterance
from asr.data.quality.findings import Finding, utterance_finding
from asr.data.recordings import Recordings
from asr.errors import AudioError
from asr.text.normalize import normalize_basic

_SHORT_S = 0.1
_LONG_S = 60.0
# A lone utterance that leaves more than this of its recording unused was probably meant to be all of it.
_UNUSED_S = 0.5
FRAME_S = 0.04  # 10 ms hop and four-fold subsampling, the default of the models
# Speech rates are compared by their logarithms: a factor of 3 from the median, and 5 robust standard deviations.
_RATE_FACTOR = 3.0
_RATE_DEVIATIONS = 5.0
_RATE_NEEDS_UTTERANCES = 20
# Auctioneers reach about 25 letters a second; below one letter in 4 s of a long recording there is hardly any speech.
_FASTEST = 35.0
_SLOWEST = 0.25
_SLOWEST_FROM_S = 8.0
_TWICE = re.compile(r"(.)(?=\1)", re.DOTALL)  # a character that the next one equals


def recording_findings(utterances: Sequence[Utterance], recordings: Recordings) -> Iterator[Finding]:
    """Unreadable recordings, spans and channels that files do not have, extreme lengths, and stretches used twice."""
    yield from _audio_findings(utterances, recordings)
    yield from _length_findings(utterances)
    yield from _repeat_findings(utterances)


def timing_findings(utterances: Sequence[Utterance], plain: Sequence[str] | None = None) -> Iterator[Finding]:
    """Texts too long for the frames of their recordings, and speech rates that are impossible or unlike the rest.

    ``plain``: what ``normalize_basic`` makes of each text, where that is known.
    """
    plain = [normalize_basic(one.text) for one in utterances] if plain is None else plain
    yield from _frames_findings(utterances, plain)
    yield from _rate_findings(utterances)


def _audio_findings(utterances: Sequence[Utterance], recordings: Recordings) -> Iterator[Finding]:
    """Recordings that cannot be read (each reported once), and spans and channels that their files do not have."""
    uses: dict[str, list[str]] = defaultdict(list)
    for utterance in utterances:
        uses[utterance.audio].append(utterance.id)
    reported: set[str] = set()
    for utterance in utterances:
        info = recordings[utterance.audio]
        if isinstance(info, AudioError):
            if utterance.audio not in reported:
                reported.add(utterance.audio)
                yield Finding(
                    severity="error",
                    kind="unreadable audio",
                    where=utterance.id,
                    message=str(info),
                    ids=tuple(uses[utterance.audio]),
                )
            continue
        stop_s = utterance.start_s + utterance.duration_s
        if utterance.start_s >= info.duration_s or stop_s > info.duration_s + END_TOLERANCE_S:
            span = f"{utterance.start_s:.3f} to {stop_s:.3f} s"
            message = f"{span} of {utterance.audio}, which lasts {info.duration_s:.3f} s"
            yield utterance_finding("error", "span outside the recording", utterance.id, message)
        elif len(uses[utterance.audio]) == 1 and utterance.start_s == 0 and info.duration_s - stop_s > _UNUSED_S:
            message = f"the first {stop_s:.2f} s of {info.duration_s:.2f} s in {utterance.audio}, used nowhere else"
            yield utterance_finding("warning", "rest of the recording unused", utterance.id, message)
        if utterance.channel is not None and utterance.channel >= info.channels:
            message = f"channel {utterance.channel} of {utterance.audio}, which has {info.channels}, counted from 0"
            yield utterance_finding("error", "no such channel", utterance.id, message)


def _length_findings(utterances: Sequence[Utterance]) -> Iterator[Finding]:
    for utterance in utterances:
        if utterance.duration_s < _SHORT_S:
            yield utterance_finding("warning", "very short", utterance.id, f"{utterance.duration_s:.3f} s")
        elif utterance.duration_s > _LONG_S:
            message = f"{utterance.duration_s:.1f} s; pieces of up to 30 s train faster and with less memory"
            yield utterance_finding("warning", "very long", utterance.id, message)


def _repeat_findings(utterances: Sequence[Utterance]) -> Iterator[Finding]:
    """The same stretch of the same recording in two lines."""
    groups: dict[tuple[str, int, int, int | None], list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        start_ms, duration_ms = round(1000 * utterance.start_s), round(1000 * utterance.duration_s)
        groups[utterance.audio, start_ms, duration_ms, utterance.channel].append(utterance)
    for first, *others in groups.values():
        for other in others:
            if other.text == first.text:
                yield utterance_finding(
                    "warning", "same sound twice", other.id, f"the same part of the same recording as {first.id}"
                )
            else:
                message = f"the same part of the same recording as {first.id}, which has another text"
                yield Finding(
                    severity="warning",
                    kind="same sound with two texts",
                    where=other.id,
                    message=message,
                    ids=(first.id, other.id),
                )


def _frames_findings(utterances: Sequence[Utterance], plain: Sequence[str]) -> Iterator[Finding]:
    """Texts that CTC cannot spell in the frames of their recording: a frame a character, one more between equals."""
    for utterance, text in zip(utterances, plain, strict=True):
        frames = math.floor(utterance.duration_s / FRAME_S) + 1
        needed = len(text)
        if 2 * needed > frames:  # else even equal characters fit
            needed += len(_TWICE.findall(text))
        if needed > frames:
            message = f"{len(text)} characters need {needed} frames; {utterance.duration_s:.2f} s give {frames}"
            message += f" of {1000 * FRAME_S:.0f} ms: training would refuse it"
            yield utterance_finding("warning", "too few frames for the text", utterance.id, message)


def _rate_findings(utterances: Sequence[Utterance]) -> Iterator[Finding]:
    """Utterances with far more or fewer characters a second than the rest, or than speech can have."""
    characters = np.array([len("".join(utterance.text.split())) for utterance in utterances])
    positions = np.flatnonzero(characters)
    durations_s = np.array([utterance.duration_s for utterance in utterances])[positions]
    rates = characters[positions] / durations_s
    slow = (rates < _SLOWEST) & (durations_s > _SLOWEST_FROM_S)
    for found in np.flatnonzero(slow | (rates > _FASTEST)):
        speed = "slow" if slow[found] else "fast"
        message = f"{rates[found]:.2f} characters a second; speech is never so {speed}"
        yield utterance_finding("warning", "impossible speech rate", utterances[positions[found]].id, message)
    if len(rates) < _RATE_NEEDS_UTTERANCES:
        return
    logs = np.log(rates)
    middle = np.median(logs)
    deviation = 1.4826 * np.median(abs(logs - middle))  # of a normal distribution
    limit = max(math.log(_RATE_FACTOR), _RATE_DEVIATIONS * deviation)
    for found in np.flatnonzero(abs(logs - middle) > limit):
        message = f"{rates[found]:.1f} characters a second; the median is {math.exp(middle):.1f}"
        yield utterance_finding("warning", "strange speech rate", utterances[positions[found]].id, message)
