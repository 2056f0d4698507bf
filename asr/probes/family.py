"""One table of a family of finished trainings: cost and WER of each member, and the differences between members.

In: run folders of members and seeds. Out: a row per member: weights, training seconds per hour of audio, memory at some
lengths, WER of each seed, its mean, and two intervals, which answer different questions: over seeds (another training
of the same kind; Student's t) and over utterances (other recordings of this kind; a bootstrap that draws an utterance
together with the results of all seeds).

Also a row per pair of members: the difference of their WERs, on the same utterances, with intervals over utterances
(other recordings of these speakers) and over speakers by the paired bootstrap, and over seeds by Welch's t. What is
hard for both cancels, so two members whose own intervals overlap may still differ. The p-value of a pair is the larger
of those over utterances and over seeds: a difference has to hold for both.
"""

import dataclasses
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import torch

from asr.errors import DataError, UsageError
from asr.figures import new_figure, save_figure
from asr.models import AcousticModel, ModelConfig
from asr.pretrained import from_pretrained
from asr.probes.changed_models import ErrorRow, error_row
from asr.probes.cost import FORWARD, TRAINING, CostOptions, CostRow, measure_shape
from asr.probes.members import STEP, count_weights, fit_size
from asr.probes.record import draw_bars, mean_interval, welch
from asr.scoring.counts import ErrorCounts
from asr.scoring.intervals import FEW_UNITS
from asr.scoring.report import ScoreReport, UtteranceScore
from asr.scoring.results import read_results
from asr.scoring.significance import Difference, holm, paired_bootstrap

ALPHA = 0.05
Reports = Mapping[str, Sequence[ScoreReport]]


class DifferenceRow(TypedDict):
    """The difference in WER of two members, ``second`` less ``first``, in points; intervals as [low, high] or None."""

    first: str
    second: str
    points: float
    over_utterances: list[float] | None
    over_speakers: list[float] | None
    over_seeds: list[float] | None
    utterances: int
    speakers: int | None
    seeds: int
    p_value: float | None
    p_corrected: NotRequired[float]


class FamilyRow(ErrorRow):
    """A member: its size, the cost of its trainings, its errors."""

    member: str
    encoder: str
    parameters: int
    hidden_size: int
    training_s_per_audio_hour: float
    training_s: list[float]
    seeds: list[int]
    commits: list[str]
    hardware: list[str]


def difference_rows(reports: Reports) -> list[DifferenceRow]:
    """A row for each pair of kinds, with ``p_corrected`` after Holm for so many pairs. Raises DataError."""
    rows = [difference_row(pair, reports[pair[0]], reports[pair[1]]) for pair in combinations(reports, 2)]
    known = [(row, row["p_value"]) for row in rows if row["p_value"] is not None]
    for (row, _), p_value in zip(known, holm([p_value for _, p_value in known]), strict=True):
        row["p_corrected"] = p_value
    return rows


def difference_row(
    names: tuple[str, str], first: Sequence[ScoreReport], second: Sequence[ScoreReport]
) -> DifferenceRow:
    """``points``: the WER of ``second`` less that of ``first``; an interval is None where there is none.

    Raises DataError unless both are equally many trainings, scored on the same utterances.
    """
    _require_comparable(names, first, second)
    pooled = _pooled(first), _pooled(second)
    errors = [[one.errors for one in counts] for counts in pooled]
    lengths = [one.reference_length for one in pooled[0]]
    speakers = [one.speaker for one in by_id(first[0])]
    rates = [[100 * one.words.rate for one in reports] for reports in (first, second)]
    over_utterances = paired_bootstrap(errors[0], errors[1], lengths)
    over_speakers = None if None in speakers else paired_bootstrap(errors[0], errors[1], lengths, clusters=speakers)
    over_seeds = welch(rates[1], rates[0])
    p_values = [one.p_value for one in (over_utterances, over_seeds) if one is not None and one.p_value is not None]
    return {
        "first": names[0],
        "second": names[1],
        "points": over_seeds.difference,
        "over_utterances": _ends(over_utterances),
        "over_speakers": _ends(over_speakers),
        "over_seeds": None if over_seeds.low is None or over_seeds.high is None else [over_seeds.low, over_seeds.high],
        "utterances": len(lengths),
        "speakers": None if None in speakers else len(set(speakers)),
        "seeds": len(first),
        "p_value": max(p_values) if len(p_values) == 2 else None,
    }


