"""The base of every page: one HTML file with its style, its script and its data inside, under a strict content policy.

In: a title, the body as HTML, the names of style and script files in ``templates``, and data. Out: HTML text, the same
for the same input. The policy (a meta element) lets in the page's own script and style by their hash and nothing else:
no request, no inline handler, no style attribute. Text becomes HTML through ``element`` and ``text`` only; data travel
as JSON in which no character can end the script element that holds them.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from asr import __version__

_SLOT = re.compile(r"\{\{(\w+)\}\}")
_VOID = {"br", "col", "hr", "img", "input", "meta"}
# Inside a script element only these could be read as markup, or (the line separators) as the end of a line of script.
_JSON_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}
_SHARED_STYLES, _SHARED_SCRIPTS = ("base.css",), ("base.js",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """``body`` is HTML made by ``element``; ``data``: by element id, what the script reads as JSON.

    ``late`` is such data too, read when the page stands already. ``styles`` and ``scripts`` are names in ``templates``,
    joined in order after the shared ones; no ``scripts`` at all (None) makes a page that runs nothing and follows the
    browser's light or dark. ``linked_audio``: the page may play audio files beside it (else only what it carries).
    """

    title: str
    body: str
    styles: Sequence[str] = ()
    scripts: Sequence[str] | None = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    late: Mapping[str, Any] = field(default_factory=dict)
    linked_audio: bool = False


def render_document(document: Document) -> str:
    """The whole file."""
    style = "\n".join(template(name) for name in (*_SHARED_STYLES, *document.styles))
    script = None if document.scripts is None else _joined(document.scripts)
    return fill(
        template("base.html"),
        policy=_policy(script, style, document.linked_audio),
        title=text(document.title),
        version=text(__version__),
        style=style,
        body=document.body,
        data=_data_elements(document.data),
        script="" if script is None else f"<script>{script}</script>",
        late=_data_elements(document.late),
    )


def _joined(scripts: Sequence[str]) -> str:
    parts = "\n".join(template(name) for name in (*_SHARED_SCRIPTS, *scripts))
    return f'(() => {{\n"use strict";\n{parts}\n}})();\n'


def template(name: str) -> str:
    """A file of ``templates``."""
    return resources.files("asr.pages").joinpath("templates", name).read_text(encoding="utf-8")


def fill(pattern: str, **values: str) -> str:
    """Each ``{{name}}`` replaced once; what is put in is not looked at again. Raises KeyError for a name not given."""
    return _SLOT.sub(lambda match: values[match[1]], pattern)


def text(value: object) -> str:
    """Any value as HTML text; half characters, which UTF-8 cannot hold, become the replacement character."""
    return html.escape(str(value).encode("utf-8", "replace").decode("utf-8"))


def element(name: str, *children: str, **attributes: object) -> str:
    """An element around ``children`` (HTML already).

    ``class_`` is class, ``aria_label`` is aria-label; None and False leave an attribute out, True gives it no value.
    """
    written = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        label = key.rstrip("_").replace("_", "-")
        written.append(f" {label}" if value is True else f' {label}="{text(value)}"')
    opened = f"<{name}{''.join(written)}>"
    return opened if name in _VOID else f"{opened}{''.join(children)}</{name}>"


def embedded_json(value: Any) -> str:
    """Compact JSON that stands safely inside a script element; NaN and infinity raise ValueError."""
    written = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return written.encode("utf-8", "replace").decode("utf-8").translate(_JSON_ESCAPES)


def _data_elements(data: Mapping[str, Any]) -> str:
    return "\n".join(
        f'<script type="application/json" id="{text(name)}">{embedded_json(value)}</script>'
        for name, value in data.items()
    )


def _policy(script: str | None, style: str, linked_audio: bool) -> str:
    rules = {
        "default-src": "'none'",
        "script-src": "'none'" if script is None else _hash(script),
        "style-src": _hash(style),
        "img-src": "data:",
        "media-src": "data: blob: 'self' file:" if linked_audio else "data: blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
