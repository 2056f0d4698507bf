"""A page to listen to likely wrong transcripts: one HTML file without scripts that loads nothing from elsewhere.

In: suspects, the most suspicious first. Out: the file. The first clips are embedded as Ogg Opus, up to 10 MB; the
rest are linked relative to the page.
"""

import base64
import math
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from asr.audio.encode import CLIP_MEDIA_TYPE, encode_clip
from asr.data.manifest import Utterance
from asr.data.recordings import load_utterance
from asr.errors import AudioError
from asr.files import write_text
from asr.pages.document import Document, element, render_document, text
from asr.recognition.suspects import Suspect

EMBED_BYTES = 10_000_000
_RATE_HZ = 16_000
_TITLE = "Likely wrong transcripts"


def write_page(path: Path, suspects: Sequence[Suspect], total: int, model: str) -> None:
    """Write the page for ``suspects``, which are the first of ``total``."""
    left = EMBED_BYTES
    articles = []
    for place, suspect in enumerate(suspects, start=1):
        source, size = _source(suspect.utterance, path, left)
        left -= size
        articles.append(_article(place, suspect, source))
    explanation = (
        f"The {len(suspects):,} most suspicious of {total:,} transcripts, as judged by {model}. Score: character edits "
        "between the text and what the model recognises, and how much less likely the text is than that, per "
        "character of the text. A high score may also be the model's own mistake: listen."
    )
    head = element("h1", text(_TITLE)) + element("p", text(explanation))
    body = element("div", head, *articles, id="main", class_="page suspects")
    styles = ("report.css", "suspects.css")
    page = Document(title=_TITLE, body=body, styles=styles, scripts=None, linked_audio=True)
    write_text(path, render_document(page))


def _article(place: int, suspect: Suspect, source: str) -> str:
    utterance = suspect.utterance
    score = f"{suspect.score:.2f}" if math.isfinite(suspect.score) else "cannot be spelled"
    speaker = f", speaker {utterance.speaker}" if utterance.speaker else ""
    texts = {"text": utterance.text, "recognised": suspect.hypothesis}
    texts |= {"note": suspect.note} if suspect.note else {}
    lines = [element("dt", text(name)) + element("dd", element("bdi", text(value))) for name, value in texts.items()]
    sound = element("audio", controls=True, preload="none", src=source) if source else ""
    return element(
        "article",
        element("h3", text(f"{place}. {utterance.id}: {score}")),
        element("p", text(f"{utterance.duration_s:.1f} s{speaker}"), class_="dim"),
        element("dl", *lines),
        sound or element("p", text("The recording cannot be read.")),
        class_="card",
    )


def _source(utterance: Utterance, page: Path, left: int) -> tuple[str, int]:
    """The value of `src`, and how many characters of it are embedded; empty where the recording cannot be read."""
    if left > 0:
        try:
            embedded = _embedded(utterance)
        except AudioError:
            return "", 0
        if len(embedded) <= left:
            return embedded, len(embedded)
    relative = os.path.relpath(utterance.audio, page.resolve().parent)
    stop_s = utterance.start_s + utterance.duration_s
    return f"{quote(relative)}#t={utterance.start_s:.3f},{stop_s:.3f}", 0


def _embedded(utterance: Utterance) -> str:
    clip = encode_clip(load_utterance(utterance, _RATE_HZ), _RATE_HZ)
    return f"data:{CLIP_MEDIA_TYPE};base64,{base64.b64encode(clip).decode()}"
