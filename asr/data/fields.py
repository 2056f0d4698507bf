"""What one line of a manifest may hold.

In: the fields of one JSON object. Out: what is wrong with them, a short sentence each. Reading and writing both ask
here, so that nothing is written that could not be read again.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

OWN_FIELDS = ("id", "audio", "duration_s", "text", "start_s", "speaker", "channel")
_NAMES_ELSEWHERE = {"audio": "audio_filepath", "duration_s": "duration", "start_s": "offset"}


def field_faults(fields: Mapping[str, Any]) -> list[str]:
    """What is wrong with one line's fields, each taken by itself; an empty list if nothing is."""
    faults = _text_faults(fields)
    if "duration_s" not in fields:
        faults.append(_absent("duration_s", fields))
    elif not _is_seconds(fields["duration_s"]) or fields["duration_s"] <= 0:
        faults.append(f"duration_s is {kind(fields['duration_s'])}, not a number of seconds above 0")
    if "start_s" in fields and (not _is_seconds(fields["start_s"]) or fields["start_s"] < 0):
        faults.append(f"start_s is {kind(fields['start_s'])}, not a number of seconds, 0 or more")
    speaker, channel = fields.get("speaker"), fields.get("channel")
    if speaker is not None and not (isinstance(speaker, str) and speaker):
        faults.append(f"speaker is {kind(speaker)}, not text (leave it out where it is not known)")
    if channel is not None and not (isinstance(channel, int) and not isinstance(channel, bool) and channel >= 0):
        faults.append(f"channel is {kind(channel)}, not a whole number counted from 0")
    return faults + _extra_faults(fields)


def _text_faults(fields: Mapping[str, Any]) -> list[str]:
    faults: list[str] = []
    for key in ("id", "audio", "text"):
        if key not in fields:
            faults.append(_absent(key, fields))
        elif not isinstance(fields[key], str):
            faults.append(f"{key} is {kind(fields[key])}, not text")
        elif not fields[key] and key != "text":
            faults.append(f"{key} is empty")
    return faults


def _extra_faults(fields: Mapping[str, Any]) -> list[str]:
    faults: list[str] = []
    for key, value in fields.items():
        if isinstance(value, str) and not _is_unicode(value):
            faults.append(f"{key} holds half a Unicode character (a lone surrogate)")
        elif key not in OWN_FIELDS and not _is_scalar(value):
            faults.append(f"{key} is {kind(value)}; further fields hold text, a finite number, true, false or null")
        if not _is_unicode(key):
            faults.append("a key holds half a Unicode character (a lone surrogate)")
    return faults


def _absent(key: str, fields: Mapping[str, object]) -> str:
    other = _NAMES_ELSEWHERE.get(key)
    hint = f" (it has {other}, as NeMo writes it: run asr prepare recipes/folder on it)" if other in fields else ""
    return f"{key} is not there{hint}"


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)


def _is_finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond 1e308
        return False


def _is_scalar(value: object) -> bool:
    if isinstance(value, int | float):
        return _is_finite(value)
    return value is None or isinstance(value, str)


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def kind(value: object) -> str:
    """A JSON value as a person sees it, short."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    shown = ascii(value) if isinstance(value, str) else str(value)
    return shown if len(shown) <= 40 else shown[:37] + "..."
