"""How long a report page takes to open and to filter, in headless Chromium, measured inside the page.

In: nothing (2,620 made-up utterances of LibriSpeech's length, 100 of them with sound and pictures of 7 s), or --page
FILE, any page of `asr report`. Out: seconds from the start of navigation until the list can be used and until the clips
are read too, and milliseconds from a keystroke in the search field until the next frame is painted, the median and the
worst of 20; size of the page; as a table, and as JSON with --out. Required: opened in <= 3 s, filtered in <= 0.2 s, 10
MB for 100 clips.

    python benchmarks/report_page.py
"""

import argparse
import random
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from asr.audio.encode import encode_clip  # noqa: E402
from asr.files import write_json, write_text  # noqa: E402
from asr.pages import Clip, PageData, Picture, ReportSystem, assemble, render_report  # noqa: E402
from asr.pages.clips import posteriors_of  # noqa: E402
from asr.scoring import Results, score_texts  # noqa: E402
from asr.terminal import table  # noqa: E402
from asr.text.normalize import get_normalizer  # noqa: E402
from benchmarks.browser import Browser  # noqa: E402

QUERIES = ("a", "wa", "wab", "wabe 1", "zzz", "", "s7", "e", "ka lo", "u-0199")
FILTER = """(async () => {
  const field = document.getElementById("search"), started = performance.now();
  field.value = %r; field.dispatchEvent(new Event("input"));
  document.body.offsetHeight;
  const drawn = performance.now();
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  return [drawn - started, performance.now() - started];
})()"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--page", type=Path, help="a page to measure instead of a made-up one")
    parser.add_argument("--utterances", type=int, default=2620)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--systems", type=int, default=1, choices=(1, 2))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = options.page or Path(folder) / "page.html"
        if options.page is None:
            write_text(page, render_report(make_page(options.utterances, options.clips, options.systems)))
        found = {"page_mb": round(page.stat().st_size / 1e6, 2)} | measure(page)
    print(table([[name, value] for name, value in found.items()], ("measure", "value")))
    if options.out:
        write_json(options.out, {"options": {k: str(v) for k, v in vars(options).items()}} | found)


def measure(page: Path) -> dict[str, Any]:
    """Times of one page, each in a browser that has not seen it."""
    listed, read, drawn, painted = list[float](), list[float](), list[float](), list[float]()
    with Browser() as browser:
        browser.size(1400, 900)
        for _ in range(3):
            browser.open(page)
            for times, name in ((listed, "list"), (read, "ready")):
                times.append(browser.run(f"performance.getEntriesByName('{name}')[0].startTime"))
        for query in QUERIES * 2:
            one, other = browser.run(FILTER % query)
            drawn.append(one)
            painted.append(other)
        errors = len(browser.errors)
    return {
        "open_s": round(max(listed) / 1000, 3),
        "clips_s": round(max(read) / 1000, 3),
        "filter_drawn_ms": round(statistics.median(drawn), 1),
        "filter_drawn_worst_ms": round(max(drawn), 1),
        "filter_painted_ms": round(statistics.median(painted), 1),
        "filter_painted_worst_ms": round(max(painted), 1),
        "console_errors": errors,
    }


def make_page(utterances: int, clips: int, systems: int) -> PageData:
    """Utterances of 20 words with times and n-best, the same for every run."""
    generator = random.Random(0)
    vocabulary = [f"{a}{b}" for a in ("wa", "ka", "lo", "ne", "shi") for b in ("be", "ro", "tin", "s", "lakan", "e")]
    references = {f"u-{n:04d}": " ".join(generator.choices(vocabulary, k=20)) for n in range(utterances)}
    made = [_system(f"system {n}", references, vocabulary, generator) for n in range(systems)]
    page = assemble(made, title="A benchmark", draws=200)
    noise = np.random.default_rng(0)
    kept = {key: _clip(noise) for key in list(references)[:clips]}
    values: dict[str, Any] = {name: getattr(page, name) for name in page.__slots__} | {"clips": kept}
    return PageData(**values)


def _system(name: str, references: dict[str, str], vocabulary: list[str], generator: random.Random) -> ReportSystem:
    hypotheses, extras = {}, {}
    for key, text in references.items():
        words = [generator.choice(vocabulary) if generator.random() < 0.1 else word for word in text.split()]
        hypotheses[key] = " ".join(words)
        times = [
            {"text": w, "start_s": 0.35 * n, "end_s": 0.35 * n + 0.3, "confidence": 0.9} for n, w in enumerate(words)
        ]
        best = [{"text": " ".join(words[:-n] if n else words), "score": -float(n)} for n in range(5)]
        extras[key] = {"words": times, "confidence": 0.9, "n_best": best}
    report = score_texts(
        references,
        hypotheses,
        normalizer=get_normalizer("basic"),
        speakers={key: f"s{n % 40}" for n, key in enumerate(references)},
        durations_s=dict.fromkeys(references, 7.0),
    )
    return ReportSystem(name, Results(report, extras))


def _clip(noise: np.random.Generator) -> Clip:
    seconds, rate = 7, 16_000
    waveform = (0.1 * noise.standard_normal(seconds * rate)).astype(np.float32)
    levels = noise.integers(0, 256, (80, seconds * 50), dtype=np.uint8)
    log_probs = np.log(noise.dirichlet(np.full(29, 0.05), seconds * 25) + 1e-9).astype(np.float32)
    tokens = ["<blank>", *"abcdefghijklmnopqrstuvwxyz' "]
    return Clip(
        audio=encode_clip(waveform, rate),
        picture=Picture(levels, 0.0, 0.02, [(1000, 20.0)]),
        posteriors=posteriors_of(log_probs, tokens, 0.0, 0.04),
    )


if __name__ == "__main__":
    main()
