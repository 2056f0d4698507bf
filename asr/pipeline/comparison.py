"""Is the new model better than the one before? The comparison of a run with an earlier model, and the history.

In: a run whose test sets are evaluated, and an earlier model: that of ``previous``, or that of before self-training.
Out: in ``comparison/SET/`` compare.md and compare.json of each test set, and of ``new``, the utterances that the
earlier run was not trained on, sentence by sentence; history.jsonl and history.png: the WER of this run and of those
before it against the minutes of a person's work.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.figures import new_figure, save_figure
from asr.files import finite, read_json_lines, read_json_object, write_text
from asr.pipeline.previous import NEW, earlier_data
from asr.pipeline.self_training import base_model
from asr.provenance import local_time
from asr.scoring.compare_files import CompareOptions, compare_files
from asr.scoring.compare_output import DATA, PAGE
from asr.scoring.markdown import escape, link
from asr.shipped import weights_sha256

if TYPE_CHECKING:
    from asr.config.typed import RunConfig

FOLDER, HISTORY, PICTURE = "comparison", "history.jsonl", "history.png"
SHOWN = 100  # sentences of new on its page
Evaluate = Callable[[Path, Path, Path], object]  # model, manifest, folder for the results


def earlier_model(config: "RunConfig") -> Path | None:
    """The model that the run's is compared with, or None where there is none."""
    if config.previous is not None:
        return Path(config.previous) / "model"
    base, own = base_model(config.run_dir), config.run_dir / "model"
    return base if weights_sha256(base) != weights_sha256(own) else None  # no round was accepted


def compared_sets(config: "RunConfig", tests: Sequence[Path]) -> list[Path]:
    """The manifests on which the two models are compared; none without an earlier model."""
    if earlier_model(config) is None:
        return []
    new = Path(config.train.data.dir) / NEW
    return [*tests, *([new] if config.previous is not None and new.is_file() else [])]


def comparison_files(config: "RunConfig", tests: Sequence[Path]) -> list[Path]:
    """What ``compare_with_earlier`` writes and the report reads."""
    return [config.run_dir / FOLDER / one.stem / DATA for one in compared_sets(config, tests)]


def compare_with_earlier(config: "RunConfig", tests: Sequence[Path], run_evaluation: Evaluate) -> list[str]:
    """Evaluate the earlier model on the same sets, compare, and return a sentence for each set."""
    earlier = earlier_model(config)
    said = []
    for manifest in compared_sets(config, tests) if earlier else []:
        out = config.run_dir / FOLDER / manifest.stem
        ours = config.run_dir / "evaluation" / manifest.stem
        if manifest.name == NEW:
            ours = out / "this"
            run_evaluation(config.run_dir / "model", manifest, ours)
        run_evaluation(Path(str(earlier)), manifest, out / "earlier")
        systems = {"the earlier model": out / "earlier" / "results.jsonl", "this model": ours / "results.jsonl"}
        compare_files(CompareOptions(systems=systems, out=out, most=SHOWN if manifest.name == NEW else 10))
        said.append(f"{manifest.stem}: {_sentence(out / DATA)}")
    return said


def _sentence(data: Path) -> str:
    """The verdict; of what the new model was trained on, with a warning."""
    pairs = read_json_object(data).get("pairs") or [{}]
    trained = "; this model was trained on these utterances, the earlier one was not" * (data.parent.name == "new")
    return f"{pairs[0].get('sentence', '–')}{trained}."


def comparison_section(config: "RunConfig", tests: Sequence[Path]) -> list[str]:
    """Lines of Markdown for the run's report; none where nothing was compared."""
    found = [one for one in comparison_files(config, tests) if one.is_file()]
    pages = {one: link(one.parent.name, f"{FOLDER}/{one.parent.name}/{PAGE}") for one in found}
    lines = [f"- {page}: {_sentence(one)}" for one, page in pages.items()]
    return ["## Against the earlier model", "", *lines, ""] if lines else []


def history_section(config: "RunConfig", summaries: Sequence[Path]) -> list[str]:
    """Add this run to the history of those before it, draw it, and return its table in Markdown; none for a first run.

    history.jsonl is written for every run, so that a later one can go on from it.
    """
    previous = Path(config.previous) if config.previous else None
    rows = [] if previous is None else _earlier_rows(previous)
    test = next((one for one in summaries if one.parent.name == "test" and one.is_file()), None)
    rows += [_row(config.run_dir, Path(config.train.data.dir), test)] if test else []
    rows = [row for row in rows if row["wer"] is not None]  # else no reference has a word
    text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    write_text(config.run_dir / HISTORY, text)
    if len(rows) < 2:
        return []
    _draw(rows, config.run_dir / PICTURE)
    lines = ["| run | minutes of work | minutes of speech | WER % | 95 % interval |", "|---|---:|---:|---:|---|"]
    for row in rows:
        work = "–" if row["work_minutes"] is None else f"{row['work_minutes']:.1f}"
        ends = [row["wer_low"], row["wer_high"]]
        interval = "–" if None in ends else f"[{ends[0]:.2f}, {ends[1]:.2f}]"
        lines.append(f"| {escape(row['run'])} | {work} | {row['speech_minutes']:.1f} | {row['wer']:.2f} | {interval} |")
    return ["## History", "", *lines, "", f"![WER against minutes of work]({PICTURE})", ""]


def _earlier_rows(previous: Path) -> list[dict[str, Any]]:
    """The history of the earlier run; of one that has none its own figures."""
    if rows := read_json_lines(previous / HISTORY):
        return rows
    summary = previous / "evaluation" / "test" / "summary.json"
    return [_row(previous, earlier_data(previous), summary)] if summary.is_file() else []


def _row(run_dir: Path, data: Path, summary_file: Path) -> dict[str, Any]:
    """One run: the speech that it was trained on, the work in it as far as the correction page counted it, the WER."""
    summary = read_json_object(summary_file)
    interval = ((summary.get("intervals") or {}).get("wer") or {}).get("utterances") or {}
    train = read_json_lines(data / "train.jsonl")  # unchecked: its recordings may be gone
    seconds = [one for one in (finite(utterance.get("seconds")) for utterance in train) if one is not None]
    return {
        "run": str(run_dir),
        "time": local_time(),
        "work_minutes": round(sum(seconds) / 60, 2) if seconds else None,
        "speech_minutes": round(sum(one["duration_s"] for one in train) / 60, 2),
        "utterances": len(train),
        "wer": summary.get("wer"),
        "wer_low": interval.get("low"),
        "wer_high": interval.get("high"),
        "cer": summary.get("cer"),
        "model_sha256": weights_sha256(run_dir / "model"),
    }


def _draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """WER with its interval against minutes of work; of speech where no work is recorded."""
    work = any(row["work_minutes"] for row in rows)
    x = [(row["work_minutes"] or 0.0) if work else row["speech_minutes"] for row in rows]
    figure, (axes,) = new_figure(size=(7, 4.5))
    axes.plot(x, [row["wer"] for row in rows], "o-", color="#08519c")
    for place, row in zip(x, rows, strict=True):
        if row["wer_low"] is not None:
            axes.plot([place, place], [row["wer_low"], row["wer_high"]], color="#08519c", linewidth=1.2)
        axes.annotate(Path(row["run"]).name, (place, row["wer"]), textcoords="offset points", xytext=(6, 6), fontsize=8)
    axes.set(xlabel=f"minutes of {'recorded work' if work else 'transcribed speech'}", ylabel="WER % on test")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    save_figure(figure, path)
