"""The data of a report page as plain values: made by ``assemble`` and ``report_input``, drawn by ``report``.

Nothing here reads a file or knows a model. Times are seconds from the start of the utterance unless a name says
otherwise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.scoring import ErrorCounts, Results
from asr.scoring.measures import Measure

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One system's error rate in a group, as fractions; ``low`` and ``high`` None where no interval is known.

    ``small``: of a group with too few words for its rate to mean much.
    """

    rate: float
    low: float | None = None
    high: float | None = None
    utterances: int = 0
    errors: int = 0
    reference_length: int = 0
    small: bool = False


@dataclass(frozen=True, slots=True)
class BarRow:
    """A group with one bar per system; None where a system has nothing there."""

    label: str
    bars: tuple[Bar | None, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A grouping as a plot: ``name`` ("duration"), ``unit`` of its labels ("s"), and its rows in order."""

    name: str
    unit: str | None
    rows: tuple[BarRow, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A small table (recall of words, confused pairs); columns of numbers are aligned right."""

    title: str
    note: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the summary: a measure of a system on ``text`` (a normaliser's label, or raw)."""

    system: str
    measure: Measure
    text: str
    bar: Bar
    counts: ErrorCounts


@dataclass(frozen=True, slots=True)
class ReportSystem:
    """A system on the page; ``facts`` by name, in order (model, decoding, date); ``letter``: its short name there."""

    name: str
    results: Results
    facts: Mapping[str, str] = field(default_factory=dict)
    letter: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A spectrogram: ``levels`` uint8 ``(mels, columns)``, low frequencies first, 255 the loudest.

    Column ``c`` is centred on ``first_s + c * column_s``. ``ticks``: (frequency in Hz, row, may be fractional).
    """

    levels: Bytes
    first_s: float
    column_s: float
    ticks: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Posteriors:
    """The likeliest tokens of each frame, blank not included, centred on ``first_s + t * frame_s``.

    ``ranks`` uint8 ``(frames, k)``: places in ``tokens``, from 1; 0 for none. ``levels`` uint8 ``(frames, k)`` and
    ``blank`` uint8 ``(frames,)``: probabilities, 255 is 1.
    """

    tokens: Sequence[str]
    ranks: Bytes
    levels: Bytes
    blank: Bytes
    first_s: float
    frame_s: float


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording on the page: encoded ``audio`` with its ``media_type``, and images."""

    audio: bytes | None = None
    media_type: str = "audio/ogg"
    picture: Picture | None = None
    posteriors: Posteriors | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """An audio file next to the page: ``url`` relative to the page, and where the utterance begins in it."""

    url: str
    start_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PageData:
    """Everything on a report page. ``clips`` and ``links`` by utterance id; ``notes``: remarks for the reader."""

    title: str
    interval: str
    systems: tuple[ReportSystem, ...]
    figures: tuple[Figure, ...]
    charts: tuple[Chart, ...]
    tables: tuple[Table, ...] = ()
    verdict: str | None = None
    notes: Sequence[str] = ()
    clips: Mapping[str, Clip] = field(default_factory=dict)
    links: Mapping[str, Link] = field(default_factory=dict)
    fields: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
