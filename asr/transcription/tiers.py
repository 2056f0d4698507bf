"""Transcripts as tiers of time-aligned annotation: ELAN's eaf and Praat's TextGrid.

In: tiers, of a hypothesis or made by the caller, and perhaps a file whose own tiers are kept. Out: the text of a file.
An eaf is of version 3.0 (EAFv3.0.xsd; https://www.mpi.nl/tools/elan/EAF_Annotation_Format_3.0_and_ELAN.pdf), a TextGrid
of Praat's long form, UTF-8. In a copy of a file all stays as it is; a new tier whose name is taken gets a number.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar
from urllib.parse import quote
from xml.etree import ElementTree

from asr.errors import DataError, TranscriptError
from asr.transcription.cues import Span, duration_ms, make_cues, speaker, word_spans

if TYPE_CHECKING:
    from asr.recognition.hypothesis import Hypothesis

Read = TypeVar("Read")
Constraint = Literal["Included_In", "Symbolic_Association"]


@dataclass(frozen=True, slots=True)
class Tier:
    """A tier: intervals ``(start_ms, end_ms, text)`` in order, without overlap, each of at least 1 ms.

    ``parent``: the name of a tier before it. With the constraint Included_In each interval lies inside one of the
    parent's; with Symbolic_Association each has the times of one of the parent's, and in an eaf no times of its own.
    ``participant``: who speaks (eaf).
    """

    name: str
    intervals: Sequence[tuple[int, int, str]]
    parent: str | None = None
    constraint: Constraint | None = None
    participant: str = ""


def tiers_of(hypothesis: "Hypothesis", format_name: str) -> list[Tier]:
    """The tiers ``segments`` (cut at pauses, as subtitles are), ``words``, and ``confidence``, one for each word.

    Where channels were split, these of each: ``words@Speaker 1`` and so on.

    Raises:
        TranscriptError: the text has no word times; ``format_name`` begins the message.
    """
    if hypothesis.channels:
        by_channel = [(speaker(number), tiers_of(one, format_name)) for number, one in enumerate(hypothesis.channels)]
        return [_of_speaker(tier, name) for name, tiers in by_channel for tier in tiers]
    spans = word_spans(hypothesis, format_name)
    segments, stop = [], 0
    for cue in make_cues(spans, duration_ms(hypothesis, spans)):
        words = spans[max(stop, cue.first_word) : cue.stop_word]  # a word longer than a subtitle is in several
        stop = cue.stop_word
        if words:
            segments.append((words[0].start_ms, words[-1].end_ms, " ".join(word.text for word in words)))
    return [Tier("segments", segments), *word_tiers(spans)]


def _of_speaker(tier: Tier, name: str) -> Tier:
    parent = None if tier.parent is None else f"{tier.parent}@{name}"
    return replace(tier, name=f"{tier.name}@{name}", parent=parent, participant=name)


def word_tiers(spans: Sequence[Span], parent: str = "segments") -> list[Tier]:
    """The tiers ``words`` and ``confidence`` of words that lie inside the intervals of the tier ``parent``."""
    words = [(span.start_ms, span.end_ms, span.text) for span in spans]
    sure = [(one.start_ms, one.end_ms, f"{one.confidence:.2f}") for one in spans if one.confidence is not None]
    return [
        Tier("words", words, parent, "Included_In"),
        Tier("confidence", sure, "words", "Symbolic_Association"),
    ]


def textgrid_text(tiers: Sequence[Tier], end_ms: int, base: Path | None = None) -> str:
    """The tiers as the text of a TextGrid from 0 to ``end_ms`` at least, its gaps filled with empty intervals.

    Args:
        tiers: what to write.
        end_ms: the recording's length in milliseconds.
        base: a TextGrid file, whose tiers come first, as they are; where the recording is longer by 1 ms or more, with
            an empty interval at the end.

    Raises:
        TranscriptError: ``base`` cannot be read.
    """
    from praatio.utilities.textgrid_io import getTextgridAsStr

    from asr.data.annotation.textgrid import INTERVALS, parse_textgrid

    kept = [] if base is None else _read(base, parse_textgrid)
    end_s = max([0.0, *(tier.end_s for tier in kept)])
    end_ms = max([1, end_ms, *(stop_ms for tier in tiers for _, stop_ms, _ in tier.intervals)])
    if end_ms - 1000 * end_s >= 1:
        end_s = end_ms / 1000
    span = {"xmin": min([0.0, *(tier.start_s for tier in kept)]), "xmax": end_s}
    written = [
        {"class": tier.kind, "name": tier.name, **span, "entries": [(*times, text) for times, text in tier.entries]}
        for tier in kept
    ]
    for tier in _renamed(tiers, [tier.name for tier in kept]):
        intervals = [(begin_ms / 1000, min(stop_ms / 1000, end_s), text) for begin_ms, stop_ms, text in tier.intervals]
        written.append({"class": INTERVALS, "name": tier.name, **span, "entries": intervals})
    grid = {**span, "tiers": written}
    text: str = getTextgridAsStr(grid, "long_textgrid", includeBlankSpaces=True, minimumIntervalLength=None)
    return text


def eaf_text(tiers: Sequence[Tier], audio: str = "", base: Path | None = None) -> str:
    """The tiers as the text of an ELAN file.

    Args:
        tiers: what to write.
        audio: the recording that the file is linked to; "" for none.
        base: an eaf file, to whose content the tiers are added; ``audio`` is not used then. Where its times begin later
            than the recording (TIME_ORIGIN), what ends before is left out.

    Raises:
        TranscriptError: ``base`` cannot be read, or is no eaf or a damaged one.
    """
    from asr.data.annotation.eaf import origin_ms, parse_xml, read_eaf

    ElementTree.register_namespace("xsi", _XSI)
    if base is None:
        root = _new_document(audio)
    else:
        _read(base, read_eaf)  # names what is damaged
        root = _read(base, partial(parse_xml, comments=True))
        tiers = [_since(tier, origin_ms(root)) for tier in tiers]
    _Additions(root).add(_renamed(tiers, [tier.get("TIER_ID", "") for tier in root.iter("TIER")]))
    ElementTree.indent(root, "    ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _since(tier: Tier, origin_ms: int) -> Tier:
    """The tier with times that count from the origin; an interval that begins before it begins at 0."""
    shifted = [(max(0, start_ms - origin_ms), end_ms - origin_ms, text) for start_ms, end_ms, text in tier.intervals]
    return replace(tier, intervals=[one for one in shifted if one[1] > 0])


def _read(file: Path, parse: Callable[[bytes], Read]) -> Read:
    try:
        return parse(file.read_bytes())
    except OSError as error:
        raise TranscriptError(f"{file}: cannot be read ({error.strerror or error})") from None
    except DataError as error:
        raise TranscriptError(f"{file}: {error}; its tiers cannot be kept") from None


_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
# ELAN's own four, in its words; every eaf lists them.
_CONSTRAINTS = {
    "Time_Subdivision": "Time subdivision of parent annotation's time interval, no time gaps allowed within this"
    " interval",
    "Symbolic_Subdivision": "Symbolic subdivision of a parent annotation. Annotations refering to the same parent are"
    " ordered",
    "Symbolic_Association": "1-1 association with a parent annotation",
    "Included_In": "Time alignable annotations within the parent annotation's time interval, gaps are allowed",
}
_ORDER = ("LICENSE", "HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE", "LOCALE", "LANGUAGE", "CONSTRAINT")
_MIME_TYPES = {".wav": "audio/x-wav", ".mp3": "audio/mpeg", ".mp4": "video/mp4", ".mpg": "video/mpeg"}
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LAST_ID = "lastUsedAnnotationId"  # ELAN numbers its next annotation from it


def _new_document(audio: str) -> ElementTree.Element:
    root = ElementTree.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "",
            "DATE": datetime.now(UTC).isoformat(timespec="seconds"),
            "FORMAT": "3.0",
            "VERSION": "3.0",
            f"{{{_XSI}}}noNamespaceSchemaLocation": _SCHEMA,
        },
    )
    header = ElementTree.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    if audio:
        path = Path(audio)
        mime = _MIME_TYPES.get(path.suffix.lower(), "audio/*")
        url, relative = path.absolute().as_uri(), "./" + quote(path.name.encode("utf-8", "surrogateescape"))
        ElementTree.SubElement(header, "MEDIA_DESCRIPTOR", MEDIA_URL=url, MIME_TYPE=mime, RELATIVE_MEDIA_URL=relative)
    ElementTree.SubElement(header, "PROPERTY", NAME=_LAST_ID).text = "0"
    ElementTree.SubElement(root, "TIME_ORDER")
    for stereotype, description in _CONSTRAINTS.items():
        ElementTree.SubElement(root, "CONSTRAINT", STEREOTYPE=stereotype, DESCRIPTION=description)
    return root


class _Additions:
    """Adds tiers to an eaf document, with time slots, annotation ids and types that are new in it."""

    def __init__(self, root: ElementTree.Element) -> None:
        self._root = root
        self._slot = _highest(slot.get("TIME_SLOT_ID", "") for slot in root.iter("TIME_SLOT"))
        ids = (one.get("ANNOTATION_ID", "") for one in root.iter() if one.get("ANNOTATION_ID"))
        self._annotation = max(_highest(ids), *(int(one.text or 0) for one in self._last_ids()), 0)
        self._slots: list[tuple[int, str]] = []
        self._ids: dict[str, dict[tuple[int, int], str]] = {}

    def add(self, tiers: Sequence[Tier]) -> None:
        """Add them, in order, and note the last annotation's number for ELAN."""
        for tier in tiers:
            self._ids[tier.name] = {}
            attributes = {"TIER_ID": tier.name, "LINGUISTIC_TYPE_REF": self._type(tier)}
            attributes |= {"PARENT_REF": tier.parent} if tier.parent else {}
            attributes |= {"PARTICIPANT": tier.participant} if tier.participant else {}
            element = ElementTree.Element("TIER", {key: _xml(value) for key, value in attributes.items()})
            for start_ms, end_ms, text in tier.intervals:
                self._add_annotation(element, tier, (start_ms, end_ms), text)
            self._insert(element)
        self._insert_slots()
        for one in self._last_ids():
            one.text = str(self._annotation)

    def _add_annotation(self, element: ElementTree.Element, tier: Tier, times: tuple[int, int], text: str) -> None:
        self._annotation += 1
        name = self._ids[tier.name][times] = f"a{self._annotation}"
        holder = ElementTree.SubElement(element, "ANNOTATION")
        if tier.constraint == "Symbolic_Association" and tier.parent is not None:
            if times not in self._ids[tier.parent]:
                raise TranscriptError(f"the tier {tier.parent} has no interval from {times[0]} to {times[1]} ms")
            parent = self._ids[tier.parent][times]
            one = ElementTree.SubElement(holder, "REF_ANNOTATION", ANNOTATION_ID=name, ANNOTATION_REF=parent)
        else:
            first, second = (self._new_slot(time_ms) for time_ms in times)
            one = ElementTree.SubElement(
                holder, "ALIGNABLE_ANNOTATION", ANNOTATION_ID=name, TIME_SLOT_REF1=first, TIME_SLOT_REF2=second
            )
        ElementTree.SubElement(one, "ANNOTATION_VALUE").text = _xml(text)

    def _new_slot(self, time_ms: int) -> str:
        self._slot += 1
        self._slots.append((time_ms, f"ts{self._slot}"))
        return f"ts{self._slot}"

    def _insert_slots(self) -> None:
        """The new slots among the old, in order of time; one without a time stays behind the one before it."""
        order = self._root.find("TIME_ORDER")
        assert order is not None, "parse_xml checks it"
        latest, keyed = 0, []
        for slot in order:
            latest = int(slot.get("TIME_VALUE", latest))
            keyed.append((latest, slot))
        keyed += [
            (time_ms, ElementTree.Element("TIME_SLOT", TIME_SLOT_ID=name, TIME_VALUE=str(time_ms)))
            for time_ms, name in self._slots
        ]
        order[:] = [slot for _, slot in sorted(keyed, key=lambda one: one[0])]  # stable

    def _type(self, tier: Tier) -> str:
        """The id of a linguistic type with the tier's constraint, made where there is none of that name."""
        wanted = {"TIME_ALIGNABLE": "false" if tier.constraint == "Symbolic_Association" else "true"}
        wanted |= {"CONSTRAINTS": tier.constraint} if tier.constraint else {}
        types = {one.get("LINGUISTIC_TYPE_ID", ""): one for one in self._root.iter("LINGUISTIC_TYPE")}
        plain = re.sub(r" \d+$", "", tier.name)
        for name in _numbered(plain):
            if name not in types:
                attributes = {"GRAPHIC_REFERENCES": "false", "LINGUISTIC_TYPE_ID": _xml(name), **wanted}
                self._insert(ElementTree.Element("LINGUISTIC_TYPE", attributes))
                return name
            found = {key: types[name].get(key) for key in ("TIME_ALIGNABLE", "CONSTRAINTS") if types[name].get(key)}
            if found == wanted and types[name].get("CONTROLLED_VOCABULARY_REF") is None:
                return name
        raise AssertionError("the numbers do not end")

    def _insert(self, element: ElementTree.Element) -> None:
        """Behind the last child that the schema has before it."""
        before = _ORDER[: _ORDER.index(element.tag) + 1]
        places = [place for place, child in enumerate(self._root) if child.tag in before]
        self._root.insert(max(places, default=-1) + 1, element)

    def _last_ids(self) -> list[ElementTree.Element]:
        found = (one for one in self._root.iter("PROPERTY") if one.get("NAME") == _LAST_ID)
        return [one for one in found if re.fullmatch(r"\s*[0-9]{1,18}\s*", one.text or "0")]


def _renamed(tiers: Sequence[Tier], taken: Iterable[str]) -> list[Tier]:
    """The tiers with names that are not ``taken``, and their parents' names accordingly."""
    used, names = set(taken), dict[str, str]()
    for tier in tiers:
        names[tier.name] = next(name for name in _numbered(tier.name) if name not in used)
        used.add(names[tier.name])
    return [
        replace(tier, name=names[tier.name], parent=None if tier.parent is None else names[tier.parent])
        for tier in tiers
    ]


def _numbered(name: str) -> Iterable[str]:
    yield name
    yield from (f"{name} {number}" for number in range(2, 1_000_000))


def _highest(ids: Iterable[str]) -> int:
    """The highest number at the end of an id, of 18 digits at most; 0 where none has one."""
    return max((int(found[0]) for one in ids if (found := re.search(r"[0-9]{1,18}$", one))), default=0)


def _xml(text: str) -> str:
    """Without the characters that XML 1.0 cannot hold."""
    return _NOT_XML.sub("\ufffd", text)
