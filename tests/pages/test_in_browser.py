"""The page in headless Chromium: hostile text is shown as text, nothing is requested, and the controls work."""

import contextlib
import http.server
import io
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asr.pages import Link
from benchmarks.browser import Browser, find_chromium
from tests.pages.made import HOSTILE, clip_of, page_of, results_of, write_page

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no chromium here (apt-get install chromium)")

WORDS = [
    {"text": "one", "start_s": 0.1, "end_s": 0.3, "confidence": 0.9},
    {"text": "too", "start_s": 0.4, "end_s": 0.6, "confidence": 0.4},
]
PAIRS = {
    "a1": ("one two three", "one too"),
    "b1": ("four", "four five"),
    "b2": ("six", "six"),
    **{f"c{n}": ("seven", "seven") for n in range(60)},
}
RECORD_PLAYS = """window.played = []; for (const name of ["play", "pause"]) {
  const own = HTMLMediaElement.prototype[name];
  HTMLMediaElement.prototype[name] = function () {
    window.played.push([name, this.currentTime]);
    return own.call(this);
  };
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as one:
        one.size(1400, 900)
        yield one


def texts(browser: Browser, selector: str) -> Any:
    return browser.run(f"[...document.querySelectorAll({json.dumps(selector)})].map((one) => one.textContent)")


def choose(browser: Browser, name: str, value: str) -> None:
    browser.run(
        f"(() => {{ const one = document.getElementById('{name}'); one.value = {json.dumps(value)};"
        "one.dispatchEvent(new Event(one.tagName === 'SELECT' ? 'change' : 'input')); })()"
    )


def tone() -> bytes:
    """One second of Ogg Opus."""
    import soundfile

    stream = io.BytesIO()
    with soundfile.SoundFile(stream, "w", 16000, 1, format="OGG", subtype="OPUS") as file:
        file.write(0.2 * np.sin(np.arange(16000) / 8).astype(np.float32))
    return stream.getvalue()


STALL = b"STALL"


@contextlib.contextmanager
def slow_server(page: bytes) -> Iterator[tuple[str, threading.Event]]:
    """A page's address; what comes after STALL is sent once the event is set."""
    go_on = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            for place, part in enumerate(page.split(STALL)):
                if place:
                    go_on.wait(60)
                self.wfile.write(part)

        def log_message(self, format: str, *values: object) -> None:
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", go_on
        finally:
            go_on.set()
            server.shutdown()


def wait(browser: Browser, condition: str, timeout_s: float = 60.0) -> None:
    ends_s = time.monotonic() + timeout_s
    while not browser.run(condition):
        assert time.monotonic() < ends_s, f"never came true: {condition}"
        time.sleep(0.05)


def test_hostile_texts_are_shown_as_text_and_nothing_is_requested(browser: Browser, tmp_path: Path) -> None:
    pairs = {f"{key} {value}"[:60]: (value, f"{value} {value}") for key, value in HOSTILE.items()}
    extras = {
        key: {"fields": {f"{value}": value}, "n_best": [{"text": value, "score": -1}]}
        for key, (value, _) in pairs.items()
    }
    page = page_of(results_of(pairs, extras), results_of(pairs), title=HOSTILE["script"])
    browser.open(write_page(tmp_path / "hostile.html", page))
    for _ in pairs:
        browser.press("j")
    assert browser.run("document.title") == HOSTILE["script"]
    shown = "\n".join(texts(browser, "#rows td.texts"))
    for value in HOSTILE.values():
        for word in value.encode("utf-8", "replace").decode().split():
            assert word in shown
    assert browser.run("document.querySelectorAll('img, script:not([id])').length") == 1  # the page's own script
    wide = "[...document.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
    wide += ".slice(0, 6).map(e => e.tagName + e.textContent.slice(0, 50)).join('; ')"
    assert browser.run("document.documentElement.scrollWidth <= innerWidth"), browser.run(wide)
    assert browser.requests == [(tmp_path / "hostile.html").as_uri()] and browser.errors == []


def test_a_script_put_into_the_page_does_not_run(browser: Browser, tmp_path: Path) -> None:
    path = write_page(tmp_path / "p.html", page_of(results_of(PAIRS)))
    path.write_text(path.read_text(encoding="utf-8").replace("<h1>", "<script>document.title='owned'</script><h1>", 1))
    browser.open(path)
    assert browser.run("document.title") == "Errors"
    assert any("Content Security Policy" in error for error in browser.errors)


