"""The page of `asr serve` in headless Chromium: a recording in, its words heard, changed and saved; the microphone."""

import base64
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

import asr
from benchmarks.browser import Browser, find_chromium
from tests.server.conftest import Running, Start

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no chromium here (apt-get install chromium)")
MICROPHONE = "--use-fake-device-for-media-stream --use-fake-ui-for-media-stream --use-file-for-fake-audio-capture"
PLAYS = """window.played = []; {
  const own = HTMLMediaElement.prototype.play;
  HTMLMediaElement.prototype.play = function () { window.played.push(this.currentTime); return own.call(this); };
}"""


@pytest.fixture(scope="module")
def server(start: Start) -> Iterator[Running]:
    with start(api_key="key", max_audio_s=60.0) as running:
        yield running


BLOBS = """window.blobs = []; {
  const own = URL.createObjectURL;
  URL.createObjectURL = (blob) => { window.blobs.push(blob); return own.call(URL, blob); };
}"""
LAST_BLOB = """(async () => {
  const bytes = new Uint8Array(await window.blobs.at(-1).arrayBuffer());
  return btoa(bytes.reduce((text, one) => text + String.fromCharCode(one), ''));
})()"""


@pytest.fixture(scope="module")
def browser(recordings: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Its microphone hears a recording again and again."""
    heard = tmp_path_factory.mktemp("microphone") / "heard.wav"
    soundfile.write(heard, *soundfile.read(recordings[2]), subtype="PCM_16")
    with Browser(flags=f"{MICROPHONE}={heard}", timeout_s=120) as one:
        one.size(1200, 900)
        yield one


def wait(browser: Browser, condition: str, timeout_s: float = 60.0) -> None:
    ends_s = time.monotonic() + timeout_s
    while not browser.run(f"Boolean({condition})"):
        shown = browser.run("document.body.innerText")
        assert time.monotonic() < ends_s, f"{condition} never came to be; {browser.errors}; the page shows {shown}"
        time.sleep(0.1)


def choose(browser: Browser, *files: Path) -> None:
    root = browser.call("DOM.getDocument")["root"]["nodeId"]
    node = browser.call("DOM.querySelector", nodeId=root, selector="#files")["nodeId"]
    browser.call("DOM.setFileInputFiles", files=[str(one) for one in files], nodeId=node)


def opened(browser: Browser, server: Running) -> None:
    browser.open(f"{server.address}/")
    wait(browser, "!document.getElementById('key-field').hidden")
    browser.errors.clear()  # the browser's own line about the first answer, 401
    browser.run(
        "(() => { const key = document.getElementById('key'); key.value = 'key';"
        "key.dispatchEvent(new Event('change')); })()"
    )
    wait(browser, "document.getElementById('model').value === 'tiny'")
    browser.run(PLAYS)


def words(browser: Browser) -> list[str]:
    found: list[str] = browser.run("[...document.querySelectorAll('.word')].map((one) => one.textContent)")
    return found


def test_a_recording_is_transcribed_heard_changed_and_saved(
    browser: Browser, server: Running, recordings: list[Path], model: Path, tmp_path: Path
) -> None:
    heard = asr.load_model(model, speech_gate=False).transcribe(recordings[2])
    opened(browser, server)
    assert browser.run("document.getElementById('trouble').textContent") == ""
    choose(browser, recordings[2])
    wait(browser, "document.querySelector('.files')")
    assert words(browser) == [word.text for word in heard.words]
    assert browser.run("document.querySelector('article h2').textContent") == recordings[2].name
    wait(browser, "document.querySelector('canvas').width > 300")

    browser.run("document.querySelectorAll('.word')[2].click()")
    wait(browser, "window.played.length")
    assert browser.run("window.played") == [pytest.approx(heard.words[2].start_s, abs=0.01)]

    browser.run("document.querySelector('.word').focus()")
    browser.press("ArrowRight")
    browser.press("F2")
    browser.call("Input.insertText", text="two <b>words</b>")
    browser.press("Enter")
    changed = [heard.words[0].text, "two <b>words</b>", *(word.text for word in heard.words[2:])]
    assert words(browser) == changed
    browser.press("F2")
    browser.call("Input.insertText", text="dropped")
    browser.press("Escape")
    assert words(browser) == changed

    browser.call("Browser.setDownloadBehavior", session=None, behavior="allow", downloadPath=str(tmp_path))
    browser.run("document.querySelector('button[data-format=tsv]').click()")
    saved = tmp_path / f"{recordings[2].stem}.tsv"
    ends_s = time.monotonic() + 60
    while not saved.exists() and time.monotonic() < ends_s:
        time.sleep(0.1)
    rows = [line.split("\t") for line in saved.read_text().splitlines()[1:]]
    assert [row[3] for row in rows] == [heard.words[0].text, "two", "<b>words</b>", *(w.text for w in heard.words[2:])]
    assert float(rows[1][0]) == pytest.approx(heard.words[1].start_s, abs=1e-3)
    assert float(rows[2][1]) == pytest.approx(heard.words[1].end_s, abs=1e-3)
    assert browser.errors == []
    hosts = {address.split("/", 3)[2] for address in browser.requests if address.startswith("http")}
    assert hosts == {server.address.removeprefix("http://")}


def loudest_rows(browser: Browser) -> list[float]:
    """Of the columns at a quarter and three quarters of the spectrogram: kHz of the pixel furthest from silence."""
    script = """(() => {
      const canvas = document.querySelector('canvas'), tall = 90 * devicePixelRatio, top = 60 * devicePixelRatio;
      return [0.25, 0.75].map((share) => {
        const data = canvas.getContext('2d').getImageData(Math.round(share * canvas.width), top, 1, tall).data;
        const far = Array.from({ length: tall }, (_, y) => 765 - data[4 * y] - data[4 * y + 1] - data[4 * y + 2]);
        return 8 * (1 - (far.indexOf(Math.max(...far)) + 0.5) / tall);
      });
    })()"""
    found: list[float] = browser.run(script)
    return found


def test_the_spectrogram_shows_each_frequency_at_its_place_in_any_view(
    browser: Browser, server: Running, tmp_path: Path
) -> None:
    time_s = np.arange(32000) / 16000
    tones = [0.3 * np.sin(2 * np.pi * hertz * time_s) for hertz in (1000, 5000)]
    soundfile.write(tmp_path / "tones.wav", np.concatenate(tones), 16000)
    opened(browser, server)
    choose(browser, tmp_path / "tones.wav")
    wait(browser, "document.querySelector('canvas')?.width > 300")
    assert loudest_rows(browser) == pytest.approx([1, 5], abs=0.15)
    assert browser.run("document.querySelector('.zoom input').hidden")
    browser.run("document.querySelector('button[aria-label=\"Zoom in\"]').click()")
    wait(browser, "document.querySelector('.zoom .dim').textContent")
    assert browser.run("document.querySelector('.zoom .dim').textContent") == "0:01.0 to 0:03.0 of 0:04"
    assert loudest_rows(browser) == pytest.approx([1, 5], abs=0.15)
    browser.run(
        "(() => { const place = document.querySelector('.zoom input'); place.value = 1;"
        "place.dispatchEvent(new Event('input')); })()"
    )
    wait(browser, "document.querySelector('.zoom .dim').textContent.startsWith('0:02.0')")
    assert loudest_rows(browser) == pytest.approx([5, 5], abs=0.15)


def test_what_the_server_refuses_is_shown_with_its_reason_and_can_be_tried_again(
    browser: Browser, server: Running, recordings: list[Path], tmp_path: Path
) -> None:
    opened(browser, server)
    (tmp_path / "<i>notes.wav").write_text("no sound")
    choose(browser, tmp_path / "<i>notes.wav", recordings[3])
    wait(browser, "document.querySelectorAll('.failed').length === 2")
    said = browser.run("[...document.querySelectorAll('.failed')].map((one) => one.textContent)")
    assert "longer than 60 s" in said[0] and said[1].startswith("<i>notes.wav: ")
    soundfile.write(tmp_path / "<i>notes.wav", np.zeros(8000), 8000)
    browser.run("[...document.querySelectorAll('article')].at(-1).querySelector('button').click()")
    wait(browser, "document.querySelectorAll('.failed').length === 1 && document.querySelector('article header')")
    browser.run("[...document.querySelectorAll('article')].at(-1).querySelector('button[aria-label^=Remove]').click()")
    assert browser.run("document.querySelectorAll('.failed').length") == 0


def test_the_microphone_is_recorded_and_transcribed(browser: Browser, server: Running) -> None:
    pytest.importorskip("av", reason="Chromium records WebM, which PyAV reads")
    opened(browser, server)
    browser.run("document.getElementById('record').click()")
    wait(browser, "document.getElementById('record').classList.contains('on')")
    time.sleep(2.5)
    browser.run("document.getElementById('record').click()")
    wait(browser, "document.querySelector('.files')")
    assert browser.run("document.querySelector('article h2').textContent").endswith(".webm")
    assert words(browser), "this model hears words in anything"
    assert browser.errors == []


def test_live_captions_settle_and_become_a_transcript_of_what_was_heard(
    browser: Browser, server: Running, model: Path
) -> None:
    opened(browser, server)
    browser.run(BLOBS)
    browser.run("document.getElementById('live').click()")
    wait(browser, "document.querySelectorAll('.captions .word').length > 3")
    settled = words(browser)
    assert browser.run("document.querySelector('.listening').textContent").startswith("Listening, 0:")
    browser.run("document.getElementById('live').click()")
    wait(browser, "document.querySelector('.files')")
    kept = words(browser)
    assert kept[: len(settled)] == settled

    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(browser.run(LAST_BLOB))), dtype="int16")
    stream = asr.load_model(model, speech_gate=False).stream(rate)
    events = [*stream.feed(samples), *stream.finish()]
    heard = [word for event in events if event.kind == "words" for word in event.words]
    assert kept == [word.text for word in heard]
    browser.run("document.querySelectorAll('.word')[2].click()")
    wait(browser, "window.played.length")
    assert browser.run("window.played") == [pytest.approx(heard[2].start_s, abs=0.01)]
    assert browser.errors == []


def test_live_captions_that_the_server_refuses_are_told_of(browser: Browser, server: Running) -> None:
    opened(browser, server)
    browser.run("document.getElementById('key').value = 'another'")
    browser.run("document.getElementById('live').click()")
    wait(browser, "document.querySelector('.failed')")
    assert "takes no live sound: see the API key" in browser.run("document.querySelector('.failed').textContent")
    assert browser.run("document.getElementById('live').textContent") == "● Live captions"


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_the_window(
    browser: Browser, server: Running, recordings: list[Path], width: int, dark: bool
) -> None:
    browser.size(width, 800, dark=dark)
    opened(browser, server)
    choose(browser, recordings[0])
    wait(browser, "document.querySelector('canvas')?.width > 100")
    assert browser.run("document.documentElement.scrollWidth") <= width
    colours = json.loads(browser.run("JSON.stringify([getComputedStyle(document.body).backgroundColor])"))
    assert (colours == ["rgb(20, 23, 27)"]) == dark
    browser.size(1200, 900)
