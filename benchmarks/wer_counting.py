"""Counting hits, substitutions, deletions and insertions of 2,620 utterances, with our counts and with jiwer's.

In: a manifest or several, of which the texts are the references. Out: the median seconds of both and the median of
their ratios, on stdout, and as JSON with --out. 2,620 is the size of LibriSpeech's test-clean: the texts are repeated
up to it, and each hypothesis is its reference with words replaced, left out and put in at random (--seed). Both sides
start from the same lists of texts and end at four totals, which must be equal before anything is timed. They run in
turn, ours first in one round and second in the next, so that whatever else the machine does falls on both alike:

    OMP_NUM_THREADS=1 python benchmarks/wer_counting.py data/librispeech/{dev,test}.jsonl
"""

import argparse
import itertools
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jiwer

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.files import write_json  # noqa: E402
from asr.scoring.counts import ErrorCounts, count_word_errors  # noqa: E402

Counter = Callable[[list[str], list[str]], tuple[int, int, int, int]]


def count_ours(references: list[str], hypotheses: list[str]) -> tuple[int, int, int, int]:
    """Hits, substitutions, deletions and insertions as our reports count them: a record an utterance, then the sum."""
    counts = [count_word_errors(*pair) for pair in zip(references, hypotheses, strict=True)]
    total = ErrorCounts.total(counts)
    return total.hits, total.substitutions, total.deletions, total.insertions


def count_jiwer(references: list[str], hypotheses: list[str]) -> tuple[int, int, int, int]:
    """The same by jiwer, all utterances in one call."""
    output = jiwer.process_words(references, hypotheses)
    return output.hits, output.substitutions, output.deletions, output.insertions


COUNTERS: dict[str, Counter] = {"ours": count_ours, "jiwer": count_jiwer}


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
    """Count in turn; medians, ratio, and the totals."""
    pairs = make_pairs(options.manifests, options)
    totals = {name: counter(*pairs) for name, counter in COUNTERS.items()}  # warms up, too
    if totals["ours"] != totals["jiwer"]:
        raise SystemExit(f"the two do not count the same: {totals}")
    seconds: dict[str, list[float]] = {name: [] for name in COUNTERS}
    for index in range(options.rounds):
        for name in list(COUNTERS)[:: 1 if index % 2 else -1]:
            start_s = time.perf_counter()
            COUNTERS[name](*pairs)
            seconds[name].append(time.perf_counter() - start_s)
    ratios = [theirs / ours for ours, theirs in zip(seconds["ours"], seconds["jiwer"], strict=True)]
    return {
        "ours_s": statistics.median(seconds["ours"]),
        "jiwer_s": statistics.median(seconds["jiwer"]),
        "ratio": statistics.median(ratios),
        "ratio_quartiles": statistics.quantiles(ratios, n=4)[::2],
        "hits_substitutions_deletions_insertions": totals["ours"],
        "utterances": len(pairs[0]),
        "options": {key: str(value) for key, value in vars(options).items() if key not in ("out", "manifests")},
    }


def main() -> int:
    """Measure and print; 0 at three times jiwer's speed or more."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifests", type=Path, nargs="+", metavar="MANIFEST", help="JSON Lines with a text each")
    parser.add_argument("--utterances", type=int, default=2620, help="utterances to count (default: 2620)")
    parser.add_argument("--error-rate", type=float, default=0.1, help="errors a reference word (default: 0.1)")
    parser.add_argument("--rounds", type=int, default=21, help="times that each counts (default: 21)")
    parser.add_argument("--seed", type=int, default=0, help="of the corruption (default: 0)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures as JSON there")
    options = parser.parse_args()
    result = measure(options)
    print(f"{result['utterances']:,} utterances; hits, S, D, I: {result['hits_substitutions_deletions_insertions']}")
    print(f"ours {1000 * result['ours_s']:.1f} ms, jiwer {1000 * result['jiwer_s']:.1f} ms (medians)")
    low, high = result["ratio_quartiles"]
    print(f"{result['ratio']:.2f} times the speed of jiwer (quartiles {low:.2f} to {high:.2f}); required: 3")
    if options.out is not None:
        write_json(options.out, result)
    return 0 if result["ratio"] >= 3 else 1


if __name__ == "__main__":
    raise SystemExit(main())
