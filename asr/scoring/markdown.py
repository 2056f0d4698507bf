"""A score report as a Markdown page that reads well on GitHub and as plain text.

In: a ``ScoreReport`` and a ``ReportHeader``. Out: Markdown text. Ids, names and transcripts are other people's text:
they stand in code spans or code blocks whose fences are longer than any run of backticks inside, so that nothing in
them can become markup, a table column or a line of its own.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from asr.scoring.counts import ErrorCounts, align_words, alignment_block
from asr.scoring.intervals import RATES, interval_notes, rate_intervals
from asr.scoring.report import SHOWN_CHANGES, ScoreReport, UtteranceScore

NO_RATE = "undefined (no reference)"
_SHOWN_WITHOUT_REFERENCE = 20
_INTERVALS = {"utterances": "95 % interval", "speakers": "over speakers"}  # columns that stand where there are any
_MARKUP = re.compile(r"[\\`*_\[\]~#!]")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportHeader:
    """What stands on top of a report: what is reported, of which system, on which data, when; then ``facts``."""

    title: str
    system: str
    data: str
    date: str
    facts: Mapping[str, str] = field(default_factory=dict)


def render_markdown(
    report: ScoreReport, header: ReportHeader, *, worst: int = 10, breakdown: Sequence[str] = ()
) -> str:
    """The whole page; ``worst``: how many utterances are shown with their alignment; ``breakdown``: its sections."""
    sections = [
        _head(report, header),
        _overall(report),
        _speakers(report),
        _without_reference(report),
        _verdicts(report),
        *breakdown,
        _worst(report, worst),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def format_rate(counts: ErrorCounts) -> str:
    """The error rate with two decimals, ``12.34%``; over an empty reference it says that there is none."""
    return f"{100 * counts.rate:.2f}%" if counts.reference_length else NO_RATE


def counted(number: int, noun: str) -> str:
    """A number with its noun: ``1 word``, ``1,024 words``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def escape(text: str) -> str:
    """``text`` on one line with every character that could be markup escaped, for headings and running text."""
    return _MARKUP.sub(r"\\\g<0>", _one_line(text)).translate(_ENTITIES)


def code_span(text: str) -> str:
    """``text`` as inline code, on one line; not for tables, where a pipe in code still ends the cell."""
    line = _one_line(text) or " "
    fence = "`" * (_longest_run(line) + 1)
    padding = " " if line[0] in "` " or line[-1] in "` " else ""
    return f"{fence}{padding}{line}{padding}{fence}"


def code_block(text: str) -> str:
    """``text`` as a fenced block that no backticks inside can close."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def _head(report: ScoreReport, header: ReportHeader) -> str:
    facts = {"System": code_span(header.system), "Data": code_span(header.data), "Date": escape(header.date)}
    facts["Normaliser"] = f"{escape(report.normalizer)} (raw: Unicode composed to NFC, white space collapsed)"
    facts["Utterances"] = f"{len(report.utterances):,}"
    if report.audio_s is not None:
        facts["Audio"] = f"{report.audio_s / 3600:.2f} hours"
    facts |= {escape(name): escape(value) for name, value in header.facts.items()}
    lines = [f"- {name}: {value}" for name, value in facts.items()]
    return "\n".join([f"# {escape(header.title)}", "", *lines])


def _overall(report: ScoreReport) -> str:
    texts = (report.normalizer, report.normalizer, "raw", "raw")
    intervals = [rate_intervals(report, measure) for measure in RATES.values()]
    columns = [column for column in _INTERVALS if any(getattr(one, column) is not None for one in intervals)]
    names = ["measure", "text", "rate", *(_INTERVALS[column] for column in columns)]
    cells = []
    for (name, measure), text, found in zip(RATES.items(), texts, intervals, strict=True):
        counts: ErrorCounts = getattr(report, measure)
        measured = (name.removeprefix("raw_").upper(), escape(text), format_rate(counts))
        cells.append([*measured, *(str(getattr(found, column) or "–") for column in columns), *_numbers(counts)])
    names += ["S", "D", "I", "errors", "N"]
    note = "Rates are (S+D+I)/N over the whole set: substitutions, deletions, insertions, reference length."
    if report.words.reference_length == 0:
        note += "\n\n**No reference holds a word, so there is no WER: only insertions can be counted.**"
    note = "\n\n".join([note, *map(_sentence, interval_notes(report))])
    return f"## Error rates\n\n{markdown_table(names, cells, left=2)}\n\n{note}"


def _sentence(note: str) -> str:
    text = escape(note)
    return text[0].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _verdicts(report: ScoreReport) -> str:
    """The words that are right or wrong only by the normaliser's grace."""
    if not report.changes:
        return ""
    forgiven = sum(count for change, count in report.changes if change.forgiven)
    condemned = sum(count for change, count in report.changes if not change.forgiven)
    shown = report.changes[:SHOWN_CHANGES]
    verdicts = {True: "wrong, now right", False: "right, now wrong"}
    cells = [
        (*(escape(text) if text else "–" for text in (one.reference, one.hypothesis)), verdicts[one.forgiven], f"{n:,}")
        for one, n in shown
    ]
    names = ("reference", "hypothesis", "verdict", "times")
    lead = f"By {escape(report.normalizer)}: {forgiven:,} times wrong as written and right as compared, "
    lead += f"{condemned:,} times the other way round; texts as written."
    more = len(report.changes) - len(shown)
    tail = f"\n\n… and {counted(more, 'further pair')} of words." if more else ""
    return f"## Words whose verdict the normaliser changed\n\n{lead}\n\n{markdown_table(names, cells, left=3)}{tail}"


