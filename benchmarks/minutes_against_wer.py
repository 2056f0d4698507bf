"""Minutes of training speech against WER, with other recognisers as horizontal lines: scores, table, picture.

    score TEST=MANIFEST[:FIRST] ... [--decoded DIR] [--curve TEST=learning-curve.json ...]    into --results
    show                     all of --results as a table into the README beside it
    draw PICTURE             each test that has a curve

In: texts that other_recognisers.py decoded, and the runs of ``asr learning-curve``. Out: a JSON file with a row for
each system and test and for each curve and size. A curve's texts are scored again, so that its figures may differ from
those in learning-curve.json.

Everything is scored alike: the same utterances, the normaliser ``english`` on both sides, and, unless ``--as-written``,
two rules for what is said one by one:

1. digits: every number is compared digit by digit, so that fifty two nineteen, 52 19 and 5219 are equal;
2. letters: where the reference spells (two letters in a row), a word of the hypothesis may count as its letters, if
   that makes fewer errors: GMEF, G-M-E-F and g m e f are equal, and so is a name that was written as a word where it
   was spelled (Patterson for p a t t e r s o n).

Each row has ``wer_as_written`` too, without these rules.
"""

import argparse
import itertools
import json
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.data.manifest import Utterance  # noqa: E402
from asr.errors import AsrError  # noqa: E402
from asr.figures import new_figure, save_figure  # noqa: E402
from asr.files import read_json_object, write_text  # noqa: E402
from asr.probes.record import COLOURS  # noqa: E402
from asr.scoring.intervals import bootstrap_interval  # noqa: E402
from asr.scoring.report import ScoreReport, score_texts  # noqa: E402
from asr.scoring.results import read_results  # noqa: E402
from asr.text.normalize import Normalizer, get_normalizer, normalize_none  # noqa: E402
from benchmarks.other_recognisers import SYSTEMS, Test, decoded, read_test  # noqa: E402

RESULTS = ROOT / "recipes" / "english" / "other_recognisers.json"
BEGIN, END = "<!-- made by benchmarks/minutes_against_wer.py -->", "<!-- end of other recognisers -->"


# Scoring


def digits_one_by_one(text: str) -> str:
    """``english``, then each number as its digits; ordinals (21st) and decimals (3.5) stay."""
    words = []
    for word in get_normalizer("english")(text).split():
        numbers = re.fullmatch(r"[a-z0-9]*\d[a-z0-9]*", word) and not re.fullmatch(r"\d+(st|nd|rd|th|s)", word)
        words += list(word) if numbers else ["1" if word == "one" else word]
    around = zip(["", *words[:-1]], words, [*words[1:], ""], strict=True)
    return " ".join(
        "0" if word == "oh" and (before.isdigit() or after.isdigit()) else word for before, word, after in around
    )


def spelled_alike(reference: str, hypothesis: str) -> str:
    """``hypothesis`` with words as their letters wherever ``reference`` spells and that makes fewer errors.

    Both are normalised. The choice of words is the best of all, by dynamic programming.
    """
    words = reference.split()
    if not any(len(a + b) == 2 and (a + b).isalpha() for a, b in itertools.pairwise(words)):
        return hypothesis
    row: list[_Path] = [(errors, ()) for errors in range(len(words) + 1)]  # for each prefix of the reference
    for word in hypothesis.split():
        letters = row
        for letter in word:
            letters = _advance(letters, words, letter)
        whole = _advance(row, words, word)
        row = [min(pair, key=_fewest) for pair in zip(whole, letters, strict=True)]
    return " ".join(row[-1][1])


_Path = tuple[int, tuple[str, ...]]  # errors, and the words that make them


def _fewest(path: _Path) -> tuple[int, int]:
    return path[0], len(path[1])


def _advance(row: Sequence[_Path], words: Sequence[str], token: str) -> list[_Path]:
    """The next row of the edit distance: ``token`` inserted, in place of a reference word, or a word deleted."""
    following: list[_Path] = []
    for place, (errors, said) in enumerate(row):
        options = [(errors + 1, (*said, token))]
        if place:
            before, text = row[place - 1]
            options.append((before + (words[place - 1] != token), (*text, token)))
            options.append((following[-1][0] + 1, following[-1][1]))
        following.append(min(options, key=_fewest))
    return following


def score(utterances: Sequence[Utterance], texts: Mapping[str, str], *, as_written: bool) -> ScoreReport:
    """The product's own report of the texts of these utterances; raises ScoringError where one is missing."""
    references = {one.id: one.text for one in utterances}
    hypotheses = {one.id: texts[one.id] for one in utterances if one.id in texts}
    normalizer = get_normalizer("english")
    if not as_written:
        references = {key: digits_one_by_one(text) for key, text in references.items()}
        hypotheses = {key: spelled_alike(references[key], digits_one_by_one(text)) for key, text in hypotheses.items()}
        normalizer = Normalizer("english", normalizer.version, normalize_none, " + spelled alike")
    speakers = {one.id: one.speaker for one in utterances if one.speaker is not None}
    return score_texts(references, hypotheses, normalizer=normalizer, speakers=speakers)


