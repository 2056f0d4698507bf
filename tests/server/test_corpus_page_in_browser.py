"""The page of `asr serve --corpus` in headless Chromium: correcting by keys alone, two people, a server that goes."""

import json
import shutil
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.browser import Browser, find_chromium
from tests.server.conftest import Running, Start, until

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no chromium here (apt-get install chromium)")
HOSTILE = '<img src=x onerror="window.hacked=1"> <script>window.hacked=1</script> &amp;'
WATCHED = """window.played = []; window.sent = []; window.later = 0; {
  const play = HTMLMediaElement.prototype.play, ask = window.fetch, now = performance.now.bind(performance);
  HTMLMediaElement.prototype.play = function () {
    window.played.push([this.currentTime, this.playbackRate, this.preservesPitch]);
    return play.call(this);
  };
  window.fetch = (address, options) => {
    if (options.body) window.sent.push(JSON.parse(options.body));
    return ask(address, options);
  };
  performance.now = () => now() + window.later;
}"""


quoted = json.dumps


class Page:
    """The page of one person, and the server's answers beside it."""

    def __init__(self, browser: Browser | Any, address: str) -> None:
        self.browser, self.address = browser, address

    def open(self, **settings: str) -> None:
        """Anew, with what the browser would have stored of a person's choices."""
        self.browser.open(f"{self.address}/corpus")
        self.browser.run(
            f"localStorage.clear(); localStorage.setItem('asr-corpus settings', {quoted(quoted(settings))})"
        )
        self.load()

    def choose(self, place: int) -> dict[str, Any]:
        """The segment of that row of the queue, opened; its state."""
        self.browser.run(f"document.querySelectorAll('.row')[{place}].click()")
        self.wait(f"document.querySelectorAll('.row')[{place}].getAttribute('aria-current') === 'true'")
        found: dict[str, Any] = self.ask(f"segments/{self.queue('all', order='recording')[place]['id']}")
        self.wait(f"document.getElementById('text').value === {quoted(found['text'])}")
        return found

    def load(self) -> None:
        self.browser.open(f"{self.address}/corpus")
        self.browser.run(WATCHED)
        self.wait("!document.getElementById('card').hidden && !document.getElementById('text').readOnly")

    def wait(self, condition: str, timeout_s: float = 60.0) -> None:
        ends_s = time.monotonic() + timeout_s
        while not self.browser.run(f"Boolean({condition})"):
            shown = self.browser.run("document.body.innerText")
            assert time.monotonic() < ends_s, f"{condition} never came to be; {self.browser.errors}; the page: {shown}"
            time.sleep(0.02)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.browser.press(key)

    def type(self, text: str) -> None:
        self.browser.call("Input.insertText", text=text)

    @property
    def text(self) -> str:
        return str(self.browser.run("document.getElementById('text').value"))

    def shown(self, name: str) -> str:
        return str(self.browser.run(f"document.getElementById('{name}').innerText"))

    def queue(self, status: str = "open", order: str = "useful") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask(f"segments?status={status}&order={order}&limit=500")["segments"]
        return found

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(
            f"{self.address}/corpus/{path}", data, headers, method="PUT" if data else "GET"
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def folder(recordings: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("corpus")
    for number in (0, 1, 2, 4):
        shutil.copy(recordings[number], made)
    return made


@pytest.fixture(scope="module")
def server(start: Start, folder: Path) -> Iterator[Running]:
    with start(corpus=folder) as running:
        page = Page(None, running.address)
        until(lambda: (found := page.ask("segments"))["drafting"]["done"] == found["drafting"]["total"], 300)
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as one:
        one.size(1200, 900)
        yield one


def test_drafts_are_corrected_with_the_keyboard_alone(browser: Browser, server: Running) -> None:
    page = Page(browser, server.address)
    first, second, third, fourth = page.queue()
    page.open()
    page.wait(f"document.getElementById('text').value === {quoted(first['text'])}")
    page.wait("document.getElementById('who').open")
    page.type("Zoë")
    page.press("Enter", "Alt+,", "Alt+,")
    browser.run("window.played.length = 0")
    page.press("Alt+ArrowDown")  # the first uncertain word is selected and heard
    words = page.ask(f"segments/{first['id']}")["words"]
    unsure = next(one for one in words if one["confidence"] < 0.8)
    page.wait("window.played.length")
    assert browser.run("window.played[0]") == [pytest.approx(max(0, unsure["start_s"] - 0.05), abs=0.01), 0.8, True]
    page.type("ŋgɔ́")
    expected = first["text"].split()
    expected[words.index(unsure)] = "ŋgɔ́"
    assert page.text.split() == expected
    page.press("Enter")
    page.wait(f"document.getElementById('text').value === {quoted(second['text'])}")
    until(lambda: page.ask(f"segments/{first['id']}")["version"])
    saved = page.ask(f"segments/{first['id']}")
    assert (saved["status"], saved["text"].split(), saved["history"][0]["by"]) == ("corrected", expected, "Zoë")

    others = page.ask(f"segments/{second['id']}")["alternatives"]
    page.press("Alt+1")
    assert page.text == others[0]["text"]
    page.press("Alt+0", "Alt+k")
    page.wait(f"document.getElementById('text').value === {quoted(third['text'])}")
    until(lambda: page.ask(f"segments/{second['id']}")["status"] == "skipped")
    page.press("Alt+t")
    page.wait("document.getElementById('told').innerText.startsWith('Taken back')")
    assert page.text == second["text"] and page.ask(f"segments/{second['id']}")["status"] == "open"
    page.press("Enter")  # right as it is
    page.wait(f"document.getElementById('text').value === {quoted(third['text'])}")
    until(lambda: page.ask(f"segments/{second['id']}")["text"] == second["text"])
    page.press("PageUp")
    page.wait("document.getElementById('state').innerText === 'Saved.'")
    assert page.text == second["text"]
    browser.run("window.played.length = 0")
    page.press("Alt+r", "Alt+Home")
    page.wait("window.played.length >= 3")
    page.press("Escape", "F1")
    assert "2 seconds back" in page.shown("help")
    page.press("Escape")

    page.ask(f"segments/{third['id']}?by=Ben")
    page.open(by="Zoë")
    page.wait("document.getElementById('told').innerText === 'Ben has the segment before open, too.'")
    assert page.text == fourth["text"]
    assert browser.errors == []


ALL = {"by": "Anna", "status": "all", "order": "recording"}


def test_two_texts_for_one_segment_are_both_shown_as_text_and_a_person_chooses(
    browser: Browser, server: Running
) -> None:
    page = Page(browser, server.address)
    page.open(**ALL)
    state = page.choose(2)
    path = f"segments/{state['id']}"
    page.ask(path, {"text": HOSTILE, "by": "<b>Ben</b>", "version": state["version"], "status": "corrected"})
    browser.run("window.later = 600_000")  # ten minutes in which nothing happens count as one
    page.type("mine ")
    page.press("Enter")
    page.wait("window.sent.length")
    assert 45 <= browser.run("window.sent[0].seconds") < 100
    page.wait("document.querySelector('.notice')")
    told = page.shown("notices")
    assert HOSTILE in told and "<b>Ben</b>" in told and f"mine {state['text']}" in told
    assert page.ask(path)["text"] == HOSTILE
    page.press("Alt+g", "Tab", "Enter")  # the second button: keep mine
    until(lambda: page.ask(path)["text"] == f"mine {state['text']}")
    assert [(line["by"], line["text"]) for line in page.ask(path)["history"][-2:]] == [
        ("<b>Ben</b>", HOSTILE),
        ("Anna", f"mine {state['text']}"),
    ]
    page.wait("!document.querySelector('.notice') && document.activeElement.id === 'text'")
    page.choose(2)
    page.press("Alt+t")
    page.wait(f"document.getElementById('text').value === {quoted(HOSTILE)}")
    assert HOSTILE in page.shown("queue") and HOSTILE in page.shown("history")
    assert (
        browser.run("[window.hacked, document.querySelector('main img'), document.querySelector('main b')]")
        == [None] * 3
    )
    assert not [one for one in browser.errors if "409" not in one]


def test_what_somebody_else_has_corrected_is_counted_once(browser: Browser, server: Running) -> None:
    page = Page(browser, server.address)
    page.open(**ALL)
    last = page.queue()[-1]
    change = {"text": "x", "by": "Ben", "version": last["version"], "status": "corrected"}
    page.ask(f"segments/{last['id']}", change)
    counts = page.ask("segments")["counts"]
    browser.run("document.getElementById('more').click()")  # asks for the queue as it is now
    page.wait(f"document.querySelectorAll('.row.corrected').length === {counts['corrected']}")
    expected = f"{counts['corrected']} corrected, {counts['skipped']} skipped, {counts['open']} to do"
    assert page.shown("counts").startswith(expected)


def test_nothing_is_lost_when_the_server_goes_and_comes_back(
    browser: Browser, start: Start, recordings: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asr.server.corpus import Corpus

    for number in (0, 1):
        shutil.copy(recordings[number], tmp_path)
    save = Corpus.save
    lost: list[Any] = []

    def answer_lost(*arguments: Any) -> None:  # it is on disk, but the client hears of a failure
        save(*arguments)
        if not lost:
            lost.append(arguments)
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(Corpus, "save", answer_lost)
    with start(corpus=tmp_path) as running:
        page = Page(browser, running.address)
        until(lambda: len(page.queue()) == 2, 300)
        page.open(**ALL)
        first, second = page.queue("all", order="recording")
        page.choose(0)
        page.type("lost ")
        page.press("Enter")
        page.wait("document.querySelector('.row .mark').textContent === '✓'")
        assert lost and len(page.ask(f"segments/{first['id']}")["history"]) == 1
        page.choose(0)
        page.type("once more ")
    page.press("Enter")  # the server is gone
    page.wait("document.getElementById('away').innerText.includes('does not answer. You can go on: 1 change is kept')")
    page.wait(f"document.getElementById('text').value === {quoted(second['text'])}")
    page.type("مرحبا ")
    assert browser.run("document.getElementById('text').matches(':dir(rtl)')")
    assert second["text"] in page.text
    with start(corpus=tmp_path, port=int(running.address.rpartition(":")[2])):
        until(lambda: len(page.ask(f"segments/{first['id']}")["history"]) == 2)
        assert page.ask(f"segments/{first['id']}")["text"] == f"once more lost {first['text']}"
        page.load()
        browser.run("document.querySelectorAll('.row')[1].click()")
        page.wait(f"document.getElementById('text').value === {quoted('مرحبا ' + second['text'])}")
        assert page.shown("state") == "Changed; Enter saves."


def test_nothing_is_wider_than_the_window(browser: Browser, server: Running) -> None:
    page = Page(browser, server.address)
    for width, dark in ((360, True), (360, False), (1200, False)):
        browser.size(width, 800, dark=dark)
        page.open(**ALL)
        page.wait("document.querySelector('canvas')?.width > 100")
        assert browser.run("document.documentElement.scrollWidth") <= width
