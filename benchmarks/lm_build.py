"""Build language models of the books: seconds, peak memory, n-grams, perplexity; each build in a process of its own.

In: a folder of texts (default: ../shared/text/books), and perhaps a text to measure perplexity on. Out: a table on
stdout, a row a model. Seconds are of one core's time, not of the wall's, as the machine may have other work:

    python benchmarks/lm_build.py --texts ../shared/text/books --dev dev.jsonl
"""

import argparse
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ["OMP_NUM_THREADS"] = "1"

from asr.lm.build import BuildOptions, build_lm  # noqa: E402
from asr.lm.files import read_lm, write_lm  # noqa: E402
from asr.lm.text import TextOptions, find_texts, read_sentences  # noqa: E402
from asr.terminal import table  # noqa: E402

VARIANTS: dict[str, dict[str, Any]] = {
    "3-gram": {"order": 3},
    "4-gram": {"order": 4},
    "4-gram, cutoffs 0 0 1 1": {"order": 4, "cutoffs": (0, 0, 1, 1)},
    "4-gram, entropy 1e-8": {"order": 4, "prune_entropy": 1e-8},
    "4-gram, entropy 1e-7": {"order": 4, "prune_entropy": 1e-7},
}
HEADER = ("model", "n-grams", "read s", "build s", "write s", "peak MB", "file MB", "load s", "perplexity", "unknown")


def main() -> int:
    """Build each variant in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, nargs="+", default=[ROOT.parent / "shared" / "text" / "books"])
    parser.add_argument("--dev", type=Path, help="measure perplexity on this text")
    parser.add_argument(
        "--only", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="which models (default: all)"
    )
    parser.add_argument("--suffix", default=".bin", help="format of the files: .bin, .arpa or .arpa.gz (default: .bin)")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")  # a fresh process each: peak memory is its own
    rows = []
    for name in options.only:
        with context.Pool(1) as pool:
            rows.append((name, *pool.apply(measure, (options.texts, options.dev, VARIANTS[name], options.suffix))))
        print(*rows[-1], sep=" | ", file=sys.stderr, flush=True)
    print(table(rows, HEADER))
    return 0


def measure(texts: list[Path], dev: Path | None, options: dict[str, Any], suffix: str) -> tuple[str, ...]:
    """Build one model from scratch; the cells of its row."""
    reading = TextOptions()
    clock = _Clock(words for path in find_texts(texts) for words in read_sentences(path, reading))
    started_s = time.process_time()
    built = build_lm(clock.sentences(), BuildOptions(**options))
    build_s = time.process_time() - started_s - clock.read_s
    read_s = clock.read_s
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"lm{suffix}"
        before_s = time.process_time()
        write_lm(file, built.trie)
        write_s = time.process_time() - before_s
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        before_s = time.process_time()
        model = read_lm(file)
        load_s = time.process_time() - before_s
        size_mb = file.stat().st_size / 1e6
    perplexity = unknown = "-"
    if dev is not None:
        from asr.lm.query import measure as measure_perplexity

        found = measure_perplexity(model, read_sentences(dev, reading))
        perplexity, unknown = f"{found.including_unknown:.1f}", f"{found.unknown_rate:.2%}"
    seconds = (f"{value:.1f}" for value in (read_s, build_s, write_s))
    counts = " ".join(f"{count:,}" for count in built.trie.counts)
    return (counts, *seconds, f"{peak_mb:.0f}", f"{size_mb:.0f}", f"{load_s:.2f}", perplexity, unknown)


class _Clock:
    """Passes sentences on and adds up the time that reading and normalising them took."""

    def __init__(self, source: Iterator[list[str]]) -> None:
        self._source, self.read_s = source, 0.0

    def sentences(self) -> Iterator[list[str]]:
        """The same sentences."""
        while True:
            started_s = time.process_time()
            words = next(self._source, None)
            self.read_s += time.process_time() - started_s
            if words is None:
                return
            yield words


if __name__ == "__main__":
    sys.exit(main())
