"""The intervals of a report's rates, by utterance and by speaker, and the sentences that say what they mean.

In: a ``ScoreReport``. Out: ``RateIntervals`` for WER and CER, normalised and raw, and notes for terminal and page. What
has no interval gets a note why.
"""

from dataclasses import dataclass
from typing import Any, Literal

from asr.scoring.intervals import DRAWS, FEW_UNITS, Interval, bootstrap_interval, why_no_interval
from asr.scoring.report import ScoreReport

Measure = Literal["words", "characters", "raw_words", "raw_characters"]  # attributes of report and utterance
RATES: dict[str, Measure] = {"wer": "words", "cer": "characters", "raw_wer": "raw_words", "raw_cer": "raw_characters"}

LIMITS = (
    "They hold for more recordings of this kind and cover chance alone: not another microphone, topic or way of "
    "speaking, nor faults in the references."
)


@dataclass(frozen=True, slots=True)
class RateIntervals:
    """The intervals of one rate; None where there is none."""

    utterances: Interval | None
    speakers: Interval | None


def rate_intervals(report: ScoreReport, measure: Measure) -> RateIntervals:
    """Intervals under resampling of utterances and, where every utterance's speaker is known, of speakers."""
    errors, lengths = _columns(report, measure)
    speakers = known_speakers(report)
    return RateIntervals(
        bootstrap_interval(errors, lengths),
        None if speakers is None else bootstrap_interval(errors, lengths, clusters=speakers),
    )


def known_speakers(report: ScoreReport) -> list[str] | None:
    """Who spoke each utterance; None unless that is known of all: who is unknown may be anyone."""
    speakers = [utterance.speaker for utterance in report.utterances if utterance.speaker is not None]
    return speakers if len(speakers) == len(report.utterances) else None


def interval_notes(report: ScoreReport) -> list[str]:
    """What the intervals beside the rates mean, a sentence or two each; why there is none where there is none."""
    errors, lengths = _columns(report, "words")
    intervals = rate_intervals(report, "words")
    if intervals.utterances is None:
        reason = why_no_interval(errors, lengths)
        return [] if not any(lengths) else [f"no interval around the WER: {reason}"]
    count = f"{intervals.utterances.count:,} utterances"
    notes = [f"[low, high] are 95 % intervals from {DRAWS:,} bootstrap draws of the {count}. {LIMITS}"]
    if not intervals.utterances.reliable:
        notes.append(f"fewer than {FEW_UNITS} utterances: the intervals are rough guesses and rather too narrow")
    return notes + _speaker_notes(report, intervals.speakers)


def summarize_intervals(report: ScoreReport) -> dict[str, Any]:
    """For summary.json: by rate and unit, in percent; null where there is no interval."""
    found = {name: rate_intervals(report, measure) for name, measure in RATES.items()}
    return {
        name: {"utterances": _plain(intervals.utterances), "speakers": _plain(intervals.speakers)}
        for name, intervals in found.items()
    }


def _speaker_notes(report: ScoreReport, interval: Interval | None) -> list[str]:
    speakers = known_speakers(report)
    if speakers is None:
        unknown = sum(utterance.speaker is None for utterance in report.utterances)
        names = "utterance names" if unknown == 1 else "utterances name"
        return [f"no interval over speakers: {unknown:,} {names} none"] if report.by_speaker else []
    if interval is None:
        return [f"no interval over speakers: {why_no_interval(*_columns(report, 'words'), speakers)}"]
    note = f"over speakers ({interval.count:,}) the WER's interval is {interval}: what to expect of new speakers"
    if not interval.reliable:
        note += f"; fewer than {FEW_UNITS} speakers, so it is a rough guess and rather too narrow"
    return [note]


def _columns(report: ScoreReport, measure: Measure) -> tuple[list[int], list[int]]:
    counts = [getattr(utterance, measure) for utterance in report.utterances]
    return [one.errors for one in counts], [one.reference_length for one in counts]


def _plain(interval: Interval | None) -> dict[str, Any] | None:
    if interval is None:
        return None
    return {
        "low": round(100 * interval.low, 4),
        "high": round(100 * interval.high, 4),
        "level": interval.level,
        "draws": interval.draws,
        "count": interval.count,
        "reliable": interval.reliable,
    }
