"""Error rates of conversations, in which it counts who said what: cpWER and tcpWER, by MeetEval.

In: references and hypotheses with recordings and speakers (stm, seglst, JSON Lines with speaker, audio and times).
Out: a ``ConversationScore``: counts of each recording and of all.

cpWER joins what each speaker says and takes the assignment of speakers with the fewest errors (CHiME-6; Watanabe et
al. 2020); the names of speakers need not agree. tcpWER also wants words to be at the right time, within a collar (von
Neumann et al., CHiME 2023). MeetEval (pip install 'asr-bilstm[meeteval]') counts.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.errors import ScoringError, UsageError
from asr.files import write_json, write_text
from asr.scoring.counts import ErrorCounts
from asr.scoring.intervals import Interval, bootstrap_interval
from asr.scoring.markdown import counted, escape, markdown_table
from asr.scoring.measures import COUNT_COLUMNS, count_columns, format_rate, percent
from asr.scoring.output import now, prepare_folder
from asr.scoring.read import TextFile, read_pair
from asr.scoring.report import first_ids
from asr.scoring.sclite import Choice, Part, has_marks, parse_marks
from asr.scoring.score_files import ScoreOptions
from asr.text.normalize import Normalizer

COLLAR_S = 5.0  # as MeetEval recommends
NAMES = {"cpwer": "cpWER", "tcpwer": "tcpWER"}
_FILES = ("summary.json", "report.md")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationScore:
    """``counts``: by measure ("cpwer", and "tcpwer" where all segments have times) and recording.

    ``speakers``: how many each recording has, in reference and hypothesis.
    """

    normalizer: str
    formats: Mapping[str, str]
    counts: Mapping[str, Mapping[str, ErrorCounts]]
    speakers: Mapping[str, tuple[int, int]]
    collar_s: float
    notes: tuple[str, ...] = ()
    page: Path | None = None

    def total(self, measure: str) -> ErrorCounts:
        """The counts of all recordings."""
        return ErrorCounts.total(self.counts[measure].values())

    def interval(self, measure: str) -> Interval | None:
        """Over recordings; None where there are too few or all are alike."""
        found = self.counts[measure].values()
        return bootstrap_interval([one.errors for one in found], [one.reference_length for one in found])

    def figures(self) -> dict[str, Any]:
        """For --print json and summary.json: rates in percent, null where there is no reference."""
        rows: dict[str, dict[str, Any]] = {
            key: {"speakers": {"reference": said, "hypothesis": heard}} for key, (said, heard) in self.speakers.items()
        }
        figures: dict[str, Any] = {"normalizer": self.normalizer, "formats": dict(self.formats)}
        for name, counts in self.counts.items():
            figures[name] = percent(self.total(name))
            figures[f"{name}_words"] = count_columns(self.total(name))
            for key, one in counts.items():
                rows[key] |= {name: percent(one), f"{name}_words": count_columns(one)}
        return figures | {"collar_s": self.collar_s, "recordings": rows}

    def rows(self) -> list[list[str]]:
        """A row a measure for a table: name, rate with its interval, counts."""
        return [
            [NAMES[name], f"{format_rate(self.total(name))} {self.interval(name) or ''}".rstrip()]
            + [f"{value:,}" for value in count_columns(self.total(name)).values()]
            for name in self.counts
        ]


TABLE_HEADER = ("measure", "rate", *COUNT_COLUMNS)


def score_conversations(options: ScoreOptions, collar_s: float = COLLAR_S) -> ConversationScore:
    """Read and score; raises UsageError without MeetEval, an AsrError that says what is wrong with the files."""
    try:
        from meeteval.wer.wer.cp import cp_word_error_rate
        from meeteval.wer.wer.time_constrained import time_constrained_minimum_permutation_word_error_rate
    except ImportError:
        raise UsageError("--conversation needs MeetEval: pip install 'asr-bilstm[meeteval]'") from None
    files = read_pair(
        options.references,
        options.hypotheses,
        format_name=options.format_name,
        hypothesis_format=options.hypothesis_format,
        allow_empty=options.missing == "as-deletions",
    )
    if options.out is not None:
        prepare_folder(options.out, options.references, options.hypotheses, names=_FILES)
    said, heard = (_recordings(file, options.normalizer) for file in files)
    keys, notes = _together(said, heard, options)
    timed = all(_are_timed(side.get(key, [])) for side in (said, heard) for key in keys)
    if not timed:
        notes.append("no tcpWER: not all segments have times")
    if marked := sum(has_marks(text) for file in files if file.marked for text in file.texts.values()):
        notes.append(
            f"{counted(marked, 'segment')} with sclite's marks: first alternatives and all optional words count"
        )
    counts: dict[str, dict[str, ErrorCounts]] = {name: {} for name in NAMES if timed or name == "cpwer"}
    for key in keys:
        pair = said[key], heard.get(key, [])
        counts["cpwer"][key] = _counts(cp_word_error_rate(*pair))
        if timed:
            found = time_constrained_minimum_permutation_word_error_rate(*pair, collar=collar_s)
            counts["tcpwer"][key] = _counts(found)
    score = ConversationScore(
        normalizer=options.normalizer.label,
        formats={"reference": files[0].format, "hypothesis": files[1].format},
        counts=counts,
        speakers={key: (_speakers(said[key]), _speakers(heard.get(key, []))) for key in keys},
        collar_s=collar_s,
        notes=tuple(notes),
        page=None if options.out is None else options.out / _FILES[1],
    )
    if options.out is not None:
        write_json(options.out / _FILES[0], score.figures())
        write_text(options.out / _FILES[1], _page(score, options))
    return score


Segments = list[dict[str, Any]]  # MeetEval's: session_id, speaker, words, start_time, end_time


def _recordings(file: TextFile, normalizer: Normalizer) -> dict[str, Segments]:
    """The segments of each recording; raises ScoringError where a text has no recording or no speaker."""
    lacking = [key for key in file.texts if key not in file.segments or key not in file.speakers]
    lacking = [key for key in lacking if file.texts[key].strip()]  # gaps between segments have no speaker
    if lacking:
        raise ScoringError(
            f"{file.path} (read as {file.format}): {counted(len(lacking), 'text')} without recording or speaker "
            f"({first_ids(lacking)}); --conversation needs both: give stm or seglst"
        )
    found: dict[str, Segments] = {}
    for key, text in file.texts.items():
        segment = file.segments.get(key)
        if segment is None or segment.ignored or key not in file.speakers:
            continue
        words = " ".join(_first_reading(parse_marks(text))) if file.marked and has_marks(text) else text
        found.setdefault(segment.recording, []).append(
            {
                "session_id": segment.recording,
                "speaker": file.speakers[key],
                "words": normalizer(words),
                "start_time": segment.start_s,
                "end_time": segment.end_s,
            }
        )
    return found


def _first_reading(parts: tuple[Part, ...]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, Choice):
            yield from _first_reading(part.options[0])
        else:
            yield part


def _together(
    said: Mapping[str, Segments], heard: Mapping[str, Segments], options: ScoreOptions
) -> tuple[list[str], list[str]]:
    """The recordings to score, and notes on those that have no partner."""
    missing, extra = [key for key in said if key not in heard], [key for key in heard if key not in said]
    for keys, treatment, what in (
        (missing, options.missing, "without a hypothesis: {}; add it, or give --missing as-deletions or skip"),
        (extra, options.extra, "without a reference: {}; remove it, or give --extra skip"),
    ):
        if keys and treatment == "error":
            raise ScoringError(f"{counted(len(keys), 'recording')} {what.format(first_ids(keys))}")
    notes = [f"no hypothesis for {len(missing)} of {counted(len(said), 'recording')}"] if missing else []
    notes += [f"no reference for {counted(len(extra), 'recording')}: not scored"] if extra else []
    keys = [key for key in said if options.missing != "skip" or key in heard]
    if not keys:
        raise ScoringError("there is nothing to score: no recording has both a reference and a hypothesis")
    return keys, notes


def _are_timed(segments: Segments) -> bool:
    return all(one["end_time"] > one["start_time"] for one in segments if one["words"])


def _speakers(segments: Segments) -> int:
    return len({one["speaker"] for one in segments if one["words"]})


def _counts(found: Any) -> ErrorCounts:
    """MeetEval's rate as counts."""
    hits = found.length - found.substitutions - found.deletions
    return ErrorCounts(hits, found.substitutions, found.deletions, found.insertions)


