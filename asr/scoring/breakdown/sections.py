"""The breakdown as sections of a Markdown report: the first rows of each table, and how many more there are.

In: a ``Breakdown``. Out: Markdown sections; whoever wants every row finds them in breakdown.json.
"""

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from asr.scoring.breakdown.groups import FEW_UTTERANCES, FEW_WORDS, Grouping, GroupRow
from asr.scoring.breakdown.tokens import PAUSE_S, Places, TokenBreakdown, TokenErrors, TrainingBin
from asr.scoring.breakdown.whole import Breakdown, ConfidenceReport, Oracle
from asr.scoring.markdown import code_span, counted, escape, markdown_table
from asr.scoring.measures import format_rate, measures_in

SHOWN = 10
_MARK = " \\*"

Row = TypeVar("Row")


def breakdown_sections(breakdown: Breakdown, *, shown: int = SHOWN) -> list[str]:
    """The sections in order; tables of ``shown`` rows at most, groupings whole, speakers not among them."""
    parts = [
        _groupings([grouping for grouping in breakdown.groupings if grouping.name != "speaker"]),
        _tokens("Words", "word", breakdown.words, shown),
        _training(breakdown.training),
        _places(breakdown.places),
        _tokens("Characters", "character", breakdown.characters, shown),
        _oracle(breakdown.oracle),
        _confidence(breakdown.confidence),
    ]
    return [part for part in parts if part]


def _groupings(groupings: Sequence[Grouping]) -> str:
    telling = [grouping for grouping in groupings if len(grouping.rows) > 1]
    if not telling:
        return ""
    note = (
        f"Marked{_MARK}: fewer than {FEW_UTTERANCES} utterances or {FEW_WORDS} reference "
        "words, too few for a rate to mean much."
    )
    small = any(row.small for grouping in telling for row in grouping.rows)
    intro = ["## Groups", *([note] if small else [])]
    return "\n\n".join([*intro, *map(_grouping, telling)])


def _grouping(grouping: Grouping) -> str:
    title = grouping.name.capitalize() if grouping.unit is None else f"{grouping.name.capitalize()}, {grouping.unit}"
    labels = (measure.label for measure in measures_in("group"))
    names = (escape(grouping.name), "utterances", "words", *labels, "S", "D", "I")
    return f"### {escape(title)}\n\n{markdown_table(names, map(_group_cells, grouping.rows))}"


def _group_cells(row: GroupRow) -> list[str]:
    words = row.words
    numbers = (words.substitutions, words.deletions, words.insertions)
    label = escape(row.label) + (_MARK if row.small else "")
    sizes = [f"{row.utterances:,}", f"{words.reference_length:,}"]
    rates = (measure.shown(getattr(row, measure.counts)) for measure in measures_in("group"))
    return [label, *sizes, *rates, *(f"{value:,}" for value in numbers)]


def _tokens(title: str, noun: str, tokens: TokenBreakdown, shown: int) -> str:
    missed = [one for one in tokens.tokens if one.missed]
    tables = [
        _top(
            f"Most missed {noun}s",
            missed,
            (noun, "in references", "correct", "recall", "precision"),
            _token_cells,
            shown,
        ),
        _top(
            f"Most confused {noun}s",
            tokens.confusions,
            ("reference", "recognised", "times"),
            lambda one: [_cell(one.reference), _cell(one.hypothesis), f"{one.count:,}"],
            shown,
            left=2,
        ),
        _top(f"Most deleted {noun}s", tokens.most_deleted(), (noun, "deleted", "in references"), _deleted_cells, shown),
        _top(
            f"Most inserted {noun}s",
            tokens.most_inserted(),
            (noun, "inserted", "in hypotheses"),
            _inserted_cells,
            shown,
        ),
    ]
    found = [table for table in tables if table]
    return "\n\n".join([f"## {title}", *found]) if found else ""


