"""The base of pages: text stays text, data cannot end their element, the policy fits the script, twice is the same."""

import base64
import hashlib
import html
import json
import re
from html.parser import HTMLParser

import pytest

from asr.pages.document import Document, element, embedded_json, fill, render_document, text
from tests.pages.made import HOSTILE

VALUES = [*HOSTILE.values(), "{{title}} {{data}}", "]]>", "\x00\x1b[0m"]


class Reader(HTMLParser):
    """What a browser's parser would see."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.contents: dict[int, str] = {}
        self._open = -1
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = len(self.elements) - 1

    def handle_endtag(self, tag: str) -> None:
        self._open = -1

    def handle_data(self, data: str) -> None:
        self.contents[self._open] = self.contents.get(self._open, "") + data

    def all(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [
            (attributes, self.contents.get(n, "")) for n, (name, attributes) in enumerate(self.elements) if name == tag
        ]


def whole(value: str) -> str:
    return value.encode("utf-8", "replace").decode("utf-8")


@pytest.mark.parametrize("value", VALUES)
def test_whatever_text_goes_in_comes_out_as_that_text(value: str) -> None:
    page = render_document(Document(title=value, body=element("p", text(value), title=value), data={"d": {"v": value}}))
    read = Reader(page)
    assert read.all("title")[0][1] == whole(value)
    assert read.all("p") == [({"title": whole(value)}, whole(value))]
    (data,) = [content for attributes, content in read.all("script") if attributes.get("id") == "d"]
    assert json.loads(data) == {"v": whole(value)}
    assert [tag for tag, _ in read.elements].count("script") == 2 and "img" not in [tag for tag, _ in read.elements]


@pytest.mark.parametrize("value", VALUES)
def test_data_hold_no_character_that_could_end_their_element(value: str) -> None:
    written = embedded_json([value])
    assert not set("<>&\u2028\u2029") & set(written)


def test_numbers_that_json_does_not_know_are_refused() -> None:
    with pytest.raises(ValueError):
        embedded_json(float("nan"))


@pytest.mark.parametrize("asks", [False, True])
def test_the_policy_lets_in_the_pages_own_script_and_style_by_hash_and_nothing_else(asks: bool) -> None:
    read = Reader(render_document(Document(title="t", body="", requests=asks, worklets=asks)))
    (policy,) = [a["content"] for a, _ in read.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in (policy or "").split("; "))

    def hashed(tag: str) -> str:
        ((_, content),) = [(a, c) for a, c in read.all(tag) if "id" not in a]
        return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"

    assert rules == {
        "default-src": "'none'",
        "script-src": hashed("script") + (" 'strict-dynamic'" if asks else ""),  # what that script itself loads
        "style-src": hashed("style"),
        "img-src": "data:",
        "media-src": "data: blob:",
        **({"connect-src": "'self'"} if asks else {}),
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_a_page_without_scripts_holds_none_and_lets_none_in() -> None:
    read = Reader(render_document(Document(title="t", body="", scripts=None)))
    assert not read.all("script")
    (policy,) = [a["content"] for a, _ in read.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert "script-src 'none';" in (policy or "")


def test_a_page_names_nothing_outside_itself() -> None:
    read = Reader(render_document(Document(title="t", body="")))
    assert not [tag for tag, _ in read.elements if tag in ("link", "iframe", "object", "embed", "base")]
    assert not [a for _, a in read.elements if "src" in a or "style" in a or any(k.startswith("on") for k in a)]


def test_the_same_input_gives_the_same_bytes() -> None:
    document = Document(title="t", body="b", data={"a": [1, 2]}, late={"c": 3})
    assert render_document(document) == render_document(document)


def test_what_is_filled_in_is_not_looked_at_again() -> None:
    assert fill("{{a}}-{{b}}", a="{{b}}", b="1") == "{{b}}-1"
    with pytest.raises(KeyError):
        fill("{{unknown}}")


def test_attributes_are_left_out_bare_or_quoted() -> None:
    made = element("button", "x", hidden=True, disabled=False, title=None, class_='a"b', aria_label="<c>")
    assert made == '<button hidden class="a&quot;b" aria-label="&lt;c&gt;">x</button>'
    assert html.unescape(re.findall('class="(.*?)"', made)[0]) == 'a"b'