def _page(score: ConversationScore, options: ScoreOptions) -> str:
    recordings = [
        [escape(key), f"{said} / {heard}"] + [cell for name in score.counts for cell in _cells(score.counts[name][key])]
        for key, (said, heard) in score.speakers.items()
    ]
    names = [name for key in score.counts for name in (NAMES[key], *COUNT_COLUMNS)]
    facts = [
        f"- System: {escape(str(options.hypotheses))}",
        f"- Data: {escape(str(options.references))}",
        f"- Read as: {score.formats['reference']} and {score.formats['hypothesis']}",
        f"- Normaliser: {escape(score.normalizer)}",
        f"- Collar of tcpWER: {score.collar_s:g} s",
        f"- Date: {now()}",
        *(f"- Note: {escape(note)}" for note in score.notes),
    ]
    sections = [
        f"# Conversations: errors of {escape(options.hypotheses.name)}",
        "\n".join(facts),
        markdown_table(TABLE_HEADER, score.rows()),
        "## Recordings",
        markdown_table(("recording", "speakers", *names), recordings),
    ]
    return "\n\n".join(sections) + "\n"


def _cells(counts: ErrorCounts) -> list[str]:
    return [format_rate(counts), *(f"{value:,}" for value in count_columns(counts).values())]


def render_line(score: ConversationScore) -> str:
    """``cpwer=12.50 tcpwer=13.10 s=1 d=2 i=3 n=48 recordings=2 reference_format=stm hypothesis_format=stm``."""
    rates = {name: 100 * score.total(name).rate for name in score.counts}
    words = [f"{name}={'nan' if math.isnan(rate) else f'{rate:.2f}'}" for name, rate in rates.items()]
    numbers = {key.lower(): value for key, value in count_columns(score.total("cpwer")).items() if key != "errors"}
    words += [f"{key}={value}" for key, value in numbers.items()]
    return " ".join(
        [*words, f"recordings={len(score.speakers)}", *(f"{side}_format={one}" for side, one in score.formats.items())]
    )
