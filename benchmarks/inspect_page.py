"""How long the gate viewer takes to open, in headless Chromium.

In: a model and a recording, as `asr inspect` takes them. Out: the page's size and the seconds from the start of
navigation until all pictures are drawn, median and worst of five openings in browsers that have not seen it; --picture
saves what it looks like. Required: <= 5 MB, opened in <= 2 s.

    python benchmarks/inspect_page.py runs/an4/model LibriSpeech/dev-clean/84/121123/84-121123-0001.flac
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from asr.commands.inspect import run  # noqa: E402
from asr.terminal import table  # noqa: E402
from benchmarks.browser import Browser  # noqa: E402

OPENINGS = 5


def main() -> None:
    """Make the page, open it, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("audio")
    parser.add_argument("--picture", type=Path, help="a PNG of the window, 1400 by 900")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        run([options.model, options.audio, "--html", str(page)])
        opened_s, errors = [], 0
        for _ in range(OPENINGS):
            with Browser() as browser:
                browser.size(1400, 900)
                opened_s.append(browser.open(page))
                errors += len(browser.errors)
                if options.picture:
                    browser.picture(options.picture)
        rows = [
            ["page_mb", round(page.stat().st_size / 1e6, 2)],
            ["open_s, median", round(statistics.median(opened_s), 3)],
            ["open_s, worst", round(max(opened_s), 3)],
            ["console_errors", errors],
        ]
    print(table([[name, str(value)] for name, value in rows], ("measure", "value")))


if __name__ == "__main__":
    main()
