"""Settings from plain mappings: the declared types come out, and every fault is one line that names its key."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from asr.errors import ConfigError
from asr.schema import build, check_choice, nearest, to_plain


@dataclass(kw_only=True, slots=True)
class Inner:
    size: int = 3
    rate: float = 0.5


@dataclass(kw_only=True, slots=True)
class Outer:
    name: str
    inner: Inner = field(default_factory=Inner)
    limit: int | None = None
    either: int | str = 1
    speeds: list[float] = field(default_factory=list)
    pair: tuple[int, ...] = (1, 2)
    options: dict[str, Any] = field(default_factory=dict)
    on: bool = False
    anything: Any = None

    def __post_init__(self) -> None:
        if self.limit == 13:
            raise ConfigError("config: 13 is refused")


def test_values_come_out_in_the_declared_types() -> None:
    values = {
        "name": "a", "inner": {"size": 4.0, "rate": 2}, "limit": 5, "either": "x", "speeds": [1, 1.5],
        "pair": [7, 8, 9],
        "options": {"k": [1]}, "on": True, "anything": {"as": "it is"},
    }  # fmt: skip
    built = build(Outer, values)
    assert built == Outer(
        name="a", inner=Inner(size=4, rate=2.0), limit=5, either="x", speeds=[1.0, 1.5], pair=(7, 8, 9),
        options={"k": [1]}, on=True, anything={"as": "it is"},
    )  # fmt: skip
    assert [type(value) for value in (built.inner.size, built.inner.rate, *built.speeds)] == [int, float, float, float]


def test_defaults_stand_where_nothing_is_said_and_none_where_it_may() -> None:
    assert build(Outer, {"name": "a", "limit": None}) == Outer(name="a")


def test_to_plain_is_the_inverse() -> None:
    built = build(Outer, {"name": "a", "inner": {"size": 9}, "speeds": [2]})
    assert build(Outer, to_plain(built)) == built
    assert to_plain(built)["inner"] == {"size": 9, "rate": 0.5}


def test_a_ready_dataclass_is_taken_as_it_is() -> None:
    inner = Inner(size=8)
    assert build(Outer, {"name": "a", "inner": inner}).inner is inner


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"nme": "a"}, ["unknown key 'top.nme'", "did you mean 'name'"]),
        ({"name": "a", "qqqq": 1}, ["unknown key 'top.qqqq'", "choices: ", "either, inner"]),
        ({"name": "a", 7: 1}, ["unknown key 'top.7'"]),
        ({}, ["'top.name' is not set"]),
        ({"name": 3}, ["top.name must be text, not 3"]),
        ({"name": None}, ["top.name must be text"]),
        ({"name": "a", "inner": 3}, ["'top.inner' must be a group of keys"]),
        ({"name": "a", "inner": {"size": 1.5}}, ["top.inner.size must be a whole number, not 1.5"]),
        ({"name": "a", "inner": {"size": True}}, ["top.inner.size must be a whole number, not True"]),
        ({"name": "a", "inner": {"size": None}}, ["top.inner.size"]),
        ({"name": "a", "inner": {"rate": "fast"}}, ["top.inner.rate must be a number, not 'fast'"]),
        ({"name": "a", "inner": {"rate": float("nan")}}, ["top.inner.rate must be a finite number"]),
        ({"name": "a", "inner": {"rate": float("inf")}}, ["top.inner.rate must be a finite number"]),
        ({"name": "a", "inner": {"rate": 10**400}}, ["top.inner.rate must be a finite number"]),
        ({"name": "a", "limit": "many"}, ["top.limit must be a whole number"]),
        ({"name": "a", "either": [1]}, ["top.either"]),
        ({"name": "a", "speeds": "1.0"}, ["top.speeds must be a list"]),
        ({"name": "a", "speeds": [1, "x"]}, ["top.speeds[1] must be a number"]),
        ({"name": "a", "options": [1]}, ["top.options must be a mapping"]),
        ({"name": "a", "on": 1}, ["top.on must be true or false"]),
        ({"name": "a", "limit": 13}, ["13 is refused", "(in 'top')"]),
        ([("name", "a")], ["'top' must be a group of keys"]),
    ],
)
def test_every_fault_is_one_line_that_names_its_key(values: Any, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        build(Outer, values, "top")
    message = str(caught.value)
    assert message.startswith("config: ") and "\n" not in message
    assert all(part in message for part in parts), message


def test_nearest_names_the_likely_word_or_all() -> None:
    assert nearest("hiden_size", ["hidden_size", "name"]) == "; did you mean 'hidden_size'?"
    assert nearest("zzz", ["b", "a"]) == "; choices: a, b"


def test_a_choice_is_checked_by_key() -> None:
    check_choice("model.name", "a", ("a", "b"))
    with pytest.raises(ConfigError, match=r"model\.name='c' is unknown; choices: a, b"):
        check_choice("model.name", "c", iter(("b", "a")))
