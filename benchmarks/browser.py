"""A headless Chromium, driven over its debugging pipe: no driver, no extra package, no port.

In: a page's address and steps. Out: values computed in the page, its requests, errors on its console, screenshots.
Used by the tests of ``asr.pages`` and by benchmarks/report_page.py.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Chromium has no sandbox as root; without a sound card audio still plays, muted.
_FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-extensions "
    "--disable-component-update --disable-dev-shm-usage --mute-audio --autoplay-policy=no-user-gesture-required "
    "--hide-scrollbars --remote-debugging-pipe"
)


def find_chromium() -> str | None:
    """The browser's path, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One browser with one page; use it as a context manager.

    Attributes: ``requests``, addresses that the page requested (without data: URLs); ``errors``, console errors and
    violations of the content policy.
    """

    def __init__(self, *, timeout_s: float = 60.0, flags: str = "") -> None:
        """``flags``: further ones for the command line."""
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._timeout_s, self._flags = timeout_s, flags
        self._number, self._buffer = 0, b""
        self._answers: dict[int, dict[str, Any]] = {}
        self._loaded = False

    def __enter__(self) -> Self:
        path = find_chromium()
        if path is None:
            raise RuntimeError("no chromium; apt-get install chromium")
        self._profile = tempfile.TemporaryDirectory(prefix="asr-browser-", ignore_cleanup_errors=True)
        read_end, self._write = os.pipe()
        self._read, write_end = os.pipe()
        command = (
            f'exec "{path}" {_FLAGS} {self._flags} --user-data-dir="{self._profile.name}" 3<&{read_end} 4>&{write_end}'
        )
        self._process = subprocess.Popen(
            ["bash", "-c", command],
            pass_fds=(read_end, write_end),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read_end)
        os.close(write_end)
        target = self.call("Target.createTarget", session=None, url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", session=None, targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)
        self._profile.cleanup()

    def size(self, width: int, height: int, *, dark: bool = False, scale: float = 1.0) -> None:
        """The window in CSS pixels, and the preferred colour scheme."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, page: Path | str, fragment: str = "") -> float:
        """Open a page from disk, or an address; returns the seconds until its script has drawn it."""
        self.call("Page.navigate", url="about:blank")
        self.requests.clear()
        self.errors.clear()
        started_s = time.perf_counter()
        self.call("Page.navigate", url=(page if isinstance(page, str) else page.resolve().as_uri()) + fragment)
        while self.run("document.documentElement && document.documentElement.dataset.ready || ''") != "yes":
            if time.perf_counter() - started_s > self._timeout_s:
                raise TimeoutError(f"{page} never became ready: {self.errors}")
            time.sleep(0.01)
        return time.perf_counter() - started_s

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for. Raises RuntimeError where it throws."""
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"].get("exception", answer["exceptionDetails"])))
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """One key, as typed: a letter, "Enter", "Escape", "ArrowDown", "Tab", ...; or with others held: "Alt+1"."""
        *held, key = key.split("+") if len(key) > 1 else [key]
        modifiers = sum({"Alt": 1, "Ctrl": 2, "Meta": 4, "Shift": 8}[one] for one in held)
        text = "" if held else {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        kind = "keyDown" if text else "rawKeyDown"
        self.call("Input.dispatchKeyEvent", type=kind, key=key, text=text, modifiers=modifiers)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, modifiers=modifiers)

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """A PNG of the window, or of the whole page."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    def pdf(self, path: Path) -> None:
        """The page as it prints."""
        answer = self.call("Page.printToPDF", printBackground=False)
        path.write_bytes(base64.b64decode(answer["data"]))

    def call(self, method: str, session: str | None = "", **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol and its result."""
        self._number += 1
        number = self._number
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        ends_s = time.monotonic() + self._timeout_s
        while number not in self._answers:
            self._receive(ends_s)
        answer = self._answers.pop(number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _receive(self, ends_s: float) -> None:
        ready, _, _ = select.select([self._read], [], [], max(0.0, ends_s - time.monotonic()))
        data = os.read(self._read, 1 << 20) if ready else b""
        if not data:
            raise TimeoutError("chromium does not answer" if not ready else "chromium ended")
        *messages, self._buffer = (self._buffer + data).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self._answers[message["id"]] = message
            else:
                self._on_event(message.get("method", ""), message.get("params", {}))

    def _on_event(self, method: str, parameters: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            address = parameters["request"]["url"]
            if not address.startswith(("data:", "about:")):
                self.requests.append(address)
        elif method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(parameters["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.errors.append(json.dumps(parameters["args"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.errors.append(json.dumps(parameters["entry"]))