def test_filters_and_search_leave_what_fits(browser: Browser, tmp_path: Path) -> None:
    browser.open(write_page(tmp_path / "p.html", page_of(results_of(PAIRS))))
    wait(browser, "document.querySelectorAll('#rows tr.row').length === 50")  # a page of rows
    assert texts(browser, "#rows .id")[:2] == ["a1", "b1"]  # most errors first
    choose(browser, "kind", "I")
    assert texts(browser, "#rows .id") == ["b1"]
    assert texts(browser, "#count") == ["1 of 63 utterances · 100.00 % WER"]
    choose(browser, "kind", "")
    choose(browser, "search", "THREE one")
    assert texts(browser, "#rows .id") == ["a1"]
    choose(browser, "search", "")
    choose(browser, "low", "60")
    assert texts(browser, "#rows .id") == ["a1", "b1"]  # 2 of 3, 1 of 1
    choose(browser, "speaker", "b")
    assert texts(browser, "#rows .id") == ["b1"]
    choose(browser, "speaker", "c")
    assert texts(browser, "#rows td.nothing") == ["No utterance matches these filters."]


def test_columns_sort_both_ways_and_say_so(browser: Browser, tmp_path: Path) -> None:
    browser.open(write_page(tmp_path / "p.html", page_of(results_of(PAIRS))))
    click = "document.querySelector('#rows thead [data-key=\"id\"]').click()"
    browser.run(click)
    assert texts(browser, "#rows .id")[0] == "a1"
    assert browser.run("document.querySelector('#rows thead [aria-sort]').getAttribute('aria-sort')") == "ascending"
    browser.run(click)
    assert texts(browser, "#rows .id")[0] == "c9"


def test_two_systems_are_compared_utterance_by_utterance(browser: Browser, tmp_path: Path) -> None:
    other = {**PAIRS, "a1": ("one two three", "one two three"), "b2": ("six", "sick")}
    browser.open(write_page(tmp_path / "p.html", page_of(results_of(PAIRS), results_of(other))))
    options = texts(browser, "#winner option")
    assert options[1:5] == [
        "one has fewer errors (1)",
        "only one is correct (1)",
        "two has fewer errors (1)",
        "only two is correct (1)",
    ]
    choose(browser, "winner", "best1")
    assert texts(browser, "#rows .id") == ["a1"]
    choose(browser, "winner", "none")
    assert texts(browser, "#rows .id") == ["b1"]


def test_keys_walk_open_search_and_close(browser: Browser, tmp_path: Path) -> None:
    browser.open(write_page(tmp_path / "p.html", page_of(results_of(PAIRS))))
    browser.press("j")
    browser.press("j")
    assert texts(browser, "tr.open .id") == ["b1"] == [browser.run("document.activeElement.textContent")]
    assert browser.run("document.activeElement.getAttribute('aria-expanded')") == "true"
    browser.press("ArrowUp")
    assert texts(browser, "tr.open .id") == ["a1"]
    for _ in range(50):
        browser.press("j")
    assert texts(browser, "#page") == ["page 2 of 2"]
    browser.press("Escape")
    assert texts(browser, "tr.open .id") == []
    browser.press("/")
    assert browser.run("document.activeElement.id") == "search"
    browser.press("j")  # typed, not walked
    assert browser.run("document.getElementById('search').value") == "j"


def test_an_address_opens_its_utterance(browser: Browser, tmp_path: Path) -> None:
    browser.open(write_page(tmp_path / "p.html", page_of(results_of(PAIRS))), "#u=c59")
    wait(browser, "document.querySelector('tr.open .id')?.textContent === 'c59'")
    assert texts(browser, "tr.open .id") == ["c59"]  # it alone


