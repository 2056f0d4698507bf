"""A comparison as a Markdown page: rates, verdicts, tests, and what differs by word, group and utterance.

In: a ``Comparison``. Out: Markdown text. The first system is set against each other one in the parts on what differs.
Names, words and ids are other people's text and are escaped as ``markdown.py`` does.
"""

from collections.abc import Mapping

from asr.scoring.align import alignment_block
from asr.scoring.compare import Comparison, Pair
from asr.scoring.compare_differences import (
    Key,
    UtteranceDifference,
    difference_by,
    length_of_reference,
    utterance_differences,
    word_differences,
)
from asr.scoring.compare_text import (
    INTERVALS_MEAN,
    SYSTEM_HEADER,
    group_row,
    rows_of_tests,
    scope_sentence,
    settling_sentence,
    system_rows,
    verdict_sentence,
)
from asr.scoring.markdown import code_block, code_span, counted, escape, markdown_table
from asr.scoring.rate_intervals import LIMITS, known_speakers

_SHOWN_WORDS = 25


def render_comparison(comparison: Comparison, keys: Mapping[str, Key], facts: Mapping[str, str], *, most: int) -> str:
    """The whole page. ``keys``: further groupings by name; ``most``: utterances shown with both alignments."""
    names = [system.name for system in comparison.systems]
    head = [f"# {escape(' against '.join(names))}", "", *(f"- {escape(k)}: {escape(v)}" for k, v in facts.items())]
    sections = ["\n".join(head), _systems(comparison), _verdicts(comparison), _tests(comparison)]
    for pair in comparison.pairs:
        if pair.first == names[0] and not pair.same_words:
            sections.append(_what_differs(comparison, pair, keys, most))
    return "\n\n".join(sections) + "\n"


def group_header(pair: Pair, name: str) -> tuple[str, ...]:
    """The titles over ``group_row``."""
    return (name, "utterances", "words", pair.first, pair.second, "difference")


def _systems(comparison: Comparison) -> str:
    rows = [[escape(row[0]), *row[1:]] for row in system_rows(comparison)]
    return f"## Error rates\n\n{markdown_table(SYSTEM_HEADER, rows)}"


def _verdicts(comparison: Comparison) -> str:
    lines = []
    for pair in comparison.pairs:
        sentence = escape(verdict_sentence(comparison, pair))
        for phrase in ("not distinguishable", "is better than", "cannot be compared"):
            sentence = sentence.replace(phrase, f"**{phrase}**", 1)
        more = settling_sentence(comparison, pair)
        lines.append(f"- {sentence}." + (f" {escape(more)}." if more else ""))
    notes = [INTERVALS_MEAN, LIMITS.replace("They hold", "Verdicts hold"), scope_sentence(comparison)]
    return "\n\n".join(["## Verdict", "\n".join(lines), *(escape(note) for note in notes if note)])


def _tests(comparison: Comparison) -> str:
    several = len(comparison.pairs) > 1
    parts = ["## Tests", "The probability p of a difference as great as this if the two were equally good, two-sided."]
    if several:
        parts[1] += " Without correction; the verdicts above are corrected."
    for pair in comparison.pairs:
        if several:
            parts.append(f"### {escape(pair.first)} and {escape(pair.second)}")
        rows = [[name, escape(detail), note, escape(p_value)] for name, p_value, detail, note in rows_of_tests(pair)]
        parts.append(markdown_table(("test", "saw", "remark", "p"), rows, left=3))
    return "\n\n".join(parts)


def _what_differs(comparison: Comparison, pair: Pair, keys: Mapping[str, Key], most: int) -> str:
    parts = [f"## What differs: {escape(pair.first)} against {escape(pair.second)}", _words(comparison, pair)]
    groupings: dict[str, Key] = {"length of the reference": length_of_reference}
    if known_speakers(comparison.systems[0].report):
        groupings["speaker"] = lambda utterance: utterance.speaker
    for name, key in (groupings | dict(keys)).items():
        rows = [group_row(group) for group in difference_by(comparison, pair.first, pair.second, key)]
        titles = [escape(title) for title in group_header(pair, name)]
        table = markdown_table(titles, [[escape(row[0]), *row[1:]] for row in rows])
        parts.append(f"### By {escape(name)}\n\n{table if rows else 'No utterance tells.'}")
    parts.append("Above 0 the first is better; intervals are over utterances. Of many groups some differ by chance.")
    parts.append(_utterances(comparison, pair, most))
    return "\n\n".join(part for part in parts if part)


def _words(comparison: Comparison, pair: Pair) -> str:
    found = word_differences(comparison, pair.first, pair.second)
    if not found:
        return ""
    first, second = escape(pair.first), escape(pair.second)
    names = ("word", "said", f"{first} alone right", f"{second} alone right", "both wrong", "put in (each)")
    rows = [
        (
            escape(one.word),
            *(f"{count:,}" for count in (one.count, one.first_only, one.second_only, one.both_missed)),
            f"{one.first_inserted:,} / {one.second_inserted:,}",
        )
        for one in found[:_SHOWN_WORDS]
    ]
    more = f"\n\n… and {counted(len(found) - len(rows), 'more word')}." if len(found) > len(rows) else ""
    return f"### By word\n\n{markdown_table(names, rows)}{more}"


def _utterances(comparison: Comparison, pair: Pair, most: int) -> str:
    found = utterance_differences(comparison, pair.first, pair.second)
    if not found or most <= 0:
        return ""
    better, worse = sum(one.gain > 0 for one in found), sum(one.gain < 0 for one in found)
    alike = len(comparison.utterances) - len(found)
    text = (
        f"Fewer errors with {escape(pair.first)} in {better:,}, with {escape(pair.second)} in {worse:,}, "
        f"as many in {alike:,} of {counted(len(comparison.utterances), 'utterance')}."
    )
    entries = [_utterance(comparison, pair, one) for one in found[:most]]
    return "\n\n".join(["### Utterances that differ most", text, *entries])


def _utterance(comparison: Comparison, pair: Pair, one: UtteranceDifference) -> str:
    blocks = []
    for name, utterance in ((pair.first, one.first), (pair.second, one.second)):
        drawn = alignment_block(comparison.alignments[name][one.index])
        blocks.append(f"{escape(name)}: {counted(utterance.words.errors, 'error')}\n\n{code_block(drawn)}")
    speaker = "" if one.first.speaker is None else f", speaker {code_span(one.first.speaker)}"
    return "\n\n".join([f"#### {code_span(one.first.id)}{speaker}", *blocks])
