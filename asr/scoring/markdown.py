"""A score report as a Markdown page that reads well on GitHub and as plain text.

In: a ``ScoreReport`` and a ``ReportHeader``. Out: Markdown text. Ids, names and transcripts are foreign text:
they are put in code spans or code blocks whose fences are longer than any run of backticks inside, so that nothing in
them can become markup, a table column or a line of its own.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from asr.scoring.counts import ErrorCounts, align_words, alignment_block
from asr.scoring.intervals import interval_notes, rate_intervals
from asr.scoring.measures import COUNT_COLUMNS, count_columns, format_rate, measures_in
from asr.scoring.report import ScoreReport, UtteranceScore

_SHOWN_WITHOUT_REFERENCE = 20
_SHOWN_CHANGES = 30
_INTERVALS = {"utterances": "95 % interval", "speakers": "over speakers"}  # columns shown where there are any
_MARKUP = re.compile(r"[\\`*_\[\]~#!]")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportHeader:
    """The head of a report: what is reported, of which system, on which data, when; then ``facts``."""

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
        _changes(report),
        *breakdown,
        _worst(report, worst),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def counted(number: int, noun: str) -> str:
    """A number with its noun: ``1 word``, ``1,024 words``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def escape(text: str) -> str:
    """``text`` on one line with every character that could be markup escaped, for headings and running text."""
    return _MARKUP.sub(r"\\\g<0>", _one_line(text)).translate(_ENTITIES)


def link(text: str, path: str) -> str:
    """``text`` as a link to the file ``path``, relative to the page; a name may hold spaces, brackets and ``|``."""
    return f"[{escape(text)}]({quote(path)})"


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
    measures = measures_in("report", report)
    intervals = [rate_intervals(report, measure) for measure in measures]
    columns = [column for column in _INTERVALS if any(getattr(one, column) is not None for one in intervals)]
    names = ["measure", "text", "rate", *(_INTERVALS[column] for column in columns)]
    cells = []
    for measure, found in zip(measures, intervals, strict=True):
        counts: ErrorCounts = getattr(report, measure.counts)
        measured = (measure.label, escape(measure.text(report.normalizer)), measure.shown(counts))
        cells.append([*measured, *(str(getattr(found, column) or "–") for column in columns), *_numbers(counts)])
    names += COUNT_COLUMNS
    note = "Error rates are (S+D+I)/N over the whole set: substitutions, deletions, insertions, reference length."
    note += f" {'; '.join(f'{label}: {name}' for label, name in {one.label: one.name for one in measures}.items())}."
    if report.words.reference_length == 0:
        note += "\n\n**No reference holds a word, so there is no WER: only insertions can be counted.**"
    note = "\n\n".join([note, *map(_sentence, interval_notes(report))])
    return f"## Error rates\n\n{markdown_table(names, cells, left=2)}\n\n{note}"


def _sentence(note: str) -> str:
    text = escape(note)
    return text[0].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _changes(report: ScoreReport) -> str:
    if not report.changes:
        return ""
    corrected = sum(count for change, count in report.changes if change.corrected)
    introduced = sum(count for change, count in report.changes if not change.corrected)
    shown = report.changes[:_SHOWN_CHANGES]
    cells = [
        (*(escape(text) if text else "–" for text in (one.reference, one.hypothesis)), one.outcome, f"{count:,}")
        for one, count in shown
    ]
    lead = (
        f"{escape(report.normalizer)} corrected {counted(corrected, 'error')} (wrong in the raw text, right after "
        f"normalisation) and introduced {counted(introduced, 'error')} (the other way round). Texts are raw."
    )
    more = len(report.changes) - len(shown)
    tail = f"\n\n… and {counted(more, 'further pair')} of words." if more else ""
    table = markdown_table(("reference", "hypothesis", "error", "times"), cells, left=3)
    return f"## Words changed by normalisation\n\n{lead}\n\n{table}{tail}"


def _speakers(report: ScoreReport) -> str:
    if not report.by_speaker:
        return ""
    measures = measures_in("group")
    names = ("speaker", "utterances", *(measure.label for measure in measures), *COUNT_COLUMNS)
    by_rate = sorted(report.by_speaker.items(), key=lambda item: (-_sortable(item[1].words), item[0]))
    cells = [
        (
            escape(speaker) if "|" in speaker else code_span(speaker),
            f"{group.utterances:,}",
            *(measure.shown(getattr(group, measure.counts)) for measure in measures),
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
    inserting = sorted((u for u in silent if u.words.insertions), key=lambda u: -u.words.insertions)
    lines = [
        "## Utterances with no reference words",
        "",
        f"{len(silent):,} of {counted(len(report.utterances), 'utterance')} have no reference word after "
        f"normalisation. What was recognised there ({counted(inserted, 'word')}) counts as insertions in the rates "
        "above.",
    ]
    shown = inserting[:_SHOWN_WITHOUT_REFERENCE]
    if shown:
        lines += ["", *(f"- {code_span(u.id)}: {code_span(u.hypothesis)}" for u in shown)]
    if len(inserting) > len(shown):
        lines.append(f"- … and {len(inserting) - len(shown):,} more")
    return "\n".join(lines)


def _worst(report: ScoreReport, count: int) -> str:
    worst = report.worst(count)
    if count <= 0 or not report.words.reference_length:
        return ""
    if not worst:
        return "## Worst utterances\n\nNone: every utterance with reference words is correct."
    entries = [_worst_entry(rank, utterance) for rank, utterance in enumerate(worst, start=1)]
    return "\n\n".join(["## Worst utterances\n\nMost word errors first; texts after normalisation.", *entries])


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
    return [f"{value:,}" for value in count_columns(counts).values()]


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