def score_systems(tests: Sequence[Test], folder: Path, as_written: bool) -> list[dict[str, Any]]:
    """A row for each system and test that is decoded whole."""
    rows = []
    for name, test in itertools.product(SYSTEMS, tests):
        lines = decoded(folder / name / f"{test.name}.jsonl")
        if missing := sum(one.id not in lines for one in test.utterances):
            print(f"{name}, {test.name}: {missing} utterances are not decoded yet; left out", file=sys.stderr)
            continue
        own = [lines[one.id] for one in test.utterances]
        audio_s, cpu_s = (sum(line[key] for line in own) for key in ("audio_s", "cpu_s"))
        facts = read_json_object(folder / name / f"{test.name}.json")
        figures = _figures([{key: line["text"] for key, line in lines.items()}], test, as_written)
        speed = {"audio_s": round(audio_s, 1), "cpu_s": round(cpu_s, 1), "times_real_time": round(audio_s / cpu_s, 1)}
        rows.append({"system": name, "test": test.name, **figures, **speed, **facts})
    return rows


def score_curve(test: Test, path: Path, as_written: bool) -> list[dict[str, Any]]:
    """A row for each curve and size of a learning-curve.json, from the texts in its runs, scored as all others are."""
    sizes: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for training in json.loads(path.read_text(encoding="utf-8"))["trainings"]:
        sizes.setdefault((training["curve"], str(training["part"])), []).append(training)
    rows = []
    for (curve, part), members in sizes.items():
        texts = [_texts(Path(one["run"]), with_lm="decoding" in one) for one in members]
        minutes = sum(one["minutes"] for one in members) / len(members)
        made = {"minutes": round(minutes, 2), "seeds": [one["seed"] for one in members]}
        known = {key: members[0].get(key) for key in ("command", "commit", "hardware", "training_seconds")}
        rows.append(
            {"test": test.name, "curve": curve, "part": part, **made, **_figures(texts, test, as_written), **known}
        )
    return rows


def _texts(run: Path, *, with_lm: bool) -> dict[str, str]:
    folder = run / ("evaluation-lm" if with_lm else "evaluation") / "test"
    return {one.id: one.hypothesis for one in read_results(folder / "results.jsonl").report.utterances}


def _figures(systems: Sequence[Mapping[str, str]], test: Test, as_written: bool) -> dict[str, Any]:
    """The mean WER of the systems (one, or seeds of one) in percent with its interval, over speakers where known."""
    reports = [score(test.utterances, texts, as_written=as_written) for texts in systems]
    plain = [score(test.utterances, texts, as_written=True) for texts in systems]
    everything = [one for report in reports for one in report.utterances]
    speakers = [one.speaker for one in everything]
    interval = bootstrap_interval(
        [one.words.errors for one in everything],
        [one.words.reference_length for one in everything],
        clusters=None if None in speakers else speakers,
    )
    wers, plain_wers = ([round(100 * one.words.rate, 2) for one in found] for found in (reports, plain))
    return {
        "wer": round(sum(wers) / len(wers), 2),
        "interval": interval and [round(100 * interval.low, 1), round(100 * interval.high, 1)],
        "interval_over": interval and f"{interval.count} {interval.unit}",
        "wers": wers,
        "wer_as_written": round(sum(plain_wers) / len(plain_wers), 2),
        "utterances": len(test.utterances),
        "words": reports[0].words.reference_length,
        "normalizer": reports[0].normalizer,
    }


