"""Does `asr suggest` choose better than chance? A simulation on a corpus whose transcripts are hidden.

    python benchmarks/suggest.py recipes/mboshi/bilstm.yaml data/mboshi --out suggest-mboshi --minutes 5 10 20

For each seed a model is trained on a random part of the training set (--start minutes). The rest is the pool, of which
each method chooses --minutes by the model's drafts, without a look at the transcripts: ``suggest`` (the order of
`asr suggest`, confidence calibrated on dev), ``random``, ``confidence`` (the least first). The model is then trained on
what it knew and what was chosen, from the same weights, with the same settings, and tested.

In: a recipe, prepared manifests (train, dev, test). Out: in --out the parts, drafts and runs, ``suggest.json`` and
``suggest.md``: WER and CER over seeds, and the difference to ``random`` with intervals over seeds, utterances and
speakers. --set changes every training, --first and --then those before and after the choice. The same command resumes;
--report writes the tables of what is done.
"""

import argparse
import json
import math
import random
import shlex
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.data.manifest import Utterance, read_manifest, write_manifest  # noqa: E402
from asr.data.splits import nested_parts  # noqa: E402
from asr.errors import AsrError, UsageError  # noqa: E402
from asr.files import read_json_lines, read_json_object, write_json, write_text  # noqa: E402
from asr.probes.family import difference_row, read_reports  # noqa: E402
from asr.probes.processes import Key, train_all  # noqa: E402
from asr.probes.record import Record, mean_interval  # noqa: E402
from asr.probes.trainings import run_arguments  # noqa: E402
from asr.recognition.suggestions import Candidate, rank_untranscribed  # noqa: E402
from asr.scoring.report import ScoreReport  # noqa: E402
from asr.terminal import Progress  # noqa: E402
from asr.text.normalize import get_normalizer  # noqa: E402
from asr.transcription.suggest import WHOLE_S, SuggestOptions, suggest  # noqa: E402

METHODS = ("random", "suggest", "confidence")


def choose(
    method: str, pool: Sequence[Candidate], known: Sequence[tuple[str, str | None]], budget_s: float, seed: int
) -> list[str]:
    """The ids that the method would have transcribed within the budget."""
    if method == "suggest":
        return [one.candidate.id for one in rank_untranscribed(pool, known, budget_s) if one.within_budget]
    ordered = sorted(pool, key=lambda one: one.id)
    random.Random(seed).shuffle(ordered)
    if method == "confidence":
        ordered.sort(key=lambda one: one.confidence or 0.0)
    chosen, left_s = [], budget_s
    for one in ordered:
        if one.duration_s <= left_s:
            chosen.append(one.id)
            left_s -= one.duration_s
    return chosen


