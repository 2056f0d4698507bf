"""Error counting by jiwer, as reports do it, and by ``count_errors``, as inner loops do; and a whole `asr score`.

In: a manifest or several, of which the texts are the references. Out: medians of the seconds and of their ratios, on
stdout, and as JSON with --out. The texts are repeated up to --utterances, and each hypothesis is its reference with
words replaced, deleted and inserted at random (--seed). Both sides of a comparison start from the same lists of texts
and end at four totals, which must be equal before anything is timed. They run in turn, the other one first in every
second round, so that whatever else the machine does affects both alike. `asr score --out` runs in a process of its own;
the time inside jiwer is measured in it:

    OMP_NUM_THREADS=1 python benchmarks/wer_counting.py data/librispeech/{dev,test}.jsonl
"""

import argparse
import itertools
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.files import write_json  # noqa: E402
from asr.scoring.counts import (  # noqa: E402
    ErrorCounts,
    count_character_errors,
    count_characters,
    count_word_errors,
    count_words,
)

Texts = list[str]
# By unit: the counts of a report, and those of an inner loop.
COUNTERS: dict[str, dict[str, Callable[[Texts, Texts], list[ErrorCounts]]]] = {
    "words": {
        "jiwer": count_words,
        "loop": lambda references, hypotheses: list(map(count_word_errors, references, hypotheses)),
    },
    "characters": {
        "jiwer": count_characters,
        "loop": lambda references, hypotheses: list(map(count_character_errors, references, hypotheses)),
    },
}
_SCORE = """
import contextlib, io, json, sys, time
started = time.perf_counter()
import jiwer
inside = []
def timed(function):
    def call(*texts):
        start = time.perf_counter()
        try:
            return function(*texts)
        finally:
            inside.append(time.perf_counter() - start)
    return call
jiwer.process_words, jiwer.process_characters = timed(jiwer.process_words), timed(jiwer.process_characters)
from asr.cli import main
with contextlib.redirect_stdout(io.StringIO()):
    assert main(["score", *sys.argv[1:]]) == 0
print(json.dumps({"score_s": time.perf_counter() - started, "jiwer_s": sum(inside), "calls": len(inside)}))
"""


def make_pairs(manifests: list[Path], options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """References, repeated up to the number asked for, and each of them corrupted."""
    lines = itertools.chain.from_iterable(path.read_text(encoding="utf-8").splitlines() for path in manifests)
    texts = [json.loads(line)["text"] for line in lines if line.strip()]
    generator = random.Random(options.seed)
    vocabulary = sorted({word for text in texts for word in text.split()})
    references = list(itertools.islice(itertools.cycle(texts), options.utterances))
    return references, [corrupt(text, vocabulary, options.error_rate, generator) for text in references]


def corrupt(text: str, vocabulary: list[str], error_rate: float, generator: random.Random) -> str:
    """Half of the errors are substitutions, the others deletions and insertions alike; words come from the corpus."""
    words: list[str] = []
    for word in text.split():
        chance = generator.random() / error_rate
        if chance < 0.5:
            words.append(generator.choice(vocabulary))
        elif chance < 0.75:
            continue
        elif chance < 1.0:
            words += [word, generator.choice(vocabulary)]
        else:
            words.append(word)
    return " ".join(words)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Medians of all three, their ratios and quartiles, and the totals."""
    pairs = make_pairs(options.manifests, options)
    result: dict[str, Any] = {
        "utterances": len(pairs[0]),
        "options": {key: str(value) for key, value in vars(options).items() if key not in ("out", "manifests")},
    }
    for unit, counters in COUNTERS.items():
        result[unit] = compare_counters(counters, pairs, options.rounds)
    return result | {"score": measure_score(pairs, options.score_rounds)}


def compare_counters(
    counters: dict[str, Callable[[Texts, Texts], list[ErrorCounts]]], pairs: tuple[Texts, Texts], rounds: int
) -> dict[str, Any]:
    """Count in turn; raises SystemExit where the totals differ."""
    totals = {name: ErrorCounts.total(counter(*pairs)) for name, counter in counters.items()}  # warms up, too
    if totals["jiwer"] != totals["loop"]:
        raise SystemExit(f"the two do not count the same: {totals}")
    seconds: dict[str, list[float]] = {name: [] for name in counters}
    for index in range(rounds):
        for name in list(counters)[:: 1 if index % 2 else -1]:
            start_s = time.perf_counter()
            counters[name](*pairs)
            seconds[name].append(time.perf_counter() - start_s)
    ratios = [jiwer_s / loop_s for jiwer_s, loop_s in zip(seconds["jiwer"], seconds["loop"], strict=True)]
    total = totals["jiwer"]
    return {
        "jiwer_s": statistics.median(seconds["jiwer"]),
        "loop_s": statistics.median(seconds["loop"]),
        "ratio": statistics.median(ratios),
        "ratio_quartiles": statistics.quantiles(ratios, n=4)[::2],
        "hits_substitutions_deletions_insertions": [
            total.hits,
            total.substitutions,
            total.deletions,
            total.insertions,
        ],
    }


def measure_score(pairs: tuple[Texts, Texts], rounds: int) -> dict[str, float]:
    """Median seconds of `asr score --out` with start-up, and of jiwer inside it."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for side, texts in zip(("ref", "hyp"), pairs, strict=True):
            lines = (f"utt-{number} {text}\n" for number, text in enumerate(texts))
            (folder / side).write_text("".join(lines), encoding="utf-8")
        words = [str(folder / "ref"), str(folder / "hyp"), "--out", str(folder / "out")]
        for _ in range(rounds):
            command = [sys.executable, "-c", _SCORE, *words]
            done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
            found.append(json.loads(done.stdout))
    return {key: statistics.median(one[key] for one in found) for key in found[0]}


def main() -> int:
    """Measure and print; 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifests", type=Path, nargs="+", metavar="MANIFEST", help="JSON Lines with a text each")
    parser.add_argument("--utterances", type=int, default=10_000, help="utterances to count (default: 10000)")
    parser.add_argument("--error-rate", type=float, default=0.1, help="errors a reference word (default: 0.1)")
    parser.add_argument("--rounds", type=int, default=21, help="times that each counts (default: 21)")
    parser.add_argument("--score-rounds", type=int, default=5, help="runs of asr score (default: 5)")
    parser.add_argument("--seed", type=int, default=0, help="of the corruption (default: 0)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures as JSON there")
    options = parser.parse_args()
    result = measure(options)
    print(f"{result['utterances']:,} utterances, medians")
    for unit in COUNTERS:
        one = result[unit]
        low, high = one["ratio_quartiles"]
        print(
            f"{unit}: jiwer {one['jiwer_s']:.3f} s, count_errors in a loop {one['loop_s']:.3f} s, ratio "
            f"{one['ratio']:.1f} (quartiles {low:.1f} to {high:.1f}); hits, S, D, I: "
            f"{one['hits_substitutions_deletions_insertions']}"
        )
    score = result["score"]
    print(
        f"asr score --out: {score['score_s']:.2f} s, of it jiwer {score['jiwer_s']:.2f} s in {score['calls']:.0f} calls"
    )
    if options.out is not None:
        write_json(options.out, result)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
