"""Options of a recipe, checked against the signature of its ``prepare``.

In: a function whose keyword-only arguments are the options, and values that come typed (YAML) or as words (a command
line). Out: values of the types that the signature names. Why: a recipe states its options once, in plain Python, and a
wrong name or value is answered with the list of right ones.
"""

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from asr.errors import ConfigError

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def check_options(where: str, function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """``options`` with each value as the type that ``function``'s keyword-only arguments name.

    Understood are bool, int, float, str, Path, Literal, and each of them ``| None``.

    Raises:
        ConfigError: on an unknown name or a value that does not fit; ``where`` opens the message.
    """
    known = {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    unknown = [name for name in options if name not in known]
    if unknown:
        listing = ", ".join(f"{name}={parameter.default}" for name, parameter in known.items()) or "none"
        raise ConfigError(f"{where} has no option {', '.join(unknown)}. Its options: {listing}.")
    hints = typing.get_type_hints(function)
    return {name: _convert(f"{where}: {name}={value}", value, hints[name]) for name, value in options.items()}


def accepts_none(hint: Any) -> bool:
    """Whether a type hint allows None."""
    return type(None) in _alternatives(hint)


def _alternatives(hint: Any) -> tuple[Any, ...]:
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if is_union else (hint,)


def _convert(what: str, value: Any, hint: Any) -> Any:
    """``value`` read as one of the types in ``hint``; None is tried first, as every word is also a ``str``."""
    if accepts_none(hint) and (value is None or str(value).lower() in {"none", "null"}):
        return None
    choices: list[str] = []
    for kind in _alternatives(hint):
        if typing.get_origin(kind) is typing.Literal:
            choices += [str(choice) for choice in typing.get_args(kind)]
            matches = [choice for choice in typing.get_args(kind) if str(choice) == str(value)]
            if matches:
                return matches[0]
        elif kind is not type(None):
            parsed = _parse(value, kind)
            if parsed is not None:
                return parsed
    names = " or ".join(getattr(kind, "__name__", str(kind)) for kind in _alternatives(hint) if kind is not type(None))
    remedy = f"choose one of {', '.join(choices)}" if choices else f"it must be of type {names}"
    raise ConfigError(f"{what} does not fit; {remedy}.")


def _parse(value: Any, kind: Any) -> Any:
    """``value`` as a bool, int, float, str or Path; None if it cannot be read as one."""
    if kind is bool:
        return value if isinstance(value, bool) else _TRUTH.get(str(value).lower())
    if isinstance(value, bool):
        return None
    if kind in (str, Path):
        return kind(value) if isinstance(value, str | int | float | Path) else None
    if kind in (int, float):
        try:
            return kind(value) if isinstance(value, str) or kind(value) == value else None
        except (TypeError, ValueError, OverflowError):
            return None
    return None