class Simulation:
    """The parts, drafts and trainings in ``options.out``."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.out = options, Path(options.out)
        self.train = read_manifest(options.data / "train.jsonl")
        self.seeds = range(1, options.seeds + 1)

    def run(self) -> None:
        """Train the starts, draft, choose, and train on what was chosen; what is done stays.

        Raises UsageError where --out holds another simulation.
        """
        same = {
            key: str(getattr(self.options, key)) for key in ("recipe", "data", "start", "pool", "set", "first", "then")
        }
        begun = self.out / "settings.json"
        if begun.exists() and read_json_object(begun) != same:
            raise UsageError(f"{self.out} was begun with other settings ({begun}); give another --out")
        write_json(begun, same)
        starts: dict[Key, tuple[Path, list[str]]] = {}
        for seed in self.seeds:
            (start,) = nested_parts(self.train, [self.options.start], seed=seed)
            starts["start", seed] = self._training(f"start-{seed}", start, seed, self.options.first)
        self._train(starts)
        chosen: dict[Key, tuple[Path, list[str]]] = {}
        for seed in self.seeds:
            start, pool = self._parts(seed)
            drafts, known = self._drafts(seed, start, pool)
            for minutes in self.options.minutes:
                for method in self.options.methods:
                    ids = set(choose(method, drafts, known, 60 * minutes, seed))
                    part = [*start, *(one for one in pool if one.id in ids)]
                    changes = [f"training.init_from={self._run(f'start-{seed}') / 'model'}", *self.options.then]
                    name = f"{method}-{minutes:g}"
                    chosen[name, seed] = self._training(f"{name}-{seed}", part, seed, changes)
        self._train(chosen)

    def _parts(self, seed: int) -> tuple[list[Utterance], list[Utterance]]:
        """What is transcribed at the start, and the pool: --pool minutes of the rest at random."""
        start = list(read_manifest(self.out / "parts" / f"start-{seed}" / "train.jsonl"))
        known = {one.id for one in start}
        pool = [one for one in self.train if one.id not in known and one.duration_s <= WHOLE_S]
        (part,) = nested_parts(pool, [self.options.pool], seed=seed)
        return start, part

    def _training(
        self, name: str, part: Sequence[Utterance], seed: int, changes: Sequence[str]
    ) -> tuple[Path, list[str]]:
        folder = self.out / "parts" / name
        if not (folder / "test.jsonl").exists():
            write_manifest(folder / "train.jsonl", part)
            for split in ("dev", "test"):
                write_manifest(folder / f"{split}.jsonl", read_manifest(self.options.data / f"{split}.jsonl"))
        own = [f"data.cache_dir={self.options.data}", *self.options.set, *changes]
        return self._run(name), run_arguments(self.options.recipe, self._run(name), folder, seed, own)

    def _run(self, name: str) -> Path:
        return self.out / "runs" / name

    def _train(self, trainings: Mapping[Key, tuple[Path, list[str]]]) -> None:
        runs = {key: run for key, (run, _) in trainings.items() if not _results(run).exists()}
        say(f"{len(runs)} of {len(trainings)} trainings to do, {self.options.jobs} at a time")
        train_all({key: trainings[key][1] for key in runs}, runs, self.options.jobs, say)

    def _drafts(
        self, seed: int, start: Sequence[Utterance], pool: Sequence[Utterance]
    ) -> tuple[list[Candidate], list[tuple[str, str | None]]]:
        """What the start's model recognises in the pool, as `asr suggest` has it, and what it knows."""
        from asr.recognition import Recognizer
        from asr.recognition.calibration import store_calibration
        from asr.recognition.reliability import calibrate

        folder = self.out / "drafts" / str(seed)
        model, file = folder / "model", folder / "drafts.jsonl"
        if not file.exists():
            shutil.copytree(self._run(f"start-{seed}") / "model", model, dirs_exist_ok=True)
            say(f"seed {seed}: drafts of {len(pool)} utterances")
            dev = self.options.data / "dev.jsonl"
            recognizer = Recognizer.from_pretrained(model, device="cpu", calibrated=False)
            fitted = calibrate(recognizer, read_manifest(dev), get_normalizer("basic"), manifest=dev)
            store_calibration(model, fitted.calibration)
            write_manifest(folder / "pool.jsonl", [replace(one, text="") for one in pool])
            with Progress(None, "drafting", "s of audio") as line:
                paths = [str(folder / "pool.jsonl")]
                result = suggest(
                    SuggestOptions(model=model, paths=paths, device="cpu"),
                    lambda done_s, total_s: line.update(done_s - line.done),
                )
            rows = [json.dumps(asdict(one.candidate), ensure_ascii=False) for one in result.suggestions]
            write_text(file, "\n".join(rows) + "\n")
        config = json.loads((model / "config.json").read_text(encoding="utf-8"))
        normalize = get_normalizer(config["facts"].get("normalizer", "basic"))
        known = [(normalize(one.text), one.speaker) for one in start]
        return [Candidate(**row) for row in read_json_lines(file)], known

    def report(self, record: Record) -> str:
        """Write ``suggest.json`` and ``suggest.md`` of the seeds whose trainings of a size are all done."""
        kinds = {"start": [0.0], **{method: self.options.minutes for method in self.options.methods}}
        rows, differences = [], []
        for minutes in [0.0, *self.options.minutes]:
            named = {
                method: method if method == "start" else f"{method}-{minutes:g}"
                for method, sizes in kinds.items()
                if minutes in sizes
            }
            done = [
                seed
                for seed in self.seeds
                if all(_results(self._run(f"{name}-{seed}")).exists() for name in named.values())
            ]
            if not done:
                continue
            reports = {
                method: read_reports([self._run(f"{name}-{seed}") for seed in done]) for method, name in named.items()
            }
            for method, found in reports.items():
                parts = [read_manifest(self.out / "parts" / f"{named[method]}-{seed}" / "train.jsonl") for seed in done]
                rows.append({"method": method, "minutes": minutes, "seeds": done, **_figures(found), **_made_of(parts)})
                if method != "random" and "random" in reports:
                    differences.append({"minutes": minutes, **_difference(method, reports["random"], found)})
        text = render(rows, differences)
        settings = {key: str(value) if isinstance(value, Path) else value for key, value in vars(self.options).items()}
        record.write(self.out / "suggest.json", settings, {"rows": rows, "differences": differences})
        write_text(self.out / "suggest.md", text + "\n")
        return text


