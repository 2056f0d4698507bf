"""The pages at ``/`` and ``/corpus``: self-contained files, as the report pages are, that ask this server alone.

In: nothing; a page asks for models and segments itself, because a key may be needed. Out: HTML text.
"""

from asr.pages.document import Document, element, header, render_document, template, text
from asr.transcription import EXTENSIONS

_CORPUS_SCRIPTS = (
    *(f"serve_{name}" for name in ("shared", "sound", "picture")),
    *(f"corpus_{name}" for name in ("store", "text", "queue", "main", "keys")),
)


def render_page() -> str:
    """The whole file; its scripts are in ``asr/pages/templates``."""
    return render_document(
        Document(
            title="Transcribe",
            body=element("div", header("Transcribe"), element("main", _inputs(), _status(), id="main"), class_="page"),
            styles=("serve.css",),
            scripts=tuple(f"serve_{name}.js" for name in ("shared", "sound", "picture", "words", "live", "main")),
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
        _key(),
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


def _key() -> str:
    return element("label", text("API key"), element("input", id="key", type="password"), id="key-field", hidden=True)


def render_corpus_page() -> str:
    """The page on which people correct the drafts of a corpus (``asr serve --corpus``)."""
    body = (
        header("Correct transcripts"),
        element("main", element("div", element("div", *_messages(), _card()), _queue(), class_="desk"), id="main"),
        _dialog("help", "Keys", element("table", id="keys"), button="Close"),
        _dialog("who", "Who corrects?", _name(), button="Start", then="name-ok"),
    )
    return render_document(
        Document(
            title="Correct transcripts",
            body=element("div", *body, class_="page"),
            styles=("serve.css", "corpus.css"),
            scripts=tuple(f"{name}.js" for name in _CORPUS_SCRIPTS),
            requests=True,
        )
    )


def _act(name: str, label: str, *, key: bool = False, **attributes: object) -> str:
    """A button that does what the key of that name does (corpus_keys.js); ``key``: with the key on it."""
    return element(
        "button", element("span", text(label)), type="button", data_act=name, data_key=key or None, **attributes
    )


def _group(*buttons: str) -> str:
    return element("span", *buttons, class_="group")


def _messages() -> tuple[str, ...]:
    progress = element("progress", id="progress", max=1, value=0, aria_label="Segments that are done")
    return (
        element("div", progress, element("span", id="counts", class_="dim"), id="done-line"),
        element("details", id="failed", hidden=True, class_="dim"),
        element("p", id="away", role="status", hidden=True),
        element("p", id="trouble", role="alert"),
        element("div", id="notices", aria_live="polite"),
        element("p", text("…"), id="pause"),
    )


def _card() -> str:
    move = element("div", _act("before", "← Previous"), _act("after", "Next →"))
    sound = (
        _act("play", "▶ Play", key=True, id="play"),
        _group(_act("back", "« 2 s"), _act("forth", "2 s »")),
        _group(
            _act("slower", "−", aria_label="Slower"),
            element("span", id="rate"),
            _act("faster", "+", aria_label="Faster"),
        ),
        _act("repeat", "⟳ Repeat", id="repeat"),
        _act("unsure", "Uncertain word", key=True),
    )
    box = element("textarea", id="text", dir="auto", spellcheck="false", rows=2, aria_label="Text", autocomplete="off")
    about = (element("span", id="word", class_="dim"), element("span", id="state", class_="dim", role="status"))
    acts = (
        _act("accept", "Right as it is, next", key=True, id="accept"),
        _act("skip", "Skip", key=True),
        _act("undo", "Take back", key=True),
        element("span", id="told", class_="dim", role="status"),
    )
    parts = (
        element("header", element("div", id="where"), move),
        element("div", id="picture"),
        element("div", *sound, class_="tools"),
        element("div", element("div", id="layer", dir="auto", aria_hidden="true"), box, class_="edit"),
        element("div", *about, id="about"),
        element("div", *acts, class_="tools", id="act"),
        element("ul", id="alternatives", class_="choices", aria_label="Other readings"),
        element("div", id="history", class_="choices", hidden=True),
    )
    return element("article", *parts, id="card", hidden=True)


def _choice(name: str, label: str, **options: str) -> str:
    chosen = (element("option", text(shown), value=value) for value, shown in options.items())
    return element("label", text(label), element("select", *chosen, id=name))


def _queue() -> str:
    at_once = element("label", element("input", type="checkbox", id="at-once"), text("play at once"), class_="check")
    tools = (
        _choice("order", "Order", useful="most useful first", recording="by recording"),
        _choice("status", "Show", open="to do", corrected="corrected", skipped="skipped", all="all"),
        _key(),
        element("button", id="by", type="button", title="Who corrects"),
        _act("help", "Keys"),
        at_once,
    )
    more = element("button", text("More"), id="more", type="button", hidden=True)
    return element("aside", element("div", *tools, class_="tools"), element("ol", id="queue"), more, aria_label="Queue")


def _name() -> str:
    why = "Your name is written beside every text that you save."
    name = element("input", id="name", maxlength=100, autocomplete="name", aria_label="Your name", dir="auto")
    return element("p", text(why)) + name


def _dialog(name: str, title: str, content: str, *, button: str, then: str | None = None) -> str:
    ok = element("button", text(button), id=then or f"{name}-ok", type="button")
    return element(
        "dialog", element("h2", text(title), id=f"h-{name}"), content, ok, id=name, aria_labelledby=f"h-{name}"
    )
