"""The results of a recipe: rows in ``results.json``, made from finished runs, and the same figures as a table in its
README.

    python recipes/results.py add recipes/fsdd runs/fsdd --model bilstm     # a row for each test set of a run
    python recipes/results.py add recipes/an4 runs/an4 --evaluation runs/an4/lm --decoding "beam, 4-gram" --by "..."
    python recipes/results.py show recipes/fsdd                             # write the tables into the READMEs

A test (tests/test_recipe_results.py) fails where a README's table is not what the results.json files say.
"""

import argparse
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- results: made by recipes/results.py -->", "<!-- end of results -->"
GREEDY = "greedy"
KEYS = ("model", "test", "wer", "cer", "seconds", "command", "commit", "seed", "hardware")


def rows_of_run(
    run_dir: Path,
    model: str,
    test: str | None = None,
    evaluation: Path | None = None,
    decoding: str = GREEDY,
    evaluated_by: str | None = None,
) -> list[dict[str, Any]]:
    """One row for each test set that ``run_dir`` was evaluated on; WER and CER in percent, seconds of training.

    ``evaluation``: the folder with the reports, where it is not the run's own; ``decoding`` names what decoded,
    and ``evaluated_by`` is the command.
    """
    facts = json.loads((run_dir / "model" / "config.json").read_text())["facts"]
    rows = []
    for path in sorted((evaluation or run_dir / "evaluation").glob("**/summary.json")):
        summary = json.loads(path.read_text())
        figures = {
            "wer": _percent(summary["words"]),
            "cer": _percent(summary["characters"]),
            "seconds": round(facts["training_seconds"]),
        }
        known = {key: facts[key] for key in ("command", "commit", "seed", "hardware")}
        more = {
            "decoding": decoding,
            "real_time_factor": summary.get("real_time_factor"),
            **({"evaluated_by": evaluated_by} if evaluated_by else {}),
            "utterances": summary["utterances"],
            "dev_wer": round(100 * facts["dev_wer"], 2),
            "epoch": facts["epoch"],
        }
        rows.append({"model": model, "test": test or path.parent.name, **figures, **known, **more})
    return rows


def _percent(counts: dict[str, int]) -> float:
    """Of the counts: the summary's rate has four decimals, and rounded twice 0.88496 % would be 0.89."""
    return round(100 * counts["errors"] / counts["reference_length"], 2)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """A Markdown table of the rows, and of mean and spread where a model and test have several seeds."""
    lines = [
        "| model | test | decoding | seed | WER % | CER % | dev WER % | trained in | hardware | commit |",
        "|---|---|---|---:|---:|---:|---:|---:|---|---|",
    ]
    for row in rows:
        time = f"{row['seconds'] / 60:.1f} min"
        cells = [
            row["model"],
            row["test"],
            row.get("decoding", GREEDY),
            row["seed"],
            f"{row['wer']:.2f}",
            f"{row['cer']:.2f}",
            f"{row['dev_wer']:.2f}",  # greedy, at the end of training
            time,
        ]
        lines.append(f"| {' | '.join(map(str, [*cells, row['hardware'], row['commit']]))} |")
    for (model, test, decoding), group in _groups(rows).items():
        if len(group) > 1:
            words = (
                f"{decoding}, mean of {len(group)} seeds: WER {_spread(group, 'wer')} %, CER {_spread(group, 'cer')} %"
            )
            lines.append(f"\n`{model}` on {test}, {words} (± one standard deviation).")
    commands = dict.fromkeys(
        command for row in rows for command in (row["command"], row.get("evaluated_by")) if command
    )
    return "\n".join([*lines, "", "```", *commands, "```"])


def summary(recipes: Path) -> str:
    """A Markdown table of every recipe's models and tests: mean WER and CER over the runs, and the training's time.

    Of several decodings of one model and test it has the greedy one and the best. Runs differ in their seeds, or in
    what was left out: of tests "new speaker: NAME" it has the mean over the names.
    """
    lines = [
        "| recipe | model | test | decoding | runs | WER % | CER % | trained in |",
        "|---|---|---|---|---:|---:|---:|---:|",
    ]
    for recipe in sorted(path.parent for path in recipes.glob("*/results.json")):
        rows = [{**row, "test": row["test"].partition(":")[0]} for row in read(recipe)]
        groups = _groups(rows)
        for (model, test, decoding), group in groups.items():
            others = [(_mean_wer(one), key) for key, one in groups.items() if key[:2] == (model, test)]
            if decoding != GREEDY and (model, test, decoding) != min(others)[1]:
                continue
            wer, cer = (_spread(group, key) if len(group) > 1 else f"{group[0][key]:.2f}" for key in ("wer", "cer"))
            minutes = sum(row["seconds"] for row in group) / len(group) / 60
            name = f"[{recipe.name}](recipes/{recipe.name}/README.md)"
            lines.append(
                f"| {name} | {model} | {test} | {decoding} | {len(group)} | {wer} | {cer} | {minutes:.1f} min |"
            )
    return "\n".join(lines)


def show_summary(readme: Path, recipes: Path) -> str:
    """The project's README with that table between the markers."""
    return _put(readme.read_text(), summary(recipes))


def show(recipe: Path) -> str:
    """The README's text with the table of its results.json between the markers."""
    return _put((recipe / "README.md").read_text(), table(read(recipe)))


def _put(text: str, content: str) -> str:
    block = f"{BEGIN}\n{content}\n{END}"
    if BEGIN in text:
        return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: block, text, flags=re.DOTALL)
    head = text.split("## Results")[0].rstrip()
    return f"{head}\n\n## Results\n\n{block}\n"


def read(recipe: Path) -> list[dict[str, Any]]:
    """The rows of a recipe's results.json; none where there is no such file."""
    path = recipe / "results.json"
    rows: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    return rows


def add(recipe: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Put ``rows`` into results.json, in place of earlier ones of the same model, test, decoding and seed."""
    fresh = {(*_group(row), row["seed"]): row for row in [*read(recipe), *rows]}
    (recipe / "results.json").write_text(json.dumps(list(fresh.values()), indent=2) + "\n")


def _groups(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(_group(row), []).append(row)
    return groups


def _group(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["model"], row["test"], row.get("decoding", GREEDY)


def _mean_wer(rows: Sequence[dict[str, Any]]) -> float:
    return float(sum(row["wer"] for row in rows) / len(rows))


def _spread(rows: Sequence[dict[str, Any]], key: str) -> str:
    values = [row[key] for row in rows]
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return f"{mean:.2f} ± {deviation:.2f}"


def main() -> None:
    """The command line described above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("add", "show"))
    parser.add_argument("recipe", type=Path)
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--model", default="bilstm")
    parser.add_argument("--test", default=None, help="another name for the test set")
    parser.add_argument("--evaluation", type=Path, default=None, help="the reports' folder (default: RUN/evaluation)")
    parser.add_argument("--decoding", default=GREEDY, help="what was decoded with, as the table names it")
    parser.add_argument("--by", default=None, metavar="COMMAND", help="the command that evaluated")
    options = parser.parse_args()
    if options.verb == "add":
        for run_dir in options.runs:
            words = (options.model, options.test, options.evaluation, options.decoding, options.by)
            add(options.recipe, rows_of_run(run_dir, *words))
    (options.recipe / "README.md").write_text(show(options.recipe))
    recipes = Path(__file__).resolve().parent
    readme = recipes.parent / "README.md"
    readme.write_text(show_summary(readme, recipes))


if __name__ == "__main__":
    main()