def test_a_word_is_played_from_its_start_to_its_end(browser: Browser, tmp_path: Path) -> None:
    results = results_of(PAIRS, {"a1": {"words": WORDS}})
    browser.open(write_page(tmp_path / "p.html", page_of(results, clips={"a1": clip_of(tone())})))
    browser.run(RECORD_PLAYS)
    browser.press("j")
    assert texts(browser, ".columns button") == ["one", "tooS", "—D"]
    browser.run("document.querySelectorAll('.columns button')[1].click()")
    wait(browser, "(played => played.some((one) => one[0] === 'play') && played.at(-1)[0] === 'pause')(window.played)")
    played = browser.run("window.played")
    started = next(at for name, at in played if name == "play")
    assert started == pytest.approx(0.37, abs=0.005) and played[-1][1] == pytest.approx(0.63, abs=0.15)
    browser.run("window.played = []")
    browser.press("Enter")  # the focus is on the row
    wait(browser, "window.played.some((one) => one[0] === 'play' && one[1] === 0)")
    assert browser.errors == [] and len(browser.requests) == 1


def test_the_image_shows_the_values_under_the_pointer(browser: Browser, tmp_path: Path) -> None:
    browser.open(
        write_page(tmp_path / "p.html", page_of(results_of(PAIRS, {"a1": {"words": WORDS}}), clips={"a1": clip_of()}))
    )
    browser.press("j")
    readout = browser.run(
        """(() => { const canvas = document.querySelector(".picture canvas"), width = parseFloat(canvas.style.width);
        const box = canvas.getBoundingClientRect(), at = 56 + 0.4 * (width - 66);
        canvas.dispatchEvent(new MouseEvent("mousemove", {clientX: box.left + at, clientY: box.top + 60}));
        return document.querySelector(".readout").textContent; })()"""
    )
    # column 20 of 50 holds level 100 or, half a column on, 95: -36 or -38 dB
    assert readout.startswith("0.40 s · level -3") and readout.endswith("a 1.00, blank 0.00")


@pytest.mark.parametrize("half", [False, True], ids=["no byte of it yet", "half of it"])
def test_a_row_opened_before_its_picture_is_read_gets_it_when_it_comes(
    browser: Browser, tmp_path: Path, half: bool
) -> None:
    results = results_of(PAIRS, {"a1": {"words": WORDS}})
    page = write_page(tmp_path / "p.html", page_of(results, clips={"a1": clip_of()})).read_bytes()
    begins = page.index(b'id="clip-0"')
    cut = (begins + page.index(b"</script", begins)) // 2 if half else page.rindex(b"<script", 0, begins)
    with slow_server(page[:cut] + STALL + page[cut:]) as (address, go_on):
        opened(browser, address)
        if half:
            wait(browser, "(document.getElementById('clip-0')?.textContent.length || 0) > 50")
        browser.press("j")
        assert texts(browser, "tr.open .id") == ["a1"] and len(texts(browser, "tr.detail")) == 1
        assert texts(browser, ".picture") == []
        go_on.set()
        wait(browser, "document.querySelector('.picture canvas')?.width > 300")  # 300: one that was not drawn on
    assert texts(browser, "tr.open .id") == ["a1"] and browser.errors == []


def test_a_page_that_is_still_read_does_not_move_a_user_who_has_begun(browser: Browser, tmp_path: Path) -> None:
    page = write_page(tmp_path / "p.html", page_of(results_of(PAIRS), clips={"a1": clip_of()})).read_bytes()
    cut = page.rindex(b"<script", 0, page.index(b'id="clip-0"'))
    for keys, row, focus in (("", "b1", "id"), ("j Escape", None, "id"), ("/ o n", None, "search")):
        with slow_server(page[:cut] + STALL + page[cut:]) as (address, go_on):
            opened(browser, f"{address}#u=b1")
            for key in keys.split():
                browser.press(key)
            go_on.set()
            wait(browser, "performance.getEntriesByName('ready').length")
        assert texts(browser, "tr.open .id") == ([row] if row else []), keys
        assert browser.run("document.activeElement.id || document.activeElement.className").startswith(focus), keys


def opened(browser: Browser, address: str) -> None:
    """Go to ``address`` until its list can be used."""
    browser.errors.clear()
    browser.call("Page.navigate", url="about:blank")
    browser.call("Page.navigate", url=address)
    wait(browser, "performance.getEntriesByName('list').length")


