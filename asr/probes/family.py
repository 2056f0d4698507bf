"""One table of the family: what each member of a recipe folder costs and how well it hears, from finished trainings.

In: run folders of members and seeds. Out: a row a member: parameters, training seconds per hour of audio heard, memory
at some lengths, WER of each seed, its mean, and two intervals, which answer different questions: over seeds (another
training of the same kind; Student's t) and over utterances (other recordings of this kind; a bootstrap that draws an
utterance together with what all seeds heard in it).
"""

import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from asr.errors import UsageError
from asr.models import AcousticModel, ModelConfig
from asr.pretrained import from_pretrained
from asr.probes.cost import FORWARD, TRAINING, CostSettings, measure_shape
from asr.probes.differences import by_id, render_differences
from asr.probes.draw import draw_bars, new_figure, save_figure
from asr.probes.listening import error_row
from asr.probes.members import STEP, count_weights, fit_size
from asr.probes.record import mean_interval
from asr.scoring.report import ScoreReport
from asr.scoring.results import read_results

Runs = Mapping[str, Sequence[Path]]
NEAR = 0.05  # of the number of weights that was asked for
MOST_PARAMETERS = 10**10


def family_row(
    member: str, runs: Sequence[Path], reports: Sequence[ScoreReport], seeds: Sequence[int]
) -> dict[str, Any]:
    """The row of one member, of whose trainings ``runs`` are the folders, in the order of ``seeds``, as are reports."""
    models = [from_pretrained(run / "model") for run in runs]
    facts = [model.facts for model in models]
    return {
        "member": member,
        "encoder": models[0].model.config.name,
        "parameters": count_weights(models[0].model),
        "hidden_size": models[0].model.config.hidden_size,
        "training_s_per_audio_hour": mean_interval(
            [one["training_seconds"] / one["audio_hours_heard"] for one in facts]
        ).mean,
        "training_s": [one["training_seconds"] for one in facts],
        **error_row([[one.words for one in by_id(report)] for report in reports]),
        "seeds": list(seeds),
        "words": reports[0].words.reference_length,
        "commits": sorted({str(one.get("commit")) for one in facts}),
        "hardware": sorted({str(one.get("hardware")) for one in facts}),
    }


def read_reports(runs: Sequence[Path]) -> list[ScoreReport]:
    """What ``asr run`` scored of the test set in each of the run folders."""
    return [read_results(run / "evaluation" / "test" / "results.jsonl").report for run in runs]


def fit_model(member: str, config: ModelConfig, n_mels: int, vocab_size: int, parameters: int) -> int:
    """The ``hidden_size`` with which ``member``, the recogniser of ``config``, has about ``parameters`` weights.

    Raises UsageError where no size comes within ``NEAR`` of it.
    """

    def weights(size: int) -> int:
        changes: dict[str, Any] = {"hidden_size": size}
        with torch.device("meta"):  # counted, not made
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
            f"ask for another number, or give model.{'projection_size' if projection else 'num_layers'} by --set"
        )
    return size


def memory_rows(runs: Runs, settings: CostSettings, on_step: Callable[[], None]) -> list[dict[str, Any]]:
    """Peak memory and seconds of the trained models on noise, one utterance, in turn: rows of asr/probes/cost.py."""
    models: dict[str, AcousticModel] = {
        name: from_pretrained(folders[0] / "model").model for name, folders in runs.items()
    }
    order, rows = random.Random(settings.seed), []
    for length_s in settings.lengths_s:
        rows += measure_shape(models, 1, length_s, settings, order)
        on_step()
    return rows


def render_table(found: Mapping[str, Any]) -> str:
    """The table as Markdown, best WER first, with what its columns mean."""
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
        "seconds of training, dev passes included, per hour of audio heard; they depend on what else the machine did. "
        "MB: memory that one utterance takes beyond the weights, transcription / training. Learning rates are the "
        "recipes', which say where one was not tuned.",
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
    """A bar of WER for each member, best first, with the interval over utterances; a dot for each seed."""
    rows = sorted(found["rows"], key=lambda one: one["wer"])
    figure, (axes,) = new_figure(size=(8.0, 1.6 + 0.42 * len(rows)))
    draw_bars(axes, [row["member"] for row in rows], rows)
    axes.set(xlabel="WER %", title="Mean of seeds (dots), 95 % interval over utterances")
    save_figure(figure, path)