def write_scores(
    results: Path, tests: Sequence[Test], rows: Sequence[Any], curves: Sequence[Any], command: str
) -> None:
    """Put the rows into the file, in place of those of the same system or curve and test; the rest of it stays."""
    known = read_json_object(results)
    everything = [
        *known.get("systems", []),
        *({**row, "scored_by": f"python benchmarks/minutes_against_wer.py {command}"} for row in rows),
    ]
    measured = {test.name for test in tests if any(row["test"] == test.name for row in curves)}
    kept = [row for row in known.get("curves", []) if row["test"] not in measured]
    value = {
        "tests": {**known.get("tests", {}), **{test.name: _described(test) for test in tests}},
        "systems": list({(row["system"], row["test"]): row for row in everything}.values()),
        "curves": [
            *kept,
            *({**row, "scored_by": f"python benchmarks/minutes_against_wer.py {command}"} for row in curves),
        ],
    }
    write_text(results, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def _described(test: Test) -> dict[str, Any]:
    speakers = {one.speaker for one in test.utterances if one.speaker}
    minutes = sum(one.duration_s for one in test.utterances) / 60
    return {
        "given": test.given,
        "utterances": len(test.utterances),
        "speakers": len(speakers),
        "minutes": round(minutes, 1),
    }


# The picture and the table


def draw(found: Mapping[str, Any], path: Path) -> None:
    """A panel for each test with a curve: WER against minutes of training speech, other systems as horizontal lines.

    Bars are 95 % intervals, dots the trainings of a mean. Raises SystemExit where no curve is there to draw.
    """
    names = [name for name in found["tests"] if any(row["test"] == name for row in found["curves"])]
    if not names:
        raise SystemExit("no curve is in the results yet: score with --curve TEST=learning-curve.json")
    figure, panels = new_figure(columns=len(names), size=(6.0 * len(names), 4.6))
    for axes, name in zip(panels, names, strict=True):
        _draw_test(axes, name, found)
    save_figure(figure, path)


def _draw_test(axes: Any, name: str, found: Mapping[str, Any]) -> None:
    curves = [row for row in found["curves"] if row["test"] == name]
    systems = [row for row in found["systems"] if row["test"] == name]
    colours = itertools.cycle((COLOURS[4], COLOURS[0], COLOURS[1], COLOURS[5]))
    for curve, colour in zip(dict.fromkeys(row["curve"] for row in curves), colours, strict=False):
        rows = sorted((row for row in curves if row["curve"] == curve), key=lambda row: row["minutes"])
        minutes = [row["minutes"] for row in rows]
        axes.plot(minutes, [row["wer"] for row in rows], "o-", color=colour, label=curve, linewidth=1.8, markersize=5)
        for row in rows:
            x = row["minutes"]
            axes.plot([x] * len(row["wers"]), row["wers"], "o", color=colour, markersize=2.5, alpha=0.6)
            if row["interval"]:
                axes.plot([x, x], row["interval"], color=colour, linewidth=1.0)
    for row, dashes in zip(systems, itertools.cycle(("--", "-.", ":")), strict=False):
        axes.axhline(
            row["wer"], color="#555555", linestyle=dashes, linewidth=1.3, label=f"{row['system']} ({row['wer']:.1f})"
        )
    ticks = sorted({round(row["minutes"]) for row in curves})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(0, min(105.0, axes.get_ylim()[1]))
    axes.grid(alpha=0.3)
    about = found["tests"][name]
    axes.set_title(f"{name}: {about['utterances']} utterances, {about['speakers']} speakers", fontsize=10)
    axes.set(xlabel="minutes of training speech", ylabel="WER %")
    axes.legend(fontsize=8)


def table(found: Mapping[str, Any]) -> str:
    """The systems' results, and after them those of the curves, as Markdown."""
    lines = [
        "| test | utterances | system | WER % | 95 % over | normaliser alone | times real time |",
        "|---|---:|---|---:|---|---:|---:|",
    ]
    tests = list(found["tests"])
    for row in sorted([*found["systems"], *found["curves"]], key=lambda row: tests.index(row["test"])):
        ends = f"[{row['interval'][0]}, {row['interval'][1]}], {row['interval_over']}" if row["interval"] else "–"
        trained = f"{row['curve']}, {row['minutes']:.0f} min, {len(row['seeds'])} seeds" if "curve" in row else ""
        cells = [
            row["test"],
            row["utterances"],
            trained or row["system"],
            f"{row['wer']:.1f}",
            ends,
            f"{row['wer_as_written']:.1f}",
            "–" if trained else f"{row['times_real_time']:.1f}",
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def show(results: Path) -> str:
    """The README beside the results with the table between the markers."""
    text = (results.parent / "README.md").read_text(encoding="utf-8")
    block = f"{BEGIN}\n{table(read_json_object(results))}\n{END}"
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: block, text, flags=re.DOTALL)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse and do what is asked."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, help="the JSON file with everything measured")
    verbs = parser.add_subparsers(dest="verb", required=True)
    scoring = verbs.add_parser("score")
    scoring.add_argument("tests", nargs="+", type=read_test, metavar="TEST=MANIFEST[:FIRST]")
    scoring.add_argument("--decoded", type=Path, metavar="DIR", help="what other_recognisers.py wrote")
    scoring.add_argument("--curve", action="append", default=[], metavar="TEST=FILE", help="a learning-curve.json")
    scoring.add_argument("--as-written", action="store_true", help="without the rules for digits and spelled letters")
    verbs.add_parser("draw").add_argument("picture", type=Path)
    verbs.add_parser("show")
    options = parser.parse_args(words)
    try:
        return _run(options, parser, shlex.join(words))
    except AsrError as error:
        raise SystemExit(f"{parser.prog}: {error}") from None


def _run(options: argparse.Namespace, parser: argparse.ArgumentParser, command: str) -> int:
    if options.verb == "score":
        by_name = {test.name: test for test in options.tests}
        systems = score_systems(options.tests, options.decoded, options.as_written) if options.decoded else []
        curves: list[dict[str, Any]] = []
        for name, _, file in (text.partition("=") for text in options.curve):
            if name not in by_name:
                parser.error(f"--curve {name}=...: {name} is none of the tests ({', '.join(by_name)})")
            curves += score_curve(by_name[name], Path(file), options.as_written)
        write_scores(options.results, options.tests, systems, curves, command)
    elif options.verb == "draw":
        draw(read_json_object(options.results), options.picture)
    else:
        write_text(options.results.parent / "README.md", show(options.results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
