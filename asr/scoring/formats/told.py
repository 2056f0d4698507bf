"""What a line tells of an utterance beyond id and text: where its sound is, words, n-best, and any further field.

In: a JSON object, or a row of a table by column names. Out: the extra keys of a line of results.jsonl, so that groups,
pages and calibration work for every system's output and not for our own alone.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from asr.scoring.formats.entries import Role, TimedWord, check_encodable

_AUDIO = ("audio", "audio_filepath")
_MEASURED = ("snr_db", "speech_s")
_LISTS, _SCORES = ("words", "n_best"), ("confidence", "score")  # of the hypothesis
_JUDGED = ("right", "word_errors")  # by an earlier scoring, perhaps under another normaliser
_KNOWN = {
    "id", "text", "reference", "hypothesis", "pred_text", "speaker", "duration", "duration_s", "start_s", "offset",
    "channel", "fields", "normalizer", "missing", "reference_normalized", "hypothesis_normalized", "word_errors",
    "character_errors", "raw_word_errors", "raw_character_errors", "file", "path", "utterance", "wav_filename", "ref",
    "hyp", "transcript", "sentence", "prediction", *_AUDIO, *_MEASURED, *_LISTS, *_SCORES,
}  # fmt: skip


def told_by_object(value: Mapping[str, Any], role: Role) -> dict[str, Any]:
    """Of a JSON line. Scalars that have no meaning of their own become ``fields``, to group by.

    Raises ValueError where a text holds half of a surrogate pair.
    """
    told: dict[str, Any] = {}
    audio = next((value[name] for name in _AUDIO if isinstance(value.get(name), str)), None)
    if audio is not None:
        told["audio"] = audio
        told["start_s"] = next((value[name] for name in ("start_s", "offset") if _is_number(value.get(name))), 0.0)
        if isinstance(value.get("channel"), int):
            told["channel"] = value["channel"]
    told |= {name: value[name] for name in _MEASURED if _is_number(value.get(name))}
    if role == "hypothesis":
        told |= {name: _unjudged(value[name]) for name in _LISTS if _is_list_of_objects(value.get(name))}
        told |= {name: value[name] for name in _SCORES if _is_number(value.get(name))}
    given = value.get("fields")
    fields = {**(given if isinstance(given, dict) else {}), **_scalars(value)}
    told = _finite(told | ({"fields": fields} if fields else {}))
    check_encodable(json.dumps(told, ensure_ascii=False))
    return told


def told_by_row(row: Mapping[str, str], role: Role) -> dict[str, Any]:
    """Of a table's row: its filled columns as if they were a JSON line's, numbers as numbers."""
    return told_by_object({name: _plain(cell) for name, cell in row.items() if name and cell}, role)


def told_words(words: Sequence[TimedWord], start_s: float) -> list[dict[str, Any]]:
    """The words of a hypothesis that begins at ``start_s`` of its recording, with times from there on."""
    return [
        {"text": word.text, "start_s": round(word.start_s - start_s, 6), "end_s": round(word.end_s - start_s, 6)}
        | ({} if word.confidence is None else {"confidence": word.confidence})
        for word in words
    ]


def _scalars(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: one for key, one in value.items() if key not in _KNOWN and isinstance(one, (str, int, float))}


def _unjudged(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: part for key, part in row.items() if key not in _JUDGED} for row in rows]


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _finite(value: Any) -> Any:
    """Numbers that JSON cannot hold become null, wherever they are."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(cell: str) -> str | float:
    try:
        number = float(cell)
    except ValueError:
        return cell
    return number if number == number and abs(number) != float("inf") else cell


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
