"""Build a typed configuration from plain mappings, with messages that name the key.

In: a dataclass and nested ``dict``s (from Hydra, or from a model directory's JSON). Out: the dataclass, every value of
the declared type. Exists so that one checked path serves both, and neither needs Hydra's ``instantiate`` or a pickle.
"""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from asr.errors import ConfigError

T = TypeVar("T")


def build(cls: type[T], values: Mapping[str, Any], where: str = "") -> T:
    """An instance of the dataclass ``cls`` from ``values``; ``where`` is the dotted path used in messages.

    Raises ConfigError for a key that the class lacks (naming the nearest), a missing one, or a value of another type.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"config: '{where}' must be a group of keys, not {values!r}")
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    for key in values:
        if key not in fields:
            raise ConfigError(f"config: unknown key '{_join(where, str(key))}'{nearest(str(key), list(fields))}")
    arguments = {key: _convert(hints[key], value, _join(where, key)) for key, value in values.items()}
    missing = [name for name, field in fields.items() if name not in arguments and _is_required(field)]
    if missing:
        raise ConfigError(f"config: '{_join(where, missing[0])}' is not set; give it a value")
    try:
        return cls(**arguments)
    except ConfigError as error:
        message = str(error)
        raise ConfigError(message if not where or where in message else f"{message} (in '{where}')") from None


def build_named(choices: Sequence[type[T]], values: Mapping[str, Any], where: str) -> T:
    """An instance of the dataclass of ``choices`` whose own ``name`` is ``values["name"]``; the first without one.

    Raises ConfigError for a name that none has, and as ``build`` does.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"config: '{where}' must be a group of keys, not {values!r}")
    named = {_own_name(one): one for one in choices}
    name = values.get("name", next(iter(named)))
    if not isinstance(name, str) or name not in named:
        raise ConfigError(f"config: {where}.name={name!r} is unknown{nearest(str(name), list(named))}")
    return build(named[name], values, where)


def nearest(word: str, choices: list[str]) -> str:
    """A tail for a message: ``; did you mean 'x'?`` or the choices, sorted."""
    close = difflib.get_close_matches(word, choices, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; choices: {', '.join(sorted(choices))}"


def check(condition: bool, message: str) -> None:
    """Raise ConfigError(``config: message``) unless ``condition``: one line for each rule of a ``__post_init__``."""
    if not condition:
        raise ConfigError(f"config: {message}")


def check_choice(key: str, value: str, choices: typing.Iterable[str]) -> None:
    """Raise ConfigError unless ``value`` is one of ``choices``."""
    known = list(choices)
    if value not in known:
        raise ConfigError(f"config: {key}={value!r} is unknown{nearest(str(value), known)}")


def to_plain(value: Any) -> Any:
    """A dataclass (nested too) as plain dicts, lists and scalars, ready for JSON or YAML."""
    return dataclasses.asdict(value)


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _convert_union(typing.get_args(hint), value, where)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else build(hint, value, where)
    if origin in (list, tuple):
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"config: {where} must be a list, not {value!r}")
        return origin(_convert(typing.get_args(hint)[0], one, f"{where}[{i}]") for i, one in enumerate(value))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"config: {where} must be a mapping, not {value!r}")
        return dict(value)
    return _convert_scalar(hint, value, where)


def _convert_union(hints: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in hints:
        return None
    classes = [hint for hint in hints if isinstance(hint, type) and dataclasses.is_dataclass(hint)]
    if len(classes) > 1 and not isinstance(value, tuple(classes)):
        return build_named(classes, value, where)
    failures = []
    for hint in (one for one in hints if one is not type(None)):
        try:
            return _convert(hint, value, where)
        except ConfigError as error:
            failures.append(error)
    raise failures[0]


def _convert_scalar(hint: type, value: Any, where: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            value = float(value)
        except OverflowError:
            raise ConfigError(
                f"config: {where} must be a finite number, not one of {len(str(abs(value)))} digits"
            ) from None
    if hint is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"config: {where} must be {_name(hint)}, not {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"config: {where} must be a finite number, not {value!r}")
    return value


def _own_name(cls: type) -> str:
    return str(next(field.default for field in dataclasses.fields(cls) if field.name == "name"))


def _name(hint: type) -> str:
    return {int: "a whole number", float: "a number", str: "text", bool: "true or false"}.get(hint, hint.__name__)


def _is_required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