def _speakers(report: ScoreReport) -> str:
    if not report.by_speaker:
        return ""
    names = ("speaker", "utterances", "WER", "CER", "S", "D", "I", "errors", "N")
    by_rate = sorted(report.by_speaker.items(), key=lambda item: (-_sortable(item[1].words), item[0]))
    cells = [
        (
            escape(speaker) if "|" in speaker else code_span(speaker),
            f"{group.utterances:,}",
            format_rate(group.words),
            format_rate(group.characters),
            *_numbers(group.words),
        )
        for speaker, group in by_rate
    ]
    unknown = sum(utterance.speaker is None for utterance in report.utterances)
    note = f"\n\nWithout a speaker, and in no row: {counted(unknown, 'utterance')}." if unknown else ""
    return f"## Speakers\n\n{markdown_table(names, cells)}{note}"


def _without_reference(report: ScoreReport) -> str:
    silent = report.without_reference_words
    if not silent:
        return ""
    inserted = sum(utterance.words.insertions for utterance in silent)
    heard = sorted((u for u in silent if u.words.insertions), key=lambda u: -u.words.insertions)
    lines = [
        "## Utterances with no reference words",
        "",
        f"Of {counted(len(report.utterances), 'utterance')}, {len(silent):,} with no word in the reference once "
        f"normalised. What was recognised there ({counted(inserted, 'word')}) counts as insertions in the rates above.",
    ]
    shown = heard[:_SHOWN_WITHOUT_REFERENCE]
    if shown:
        lines += ["", *(f"- {code_span(u.id)}: {code_span(u.hypothesis)}" for u in shown)]
    if len(heard) > len(shown):
        lines.append(f"- … and {len(heard) - len(shown):,} more")
    return "\n".join(lines)


def _worst(report: ScoreReport, count: int) -> str:
    worst = report.worst(count)
    if count <= 0 or not report.words.reference_length:
        return ""
    if not worst:
        return "## Worst utterances\n\nNone: every utterance with reference words is right to the word."
    entries = [_worst_entry(rank, utterance) for rank, utterance in enumerate(worst, start=1)]
    return "\n\n".join(["## Worst utterances\n\nMost word errors first; texts as compared.", *entries])


def _worst_entry(rank: int, utterance: UtteranceScore) -> str:
    counts = utterance.words
    speaker = f", speaker {code_span(utterance.speaker)}" if utterance.speaker is not None else ""
    block = alignment_block(align_words(utterance.reference_normalized, utterance.hypothesis_normalized))
    return (
        f"### {rank}. {code_span(utterance.id)}\n\n"
        f"{format_rate(counts)}: {counted(counts.errors, 'error')} in {counted(counts.reference_length, 'word')} "
        f"(S {counts.substitutions}, D {counts.deletions}, I {counts.insertions}){speaker}\n\n{code_block(block)}"
    )


def _sortable(counts: ErrorCounts) -> float:
    return counts.rate if counts.reference_length else -1.0


def _numbers(counts: ErrorCounts) -> list[str]:
    values = (counts.substitutions, counts.deletions, counts.insertions, counts.errors, counts.reference_length)
    return [f"{value:,}" for value in values]


def markdown_table(names: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """A Markdown table; the first ``left`` columns to the left, the others (numbers) to the right."""
    rule = ["---" if index < left else "---:" for index in range(len(names))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (names, rule, *rows))


def _one_line(text: str) -> str:
    """White space collapsed; control and direction characters, which could hide or reorder text, made visible."""
    return "".join(
        "\ufffd" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in " ".join(text.split())
    )


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
