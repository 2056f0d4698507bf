"""The gate viewer's page: numbers that come back, hostile text that stays text, and what it does in a browser."""

import base64
import json
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asr.pages import Table
from asr.pages.gate_viewer import (
    AttentionPicture,
    GateViewerPage,
    LayerPicture,
    TimedWord,
    quantised,
    render_gate_viewer,
)
from benchmarks.browser import Browser, find_chromium
from tests.pages.made import HOSTILE, clip_of

needs_browser = pytest.mark.skipif(find_chromium() is None, reason="no chromium here (apt-get install chromium)")
FRAMES = 25  # of 40 ms: 1 s, as clip_of has


def layer_of(name: str = "layer 1, forward", follows: str = "level") -> LayerPicture:
    """Three units: one that keeps all, one that keeps half, one that keeps nothing; each is given 0.5 a frame."""
    keep = np.tile([1.0, 0.5, 0.0], (FRAMES, 1))
    added = np.full((FRAMES, 3), 0.5)
    state, states = np.zeros(3), []
    for t in range(FRAMES):
        state = keep[t] * state + added[t]
        states.append(state)
    half = np.array([np.inf, 0.04, 0.0])
    return LayerPicture(
        name=name,
        arrays={
            "cell_state": np.array(states), "forget_gate": keep, "input_gate": added, "output_gate": added,
            "candidate": np.ones((FRAMES, 3)), "hidden": added * np.tanh(states),
        },
        keep="forget_gate",
        half_life_s=half,
        effective_half_life_s=half,
        left={"forget_gate": np.array([0.0, 0.0, 1.0])},
        right={"forget_gate": np.array([1.0, 0.0, 0.0])},
        dead=[False, False, True],
        follows=[[], [(follows, -0.5)], []],
        output_from_cell=True,
    )  # fmt: skip


def page_of(**changes: Any) -> GateViewerPage:
    weights = np.eye(FRAMES)[None].repeat(2, axis=0)
    values: dict[str, Any] = {
        "title": "Inspected", "text": "a", "facts": {"Model": "one"}, "notes": [], "clip": clip_of(),
        "words": [TimedWord("a", 0.3, 0.5)], "duration_s": 1.0, "first_s": 0.0, "frame_s": 0.04,
        "layers": [layer_of()], "attention": [AttentionPicture(name="layer 2", weights=weights)],
        "tables": [Table("Layers", "", ["layer", "half-life"], [["1", "40 ms"]])],
    }  # fmt: skip
    return GateViewerPage(**values | changes)


def write(path: Path, page: GateViewerPage) -> Path:
    path.write_bytes(render_gate_viewer(page).encode("utf-8"))
    return path


class Balance(HTMLParser):
    """Every element that opens closes, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.errors: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: object) -> None:
        if tag not in ("meta", "input", "br", "img", "hr", "col"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.errors.append(tag)


def test_the_page_is_well_formed_and_shows_hostile_text_as_text() -> None:
    worst = " ".join(HOSTILE.values())
    page = render_gate_viewer(
        page_of(
            title=worst, text=worst, facts={worst: worst}, notes=[worst], words=[TimedWord(worst, 0, 1)],
            layers=[layer_of(worst, worst)], tables=[Table(worst, worst, [worst], [[worst]])],
        )
    )  # fmt: skip
    parsed = Balance(page)
    assert parsed.open == [] and parsed.errors == []
    assert "<script>document" not in page and "<img" not in page and "\ud800" not in page
    assert page.count("default-src 'none'") == 1


def undo(packed: dict[str, Any]) -> np.ndarray:
    moved = np.frombuffer(zlib.decompress(base64.b64decode(packed["data"])), np.uint8)
    return np.cumsum(moved.reshape(packed["h"], packed["w"]), axis=1, dtype=np.uint8)


def test_values_come_back_to_within_half_a_step() -> None:
    generator = np.random.default_rng(0)
    gates = generator.random((5, 40))
    assert np.abs(undo(quantised(gates)) / 255 - gates).max() <= 0.5 / 255 + 1e-9
    coarse = undo(quantised(gates, every=8)) / 255
    assert np.abs(coarse - gates).max() <= 4 / 255 + 1e-9 and len(np.unique(coarse)) <= 33
    states = generator.standard_normal((5, 40)) * np.array([[0.001], [0.1], [1], [10], [100]])
    packed = quantised(states, signed=True)
    bounds = np.array(packed["bounds"])[:, None]
    assert bounds[:, 0] == pytest.approx(np.abs(states).max(axis=1), rel=1e-4)
    assert (np.abs((undo(packed).astype(float) - 128) / 127 * bounds - states) / bounds).max() <= 0.5 / 127 + 1e-4
    small = generator.random((2, 40)) / 1000
    assert np.abs(undo(quantised(small, root=True)) / 255 - np.sqrt(small)).max() <= 0.5 / 255 + 1e-9


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as one:
        one.size(1400, 1000)
        yield one


def point(browser: Browser, top: float, at_s: float, event: str = "mousemove") -> str:
    """Put the pointer at a time and a height of the canvas; the page's readout then."""
    readout: str = browser.run(
        f"""(() => {{ const canvas = document.querySelector(".picture canvas"), width = parseFloat(canvas.style.width);
        const box = canvas.getBoundingClientRect(), at = 56 + {at_s} * (width - 66);
        canvas.dispatchEvent(new MouseEvent("{event}", {{clientX: box.left + at, clientY: box.top + {top}}}));
        return document.querySelector(".readout").textContent; }})()"""
    )
    return readout


