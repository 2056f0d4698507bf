"""The suspects of `asr check --model`: every transcript judged by a model, ranked, written.

In: a model directory and checked manifests. Out: suspects, the most suspicious first, and their JSON lines.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asr.commands._check_work import Checked
from asr.data.utterance import Utterance
from asr.errors import AsrError
from asr.files import write_text
from asr.recognition import Recognizer
from asr.recognition.suspects import Suspect, rank_suspects
from asr.terminal import Progress
from asr.text.normalize import get_normalizer


def load_judge(model: Path, device: str) -> Recognizer:
    """The recogniser that judges; loaded before anything is heard, so that what is wrong with it is said at once."""
    return Recognizer.from_pretrained(
        model, device=device, speech_gate=False, words=False, decoding={"name": "greedy"}
    )  # fmt: skip


def rank(recognizer: Recognizer, checked: Sequence[Checked]) -> tuple[list[Suspect], list[tuple[Utterance, AsrError]]]:
    """All transcripts of all manifests, and the utterances that could not be heard."""
    normalize = get_normalizer(str(recognizer.facts.get("normalizer", "basic")))
    utterances = [utterance for one in checked for utterance in one.utterances]
    total_s = sum(utterance.duration_s for utterance in utterances)
    with Progress(round(total_s), "judging transcripts", "s of audio") as progress:
        emissions = recognizer.emissions(utterances)
        return rank_suspects(utterances, emissions, recognizer.tokenizer, normalize, progress.update)


def write_suspects(path: Path, ranked: Sequence[Suspect]) -> None:
    """One JSON line each, the most suspicious first."""
    lines = [json.dumps(fields(place, one), ensure_ascii=False) for place, one in enumerate(ranked, start=1)]
    write_text(path, "".join(line + "\n" for line in lines))


def fields(place: int, suspect: Suspect) -> dict[str, Any]:
    """Plain values; a score that is infinite is null."""
    utterance = suspect.utterance
    return {
        "rank": place,
        "id": utterance.id,
        "score": _finite(suspect.score),
        "edits": _finite(suspect.edits),
        "nats": _finite(suspect.nats),
        "text": utterance.text,
        "heard": suspect.heard,
        "note": suspect.note,
        "speaker": utterance.speaker,
        "audio": utterance.audio,
        "start_s": utterance.start_s,
        "duration_s": utterance.duration_s,
    }


def _finite(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
