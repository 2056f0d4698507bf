"""Small report pages for tests: results made by hand, with the worst texts that people may send."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from asr.pages import Clip, PageData, Picture, Posteriors, ReportSystem, assemble, render_report
from asr.scoring import Results, score_texts
from asr.text.normalize import get_normalizer

HOSTILE = {
    "script": "</script><script>document.title='owned'</script>",
    "image": "<img src=x onerror=\"document.title='owned'\">",
    "comment": "<!--<script>",
    "entity": "&lt;b&gt; &amp; \"quotes\" 'single'",
    "rtl": "שלום \u202eevil\u202c עולם",
    "emoji": "👩‍👩‍👧 naïve 🇺🇳",
    "long": "w" * 3000,
    "lines": "a\u2028b\u2029c",
    "half": "broken \ud800 surrogate",
}


def results_of(
    pairs: Mapping[str, tuple[str, str]], extras: Mapping[str, dict[str, Any]] | None = None, normalizer: str = "none"
) -> Results:
    """Scored pairs of (reference, hypothesis) by id; speakers are the ids' first letters, durations 1 s."""
    report = score_texts(
        {key: pair[0] for key, pair in pairs.items()},
        {key: pair[1] for key, pair in pairs.items()},
        normalizer=get_normalizer(normalizer),
        speakers={key: key[0] for key in pairs},
        durations_s=dict.fromkeys(pairs, 1.0),
    )
    return Results(report, dict(extras or {}))


def page_of(*results: Results, title: str = "Errors", **more: Any) -> PageData:
    """A page of systems called one, two, ..."""
    names = ("one", "two", "three")
    systems = [ReportSystem(name, one, {"Model": name}) for name, one in zip(names, results, strict=False)]
    page = assemble(systems, title=title, draws=50)
    values = {name: getattr(page, name) for name in page.__slots__} | more
    return PageData(**values)


def write_page(path: Path, page: PageData) -> Path:
    path.write_bytes(render_report(page).encode("utf-8"))
    return path


def clip_of(audio: bytes | None = None) -> Clip:
    """A clip of 1 s: a picture of 8 mels and 50 columns, CTC posteriors of 25 frames in which "a" sounds at 0.4 s."""
    levels = np.tile(np.arange(0, 250, 5, dtype=np.uint8), (8, 1))
    ranks, values = np.zeros((25, 1), np.uint8), np.zeros((25, 1), np.uint8)
    ranks[10], values[10] = 1, 255
    blank = np.full(25, 255, np.uint8)
    blank[10] = 0
    return Clip(
        audio=audio,
        picture=Picture(levels, 0.01, 0.02, [(1000, 4.0)]),
        posteriors=Posteriors(["a"], ranks, values, blank, 0.0, 0.04),
    )
