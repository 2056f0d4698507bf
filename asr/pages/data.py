"""What a report page shows, as plain values: figures by ``assemble``, sound by commands; drawn by ``report``.

Nothing here reads a file or knows a model. Times are seconds from the start of the utterance unless a name says else.
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

    ``small``: of a group too small for its rate to mean much.
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
    """Any small table beside the plots (recall of words, confused pairs); cells that are numbers stand to the right."""

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
class SystemData:
    """``letter`` stands for the system where room is short; ``facts``: model, decoding, date, ... in order."""

    letter: str
    name: str
    results: Results
    facts: Mapping[str, str]


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
    """The likeliest tokens, the blank apart, of each frame, centred on ``first_s + t * frame_s``.

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
    """What the page carries of one recording: encoded ``audio`` with its ``media_type``, and pictures of it."""

    audio: bytes | None = None
    media_type: str = "audio/ogg"
    picture: Picture | None = None
    posteriors: Posteriors | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """An audio file beside the page: ``url`` relative to it, and where in it the utterance begins."""

    url: str
    start_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PageData:
    """Everything on a report page. ``clips`` and ``links`` by utterance id; ``notes``: what has to be said."""

    title: str
    interval: str
    systems: tuple[SystemData, ...]
    figures: tuple[Figure, ...]
    charts: tuple[Chart, ...]
    tables: tuple[Table, ...] = ()
    verdict: str | None = None
    notes: Sequence[str] = ()
    clips: Mapping[str, Clip] = field(default_factory=dict)
    links: Mapping[str, Link] = field(default_factory=dict)
    fields: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
