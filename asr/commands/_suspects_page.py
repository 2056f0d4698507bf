"""A page to listen through suspects: one HTML file without scripts, that loads nothing from anywhere.

In: suspects, the most suspicious first. Out: the file. The first clips travel inside it as MP3, up to 10 MB; the rest
are linked relative to the page. All text is escaped.
"""

import base64
import html
import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from asr.audio import load_audio
from asr.data.utterance import Utterance
from asr.errors import AudioError
from asr.files import write_text
from asr.recognition.suspects import Suspect

EMBED_BYTES = 10_000_000
_RATE_HZ = 16_000
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Likely wrong transcripts</title>
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; media-src data: file: 'self'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
article { border-top: 1px solid #8886; padding: .7rem 0; }
h2 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
p { margin: .2rem 0; } audio { width: 100%; margin-top: .3rem; }
.is { display: inline-block; min-width: 9rem; opacity: .7; }
</style></head><body>
"""


def write_page(path: Path, suspects: Sequence[Suspect], total: int, model: str) -> None:
    """Write the page for ``suspects``, which are the first of ``total``."""
    left = EMBED_BYTES
    parts = [
        _HEAD,
        f"<h1>Likely wrong transcripts</h1>\n<p>The {len(suspects):,} most suspicious of {total:,} transcripts, as "
        f"judged by {html.escape(model)}. Score: character edits between the text and what the model reads, and how "
        "much less likely the text is than that, per character of the text. A high score may also be the model's own "
        "mistake: listen.</p>\n",
    ]
    for place, suspect in enumerate(suspects, start=1):
        source, size = _source(suspect.utterance, path, left)
        left -= size
        parts.append(_article(place, suspect, source))
    write_text(path, "".join(parts) + "</body></html>\n")


def _article(place: int, suspect: Suspect, source: str) -> str:
    utterance = suspect.utterance
    score = f"{suspect.score:.2f}" if math.isfinite(suspect.score) else "cannot be spelled"
    speaker = f", speaker {html.escape(utterance.speaker)}" if utterance.speaker else ""
    note = f'<p><span class="is">note</span> {html.escape(suspect.note)}</p>\n' if suspect.note else ""
    sound = f'<audio controls preload="none" src="{source}"></audio>' if source else "<p>The sound cannot be read.</p>"
    return (
        f"<article><h2>{place}. {html.escape(utterance.id)}: {score}</h2>\n"
        f"<p>{utterance.duration_s:.1f} s{speaker}</p>\n"
        f'<p><span class="is">text</span> {html.escape(utterance.text)}</p>\n'
        f'<p><span class="is">the model reads</span> {html.escape(suspect.heard)}</p>\n{note}{sound}</article>\n'
    )


def _source(utterance: Utterance, page: Path, left: int) -> tuple[str, int]:
    """What `src` holds, and how many characters of it count as embedded; empty where the sound cannot be read."""
    if left > 0:
        try:
            embedded = _embedded(utterance)
        except AudioError:
            return "", 0
        if len(embedded) <= left:
            return embedded, len(embedded)
    relative = os.path.relpath(utterance.audio, page.resolve().parent)
    stop_s = utterance.start_s + utterance.duration_s
    return html.escape(f"{quote(relative)}#t={utterance.start_s:.3f},{stop_s:.3f}"), 0


def _embedded(utterance: Utterance) -> str:
    import soundfile

    waveform = load_audio(
        utterance.audio,
        sample_rate=_RATE_HZ,
        start_s=utterance.start_s,
        duration_s=utterance.duration_s,
        channel=utterance.channel,
    )
    stream = io.BytesIO()
    soundfile.write(stream, waveform.clip(-1, 1), _RATE_HZ, format="MP3", subtype="MPEG_LAYER_III")
    return f"data:audio/mpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
