"""The report of a run: one Markdown page with the result, the training, the curves, and how to repeat it.

In: the run folder's model facts and evaluation summaries. Out: report.md in the run folder.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.errors import ModelMissingError
from asr.files import write_text
from asr.pipeline.comparison import comparison_section, history_section
from asr.pipeline.self_training import rounds_table
from asr.scoring.markdown import link

if TYPE_CHECKING:
    from asr.config.typed import RunConfig


def write_run_report(recipe: Path, config: "RunConfig", summaries: Sequence[Path]) -> Path:
    """Write report.md and return its path. Raises ModelMissingError if the run has no model yet."""
    described = config.run_dir / "model" / "config.json"
    if not described.is_file():
        raise ModelMissingError(
            f"{config.run_dir}: no model to report on; run the stage train first (stages=[train,evaluate,report])"
        )
    page = config.run_dir / "report.md"
    write_text(page, _page(recipe, config, json.loads(described.read_text(encoding="utf-8")), summaries))
    return page


def _page(recipe: Path, config: "RunConfig", model: dict[str, Any], summaries: Sequence[Path]) -> str:
    facts = model["facts"]
    rows = [_result_row(path) for path in summaries if path.is_file()]
    lines = [
        f"# {recipe.parent.name}/{recipe.stem}, seed {facts['seed']}",
        "",
        "| test | utterances | WER % | CER % | S | D | I | real-time factor |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        *rows,
        "",
        f"Scored with normaliser `{config.scoring.normalizer}`, decoded with `{config.decoding.name}`.",
        "",
        "![learning curves](curves.png)",
        "",
        *comparison_section(config, [path.parent for path in summaries]),
        *rounds_table(config.run_dir),
        *history_section(config, summaries),
        "## Training",
        "",
        "| | |",
        "|---|---|",
        *(f"| {key.replace('_', ' ')} | {_cell(value)} |" for key, value in facts.items()),
        *(f"| {name} | {version} |" for name, version in model["versions"].items()),
        "",
        "The whole configuration is in [config.yaml](config.yaml), every step in [metrics.jsonl](metrics.jsonl).",
        "",
    ]
    return "\n".join(lines)


def _result_row(path: Path) -> str:
    summary = json.loads(path.read_text(encoding="utf-8"))
    words = summary["words"]
    shown = [_percent(words), _percent(summary["characters"])]
    counts = [words["substitutions"], words["deletions"], words["insertions"]]
    name = path.parent.name
    factor = summary.get("real_time_factor")
    cells = [
        link(name, f"evaluation/{name}/report.md"),
        summary["utterances"],
        *shown,
        *counts,
        "–" if factor is None else f"{factor:.4f}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def _percent(counts: dict[str, int]) -> str:
    """Of the counts, not of the summary's rate: rounded twice, 0.88496 % would be 0.89."""
    length = counts["reference_length"]
    return f"{100 * counts['errors'] / length:.2f}" if length else "–"


def _cell(value: Any) -> str:
    text = f"{value:.4f}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