def _require_comparable(names: tuple[str, str], first: Sequence[ScoreReport], second: Sequence[ScoreReport]) -> None:
    if len(first) != len(second):
        raise DataError(
            f"{names[0]} has {len(first)} trainings and {names[1]} {len(second)}; give both the same number"
        )
    scored = [[(one.id, one.words.reference_length) for one in by_id(report)] for report in (*first, *second)]
    if any(one != scored[0] for one in scored):
        raise DataError(f"the trainings of {names[0]} and {names[1]} were not scored on the same utterances and texts")
    if not sum(length for _, length in scored[0]):
        raise DataError("the references have no words, so there is no WER to compare")


def _pooled(reports: Sequence[ScoreReport]) -> list[ErrorCounts]:
    """The counts of each utterance, summed over trainings."""
    counts = [[one.words for one in by_id(report)] for report in reports]
    return [ErrorCounts.total(each) for each in zip(*counts, strict=True)]


def by_id(report: ScoreReport) -> list[UtteranceScore]:
    """The utterances in an order that all trainings share."""
    return sorted(report.utterances, key=lambda one: one.id)


def _ends(found: Difference | None) -> list[float] | None:
    return None if found is None else [100 * found.low, 100 * found.high]


def render_differences(rows: Sequence[DifferenceRow]) -> str:
    """One pair in full; of several pairs, those that differ."""
    if len(rows) == 1:
        return _sentence(rows[0])
    tested = [row for row in rows if row["p_value"] is not None]
    if not tested:
        return "With one seed, or the same WER for all seeds, the pairs cannot be tested; give more --seeds."
    worse = defaultdict(list)
    for row in tested:
        if row["p_corrected"] < ALPHA:
            better, other = (row["first"], row["second"]) if row["points"] > 0 else (row["second"], row["first"])
            worse[other].append(better)
    found = "; ".join(
        f"{name} has a higher WER than {', '.join(sorted(others))}" for name, others in sorted(worse.items())
    )
    untested = [f"{row['first']} and {row['second']}" for row in rows if row["p_value"] is None]
    return (
        f"Compared pairwise on the same utterances ({len(tested)} pairs; p is the larger of the paired "
        f"bootstrap's over utterances and of Welch's t over seeds, after Holm's correction below {ALPHA:g}): "
        f"{found or 'no two differ significantly'}."
        + (f" Not tested, as there is no spread over seeds: {', '.join(untested)}." if untested else "")
    )


def _sentence(row: DifferenceRow) -> str:
    sign = -1 if row["points"] < 0 else 1
    ends = []
    for unit, found, count in (
        ("utterances", row["over_utterances"], row["utterances"]),
        ("speakers", row["over_speakers"], row["speakers"]),
        ("seeds", row["over_seeds"], row["seeds"]),
    ):
        if found is not None:
            low, high = sorted(sign * one for one in found)
            ends.append(f"[{low:.2f}, {high:.2f}] over {count} {unit}")
    points, than = sign * row["points"], "more" if sign > 0 else "less"
    sentence = f"{row['second']} has {points:.2f} points of WER {than} than {row['first']}"
    if not ends:
        return f"{sentence}; too few results for an interval."
    few = row["over_speakers"] is not None and (row["speakers"] or 0) < FEW_UNITS
    rough = f" With fewer than {FEW_UNITS} speakers that interval is rough, and rather too narrow." if few else ""
    return f"{sentence}: {', '.join(ends)} (95 %; paired bootstrap, over seeds Welch's t).{rough}"


Runs = Mapping[str, Sequence[Path]]
NEAR = 0.05  # the share by which the number of weights may differ from --parameters
MOST_PARAMETERS = 10**10


def family_row(member: str, runs: Sequence[Path], reports: Sequence[ScoreReport], seeds: Sequence[int]) -> FamilyRow:
    """The row of one member; ``runs`` (folders of its trainings), ``reports`` and ``seeds`` are in the same order."""
    models = [from_pretrained(run / "model") for run in runs]
    facts = [model.facts for model in models]
    row = FamilyRow(
        member=member,
        encoder=models[0].model.config.name,
        parameters=count_weights(models[0].model),
        hidden_size=models[0].model.config.hidden_size,
        training_s_per_audio_hour=mean_interval([one["training_seconds"] / _audio_hours(one) for one in facts]).mean,
        training_s=[one["training_seconds"] for one in facts],
        **error_row([[one.words for one in by_id(report)] for report in reports]),
        seeds=list(seeds),
        commits=sorted({str(one.get("commit")) for one in facts}),
        hardware=sorted({str(one.get("hardware")) for one in facts}),
    )
    row["words"] = reports[0].words.reference_length  # of one training
    return row


def _audio_hours(facts: Mapping[str, Any]) -> float:
    """The hours of audio that a training read; models of older trainings have another name for it."""
    return float(facts["audio_hours"] if "audio_hours" in facts else facts["audio_hours_heard"])


