"""The page at ``/``: one self-contained file, as the report pages are; it asks this server alone.

In: nothing; the page asks for the models itself, because a key may be needed. Out: HTML text.
"""

from asr.pages.document import Document, element, header, render_document, template, text
from asr.transcription import EXTENSIONS


def render_page() -> str:
    """The whole file; its scripts are in ``asr/pages/templates``."""
    return render_document(
        Document(
            title="Transcribe",
            body=element("div", header("Transcribe"), element("main", _inputs(), _status(), id="main"), class_="page"),
            styles=("serve.css",),
            scripts=tuple(f"serve_{name}.js" for name in ("sound", "picture", "words", "live", "main")),
            data={"formats": list(EXTENSIONS.items()), "capture": template("serve_capture.js")},
            requests=True,
            worklets=True,
        )
    )


def _inputs() -> str:
    chosen = element("input", id="files", type="file", multiple=True, accept="audio/*,video/*")
    drop = element("label", element("span", text("Drop recordings here, or choose them")), chosen, id="drop")
    buttons = [
        element("button", text(label), id=name, type="button", title=title)
        for name, label, title in (
            ("record", "● Record", "Record from the microphone, then transcribe"),
            ("live", "● Live captions", "Transcribe while you speak into the microphone"),
        )
    ]
    fields = [
        element("label", text("Model"), element("select", id="model")),
        element(
            "label", text("Expected words"), element("input", id="prompt", placeholder="names, terms"), class_="grow"
        ),
        element("label", text("API key"), element("input", id="key", type="password"), id="key-field", hidden=True),
    ]
    return element("section", drop, element("div", *fields, *buttons, class_="tools"), aria_label="Recordings")


def _status() -> str:
    keys = (
        "Words with a wavy line are least sure. Click a word to hear it, double-click to change it. Keyboard: ← → "
        "move, Space or Enter plays, F2 edits, Enter keeps the change, Esc drops it; an empty word is deleted."
    )
    return "".join(
        (
            element("p", id="trouble", role="alert"),
            element("p", text(keys), id="keys", class_="dim", hidden=True),
            element("div", id="transcripts", aria_live="polite"),
        )
    )