def _token_cells(one: TokenErrors) -> list[str]:
    return [_cell(one.token), f"{one.said:,}", f"{one.hits:,}", _rate(one.recall), _rate(one.precision)]


def _deleted_cells(one: TokenErrors) -> list[str]:
    return [_cell(one.token), f"{one.deleted:,}", f"{one.said:,}"]


def _inserted_cells(one: TokenErrors) -> list[str]:
    return [_cell(one.token), f"{one.inserted:,}", f"{one.recognised:,}"]


def _top(
    title: str,
    rows: Sequence[Row],
    names: Sequence[str],
    cells: Callable[[Row], Sequence[str]],
    shown: int,
    left: int = 1,
) -> str:
    if not rows:
        return ""
    more = f"\n\n… and {len(rows) - shown:,} more in breakdown.json." if len(rows) > shown else ""
    return f"### {title}\n\n{markdown_table(names, map(cells, rows[:shown]), left=left)}{more}"


def _training(bins: Sequence[TrainingBin] | None) -> str:
    if bins is None:
        return ""
    names = ("times in the training text", "different words", "in references", "correct", "recall")
    cells = [(one.label, f"{one.different:,}", f"{one.said:,}", f"{one.hits:,}", _rate(one.recall)) for one in bins]
    return f"## Rare and unseen words\n\n{markdown_table(names, cells)}"


def _places(places: Places) -> str:
    pause = f"at least {PAUSE_S:g} s from a neighbour"
    rows = [
        ("inserted in utterances without reference words", places.inserted_where_nothing_was_said),
        ("inserted before the first word", places.inserted_at_start),
        ("inserted after the last word", places.inserted_at_end),
        (f"inserted {pause}", places.inserted_beside_pause if places.utterances_with_times else None),
        ("inserted in running speech", places.inserted_in_speech),
        ("deleted because nothing was recognised", places.deleted_where_nothing_was_recognised),
        ("deleted at the start", places.deleted_at_start),
        ("deleted at the end", places.deleted_at_end),
        ("deleted elsewhere", places.deleted_in_speech),
    ]
    if not any(count for _, count in rows):
        return ""
    cells = [(label, f"{count:,}") for label, count in rows if count is not None]
    return f"## Where words are inserted and deleted\n\n{markdown_table(('place', 'words'), cells)}"


def _oracle(found: Oracle | None) -> str:
    if found is None:
        return ""
    cells = [(f"{depth:,}", format_rate(counts), f"{counts.errors:,}") for depth, counts in found.by_depth]
    note = (
        f"{found.utterances_with_n_best:,} of {counted(found.utterances, 'utterance')} have more than one hypothesis."
    )
    names = ("best of", "WER", "errors")
    return f"## Oracle WER of the n-best lists\n\n{markdown_table(names, cells)}\n\n{note}"


def _confidence(found: ConfidenceReport | None) -> str:
    if found is None:
        return ""
    unknown = counted(found.without_outcome, "word")
    without = f" Not counted, because correctness is unknown: {unknown}." if found.without_outcome else ""
    ranking = "undefined" if math.isnan(found.ranking_quality) else f"{found.ranking_quality:.3f}"
    facts = (
        f"{counted(found.words, 'word')}, {_rate(found.right / found.words)} right, mean confidence "
        f"{_rate(found.mean_confidence)}. Expected calibration error {_rate(found.calibration_error)} ("
        f"{_rate(found.chance_error)} expected by chance on this many words), Brier score {found.brier_score:.4f}, "
        "area under the ROC "
        f"curve {ranking}.{without}"
    )
    cells = [(f"{promised:.3f}", f"{held:.3f}", f"{count:,}") for promised, held, count in found.bins]
    return f"## Confidence\n\n{facts}\n\n{markdown_table(('mean confidence', 'share right', 'words'), cells, left=0)}"


def _cell(token: str) -> str:
    return "(space)" if token == " " else escape(token) if "|" in token else code_span(token)


def _rate(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.2f}%"