def read_reports(runs: Sequence[Path]) -> list[ScoreReport]:
    """The test-set results that ``asr run`` left in each of the run folders."""
    return [read_results(run / "evaluation" / "test" / "results.jsonl").report for run in runs]


def fit_model(member: str, config: ModelConfig, n_mels: int, vocab_size: int, parameters: int) -> int:
    """The ``hidden_size`` with which ``member``, the recogniser of ``config``, has about ``parameters`` weights.

    Raises UsageError where no size comes within ``NEAR`` of it.
    """

    def weights(size: int) -> int:
        changes: dict[str, Any] = {"hidden_size": size}
        with torch.device("meta"):  # counts without allocating
            return count_weights(AcousticModel(dataclasses.replace(config, **changes), n_mels, vocab_size))

    if parameters > MOST_PARAMETERS:
        raise UsageError(f"--parameters {parameters}: at most {MOST_PARAMETERS:,}")
    projection = getattr(config, "projection_size", None)
    step = getattr(config, "heads", STEP)
    size = fit_size(weights, parameters, step, projection or 0)
    found = weights(size)
    if abs(found - parameters) > NEAR * parameters:
        raise UsageError(
            f"--parameters {parameters}: {member} has {found:,} at the nearest hidden_size, {size}; "
            f"give another number, or set model.{'projection_size' if projection else 'num_layers'} with --set"
        )
    return size


def memory_rows(runs: Runs, options: CostOptions, on_step: Callable[[], None]) -> list[CostRow]:
    """Rows of asr/probes/cost.py: peak memory and seconds of the trained models, on noise, one utterance."""
    models: dict[str, AcousticModel] = {
        name: from_pretrained(folders[0] / "model").model for name, folders in runs.items()
    }
    order, rows = random.Random(options.seed), []
    for length_s in options.lengths_s:
        rows += measure_shape(models, 1, length_s, options, order)
        on_step()
    return rows


def render_table(found: Mapping[str, Any]) -> str:
    """The table as Markdown, best WER first, with an explanation of its columns."""
    lengths = sorted({row["length_s"] for row in found["memory"]})
    header = ["member", "parameters", "s / h of audio", *(f"MB at {length:g} s" for length in lengths)]
    header += ["WER %", "over utterances", "over seeds", "each seed"]
    lines = [f"| {' | '.join(header)} |", f"|---|{'---:|' * (3 + len(lengths))}---|---|---|"]
    for row in sorted(found["rows"], key=lambda one: one["wer"]):
        peaks = [_peaks(found["memory"], row["member"], length) for length in lengths]
        cells = [row["member"], f"{row['parameters']:,}", f"{row['training_s_per_audio_hour']:.0f}", *peaks]
        cells += [f"{row['wer']:.2f}", _bracket(row["low"], row["high"]), _bracket(row["seed_low"], row["seed_high"])]
        lines.append(f"| {' | '.join([*cells, ', '.join(f'{wer:.2f}' for wer in row['wers'])])} |")
    first = found["rows"][0]
    notes = [
        "",
        f"Test: {first['utterances']:,} utterances, {first['words']:,} words; greedy decoding; seeds "
        f"{', '.join(map(str, first['seeds']))}. Brackets are 95 % intervals: over utterances (bootstrap; other "
        "recordings of this kind) and over seeds (Student's t; another training of this kind). Seconds are wall "
        "seconds of training, dev passes included, per hour of training audio; they depend on the machine's load. "
        "MB: memory of one utterance beyond the weights, transcription / training. Learning rates are those of the "
        "recipes, which name those that were not tuned.",
        *([render_differences(found["differences"])] if found.get("differences") else []),
        f"Hardware: {'; '.join(sorted({name for row in found['rows'] for name in row['hardware']}))}.",
        "",
    ]
    return "\n".join([*lines, *notes])


def _peaks(rows: Sequence[Mapping[str, Any]], member: str, length_s: float) -> str:
    peaks = {row["mode"]: row["peak_mb"] for row in rows if row["model"] == member and row["length_s"] == length_s}
    return f"{peaks[FORWARD]:.0f} / {peaks[TRAINING]:.0f}"


def _bracket(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"[{low:.2f}, {high:.2f}]"


def draw_family(found: Mapping[str, Any], path: Path) -> None:
    """A bar of WER for each member, best first; a dot per seed."""
    rows = sorted(found["rows"], key=lambda one: one["wer"])
    figure, (axes,) = new_figure(size=(8.0, 1.6 + 0.42 * len(rows)))
    draw_bars(axes, [row["member"] for row in rows], rows)
    axes.set(xlabel="WER %", title="WER, mean of the seeds; dots: each seed, lines: from the least to the most")
    save_figure(figure, path)