def test_linked_audio_is_played_from_its_file_and_its_place(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "a b.ogg").write_bytes(tone())
    results = results_of(PAIRS, {"a1": {"words": WORDS}})
    browser.open(write_page(tmp_path / "p.html", page_of(results, links={"a1": Link("a%20b.ogg", 0.2)})))
    browser.run(RECORD_PLAYS)
    browser.press("j")
    browser.run("document.querySelectorAll('.columns button')[0].click()")
    wait(browser, "window.played.some((one) => one[0] === 'play')")
    started = next(at for name, at in browser.run("window.played") if name == "play")
    assert started == pytest.approx(0.27, abs=0.005)  # 0.2 into the file, 0.1 into the utterance, 0.03 before
    assert texts(browser, "#trouble") == [""] and browser.errors == []


def test_a_missing_linked_file_is_reported(browser: Browser, tmp_path: Path) -> None:
    browser.open(write_page(tmp_path / "p.html", page_of(results_of(PAIRS), links={"a1": Link("gone.ogg")})))
    browser.press("j")
    browser.press("Enter")
    wait(browser, "document.getElementById('trouble').textContent !== ''")
    assert texts(browser, "#trouble")[0].startswith("gone.ogg cannot be played")


@pytest.mark.parametrize("dark", [False, True])
def test_light_and_dark_follow_the_system_and_the_button(browser: Browser, tmp_path: Path, dark: bool) -> None:
    browser.size(1400, 900, dark=dark)
    browser.open(write_page(tmp_path / "p.html", page_of(results_of(PAIRS))))
    background = "getComputedStyle(document.body).backgroundColor"
    colours = {True: "rgb(20, 23, 27)", False: "rgb(247, 247, 245)"}
    assert browser.run(background) == colours[dark]
    browser.run("document.getElementById('theme').click()")
    assert browser.run(background) == colours[not dark]
    browser.run("localStorage.clear()")
    browser.size(1400, 900)


@pytest.mark.parametrize("width", [400, 500, 1280, 1400])
def test_the_page_fits_its_window(browser: Browser, tmp_path: Path, width: int) -> None:
    browser.size(width, 900)
    results = results_of(PAIRS, {"a1": {"words": WORDS}})
    browser.open(write_page(tmp_path / "p.html", page_of(results, results, clips={"a1": clip_of(tone())})))
    browser.press("j")
    assert browser.run("document.documentElement.scrollWidth") <= width
    right = "Math.max(...[...document.querySelectorAll('.figures td')].map((one) => one.getBoundingClientRect().right))"
    assert browser.run(right) <= width  # S, D and I too
    browser.size(1400, 900)


def test_charts_name_the_systems_and_fill_two_columns(browser: Browser, tmp_path: Path) -> None:
    browser.size(1280, 900)
    pairs = {f"{speaker}{n}": ("one two three", "one too") for speaker in "abcdefghij" for n in range(3)}
    browser.open(write_page(tmp_path / "p.html", page_of(results_of(pairs), results_of(pairs))))
    assert set(texts(browser, ".bars td.system")) == {"one", "two"}
    heights = (
        "[...document.querySelectorAll('#main .charts')].map((one) => [...one.children].map((c) => c.offsetHeight))"
    )
    figures = "[...document.querySelectorAll('#main .charts figure')].map((one) => one.offsetHeight)"
    for columns in browser.run(heights):  # no hole that the smallest figure would fill
        assert len(columns) < 2 or max(columns) - min(columns) <= min(browser.run(figures)) + 40
    browser.size(1400, 900)


def test_the_sign_of_the_space_is_drawn_above_its_area(browser: Browser, tmp_path: Path) -> None:
    clip = clip_of()
    assert clip.posteriors
    page = page_of(results_of(PAIRS), clips={"a1": replace(clip, posteriors=replace(clip.posteriors, tokens=[" "]))})
    browser.open(write_page(tmp_path / "p.html", page))
    browser.run(
        """window.drawn = {}; const pen = CanvasRenderingContext2D.prototype, own = pen.fillText;
        pen.fillText = function (text, x, y) {
          window.drawn[text] = [y, y + this.measureText(text).actualBoundingBoxDescent];
          own.call(this, text, x, y);
        };"""
    )
    browser.press("j")
    drawn = browser.run("window.drawn")
    assert drawn["␣"][1] < drawn["1"][0]  # "1" stands at the upper edge of the areas