def settle(browser: Browser) -> None:
    browser.run("new Promise((done) => setTimeout(done, 100))")


def pick(browser: Browser, name: str, value: str) -> None:
    browser.run(
        f"(() => {{ const one = document.getElementById('{name}'); one.value = {json.dumps(value)};"
        "one.dispatchEvent(new Event('change')); })()"
    )
    settle(browser)


UNITS = "[...document.querySelectorAll('.units tbody tr')].map((row) => row.dataset.unit).join()"
GATES, CELL, IMAGES = 300, 420, 530  # heights in the canvas, in pixels


@needs_browser
def test_the_pointer_shows_unit_time_and_values(browser: Browser, tmp_path: Path) -> None:
    browser.open(write(tmp_path / "p.html", page_of()))
    settle(browser)
    assert browser.run(UNITS) == "0,1,2"  # the longest half-life first
    # c = 0.5 for each frame so far: 11 frames until 0.4 s; o tanh c = 0.5 tanh 5.5
    readout = point(browser, GATES, 0.4)
    assert readout == "0.40 s · unit 0: c 5.512, f 1.00, i 0.50, o 0.50, candidate 1.000, h 0.502"
    image = point(browser, IMAGES + 40, 0.4)  # 1 - 0.5^11, to the nearest 127th
    assert image == "0.40 s · cell state c 1.000 · unit 1 · half-life 40 ms, effective 40 ms · follows level −0.50"
    point(browser, IMAGES + 40, 0.4, "click")
    assert browser.run("document.querySelector('.units [aria-selected]').dataset.unit") == "1"
    assert point(browser, CELL, 0.0).startswith("0.00 s · unit 1: c 0.50")
    assert browser.errors == [] and len(browser.requests) == 1


@needs_browser
def test_units_can_be_ordered_by_anything(browser: Browser, tmp_path: Path) -> None:
    browser.open(write(tmp_path / "p.html", page_of()))
    pick(browser, "sort", "r level")
    assert browser.run(UNITS) == "1,0,2"
    pick(browser, "sort", "forget_gate closed")
    assert browser.run(UNITS) == "2,0,1"
    browser.run("[...document.querySelectorAll('.units th button')].find((one) => one.textContent === 'unit').click()")
    settle(browser)
    assert browser.run(UNITS) == "0,1,2"
    browser.run("document.querySelector('.picture').focus()")
    browser.press("ArrowDown")
    assert browser.run("document.querySelector('.chosen').textContent").startswith("Selected: unit 1 ")


@needs_browser
def test_attention_maps_show_queries_and_keys(browser: Browser, tmp_path: Path) -> None:
    browser.open(write(tmp_path / "p.html", page_of()))
    pick(browser, "layer", "1")
    # 25 frames on 150 pixels: row 10 is at 60 to 66 pixels
    assert point(browser, 404 + 63, 0.4) == "head 1 · the frame at 0.40 s attends 100.0 % to 0.40 s"
    assert browser.run("document.querySelector('.units-frame').hidden")


@needs_browser
@pytest.mark.parametrize(("width", "dark"), [(400, False), (1400, True)])
def test_it_fits_its_window_and_hostile_text_does_nothing(
    browser: Browser, tmp_path: Path, width: int, dark: bool
) -> None:
    worst = " ".join(value for key, value in HOSTILE.items() if key != "half")
    browser.size(width, 900, dark=dark)
    path = write(tmp_path / "p.html", page_of(title=worst, text=worst, layers=[layer_of("one", worst)]))
    browser.open(path)
    settle(browser)
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("document.title") == worst
    assert browser.errors == [] and browser.requests == [path.as_uri()]
    browser.size(1400, 1000)