def _results(run: Path) -> Path:
    return run / "evaluation" / "test" / "results.jsonl"


def _figures(reports: Sequence[ScoreReport]) -> dict[str, Any]:
    """Mean WER and CER in percent over seeds, with Student's interval, and each seed's."""
    found: dict[str, Any] = {}
    for name in ("words", "characters"):
        rates = [100 * getattr(one, name).rate for one in reports]
        mean = mean_interval(rates)
        found[name] = {"mean": mean.mean, "low": mean.low, "high": mean.high, "each": rates}
    return found


def _made_of(parts: Sequence[Sequence[Utterance]]) -> dict[str, float]:
    """What a training set holds, on the mean over seeds: minutes, utterances, words, different words, speakers."""
    words = [[word for one in part for word in get_normalizer("letters")(one.text).split()] for part in parts]
    columns: dict[str, list[float]] = {
        "speech_min": [math.fsum(one.duration_s for one in part) / 60 for part in parts],
        "utterances": [len(part) for part in parts],
        "words_known": [len(some) for some in words],
        "different_words": [len(set(some)) for some in words],
        "speakers": [len({one.speaker for one in part}) for part in parts],
    }
    return {name: sum(values) / len(values) for name, values in columns.items()}


def _difference(method: str, chance: Sequence[ScoreReport], found: Sequence[ScoreReport]) -> dict[str, Any]:
    """Points of WER and CER by which ``method`` is above ``random``; below 0 it is better."""
    row: dict[str, Any] = dict(difference_row(("random", method), chance, found))
    pairs = zip(found, chance, strict=True)
    cer = mean_interval([100 * (one.characters.rate - other.characters.rate) for one, other in pairs])
    return {**row, "cer_points": cer.mean, "cer_over_seeds": None if cer.low is None else [cer.low, cer.high]}


def render(rows: Sequence[Mapping[str, Any]], differences: Sequence[Mapping[str, Any]]) -> str:
    """Both tables as Markdown."""
    lines = [
        "| minutes added | method | seeds | WER % [95 % over seeds] | CER % [95 % over seeds] | words | different |",
        "|---:|---|---:|---|---|---:|---:|",
    ]
    for row in rows:
        wer, cer = (
            f"{one['mean']:.2f}{_ends(None if one['low'] is None else (one['low'], one['high']))}"
            for one in (row["words"], row["characters"])
        )
        cells = [f"{row['minutes']:g}", row["method"], len(row["seeds"]), wer, cer]
        lines.append(f"| {' | '.join(map(str, cells))} | {row['words_known']:.0f} | {row['different_words']:.0f} |")
    lines += [
        "",
        "| minutes added | WER points above random | over seeds | over utterances | over speakers | CER points |",
        "|---:|---|---|---|---|---|",
    ]
    for one in differences:
        ends = [_ends(one[key]).strip() or "–" for key in ("over_seeds", "over_utterances", "over_speakers")]
        cer = f"{one['cer_points']:+.2f}{_ends(one['cer_over_seeds'])}"
        cells = [f"{one['minutes']:g}", f"{one['second']} {one['points']:+.2f}", *ends, cer]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _ends(interval: Sequence[float] | None) -> str:
    return "" if interval is None else f" [{interval[0]:.2f}, {interval[1]:.2f}]"


def say(line: str) -> None:
    """A line of the log, with the time."""
    print(time.strftime("%H:%M:%S"), line, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, simulate, report."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("data", type=Path, help="a folder with train.jsonl, dev.jsonl and test.jsonl")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=float, default=10.0, help="minutes that are transcribed at first")
    parser.add_argument("--minutes", type=float, nargs="+", default=[5.0, 10.0, 20.0], help="to choose")
    parser.add_argument("--pool", type=float, default=math.inf, help="minutes to choose from (default: all the rest)")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS[:2]))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="for all trainings")
    parser.add_argument("--first", nargs="+", default=[], metavar="KEY=VALUE", help="for those on --start minutes")
    parser.add_argument("--then", nargs="+", default=[], metavar="KEY=VALUE", help="for those after the choice")
    parser.add_argument("--report", action="store_true", help="only the tables of what is done")
    options = parser.parse_args(words)
    record = Record("suggest", f"python benchmarks/suggest.py {shlex.join(words)}", "cpu")
    simulation = Simulation(options)
    try:
        if not options.report:
            simulation.run()
        print(simulation.report(record))
    except AsrError as error:
        raise SystemExit(f"{parser.prog}: {error}") from None
    return 0


if __name__ == "__main__":
    sys.exit(main())
