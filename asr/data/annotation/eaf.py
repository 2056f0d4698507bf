"""ELAN's eaf files: tiers with their annotations at times that somebody set.

In: a file's content. Out: its tiers and the recordings that it is linked to. Only times that are in the file count. A
text without a time of its own (Symbolic_Association, Symbolic_Subdivision, an inner boundary of a Time_Subdivision that
nobody has set) has the time of the annotation that it belongs to; several such texts of one annotation are joined, in
their order. An eaf never has a document type, so that one with such a declaration, which could define entities that
grow without bound or read other files, is refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote
from xml.etree import ElementTree

from asr.data.annotation.records import Annotation, AnnotationFile, AnnotationTier
from asr.errors import DataError


def read_eaf(data: bytes) -> AnnotationFile:
    """The tiers and linked recordings of an eaf.

    Times count from the start of the recording: ``origin_ms`` is added.

    Raises:
        DataError: it is no eaf, or a damaged one; the message completes "FILE: ".
    """
    root = parse_xml(data)
    header = root.find("HEADER")
    units = "milliseconds" if header is None else header.get("TIME_UNITS", "milliseconds")
    if units != "milliseconds":
        raise DataError(f"counts time in {units}, not in milliseconds; save it with a newer ELAN")
    media = [] if header is None else header.findall("MEDIA_DESCRIPTOR")
    try:
        tiers = _Document(root).tiers()
    except (ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"is a damaged eaf ({error})") from None
    urls = [one.get(name) for one in media for name in ("RELATIVE_MEDIA_URL", "MEDIA_URL")]
    return AnnotationFile(tiers=tiers, media=list(dict.fromkeys(_path(url) for url in urls if url)))


def origin_ms(root: ElementTree.Element) -> int:
    """Where in the recording the times of a document begin: TIME_ORIGIN of the first recording that has one, else 0.

    Raises ValueError where it is no number.
    """
    origins = (one.get("TIME_ORIGIN") for one in root.iterfind("HEADER/MEDIA_DESCRIPTOR"))
    return int(next(filter(None, origins), 0))


def parse_xml(data: bytes, *, comments: bool = False) -> ElementTree.Element:
    """The document element of an eaf. ``comments``: they are kept.

    Raises:
        DataError: it is no eaf, or declares a document type; the message completes "FILE: ".
    """
    if b"<!DOCTYPE" in data.replace(b"\0", b""):  # before any entity is expanded
        raise DataError(_DOCTYPE)
    try:
        parser = ElementTree.XMLParser(target=_Builder(insert_comments=comments))
        parser.feed(data)
        root = parser.close()
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DataError(f"is not XML ({error})") from None
    if (
        not isinstance(root, ElementTree.Element)
        or root.tag != "ANNOTATION_DOCUMENT"
        or root.find("TIME_ORDER") is None
    ):
        raise DataError("is not an ELAN file (it has no ANNOTATION_DOCUMENT with TIME_ORDER)")
    return root


_DOCTYPE = "declares a document type (<!DOCTYPE), which no eaf has; remove the declaration if you trust the file"


class _Builder(ElementTree.TreeBuilder):
    """Refuses a document type in whatever encoding."""

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise DataError(_DOCTYPE)


@dataclass(frozen=True, slots=True)
class _Value:
    """An annotation: its id, its text, and either the ids of its time slots or the id of its parent annotation."""

    id: str
    text: str
    slots: tuple[str, str] | None
    parent: str | None
    previous: str | None


class _Document:
    """The annotations of a document, and the time of each."""

    def __init__(self, root: ElementTree.Element) -> None:
        origin = origin_ms(root)
        self._times = {
            slot.get("TIME_SLOT_ID", ""): (int(value) + origin) / 1000
            for slot in root.iterfind("TIME_ORDER/*")
            if (value := slot.get("TIME_VALUE")) is not None
        }
        self._elements: dict[str, ElementTree.Element] = {}
        for tier in root.iterfind("TIER"):
            if self._elements.setdefault(tier.get("TIER_ID", ""), tier) is not tier:
                raise ValueError(f"two tiers have the name {tier.get('TIER_ID', '')!r}")
        self._of_tier = {name: list(_values(tier)) for name, tier in self._elements.items()}
        self._bounds = {name: self._nearest(values) for name, values in self._of_tier.items()}
        self._by_id = {value.id: value for values in self._of_tier.values() for value in values}
        self._parts = {
            value.id: (name, number) for name, values in self._of_tier.items() for number, value in enumerate(values)
        }
        self._places = dict[str, int]()

    def tiers(self) -> list[AnnotationTier]:
        """Every tier; a participant that it lacks is its parent's."""
        tiers = []
        for name, element in self._elements.items():
            annotations, untimed = self._timed(self._of_tier[name])
            tiers.append(
                AnnotationTier(
                    name=name,
                    annotations=annotations,
                    kind=element.get("LINGUISTIC_TYPE_REF", ""),
                    participant=_inherited(self._elements, name, "PARTICIPANT"),
                    parent=element.get("PARENT_REF"),
                    untimed=untimed,
                )
            )
        return tiers

    def _timed(self, values: Sequence[_Value]) -> tuple[list[Annotation], list[str]]:
        """The annotations of a tier in order of time, texts that share a time joined; and the texts without any."""
        groups: dict[tuple[float, float], list[tuple[tuple[int, ...], str]]] = {}
        untimed = []
        for value in values:
            times = self._span(value)
            if times is None:
                untimed.append(value.text)
            else:
                groups.setdefault(times, []).append((self._order(value), value.text))
        annotations = [
            Annotation(*times, " ".join(text for _, text in sorted(texts) if text))
            for times, texts in sorted(groups.items())
        ]
        return annotations, [text for text in untimed if text]

    def _span(self, value: _Value, depth: int = 0) -> tuple[float, float] | None:
        """Start and end in seconds, of the annotation or of the nearest one above it that has both."""
        if depth > len(self._of_tier):
            raise ValueError(f"annotation {value.id} is its own parent")
        if value.slots is None:
            parent = self._by_id.get(value.parent or "")
            return None if parent is None else self._span(parent, depth + 1)
        before, after = self._bounds[self._parts[value.id][0]]
        first, last = value.slots
        start_s, end_s = self._times.get(first, before.get(first)), self._times.get(last, after.get(last))
        return None if start_s is None or end_s is None else (start_s, end_s)

    def _nearest(self, values: Sequence[_Value]) -> tuple[Mapping[str, float | None], Mapping[str, float | None]]:
        """For the slots of a tier that nobody has set: the last time before, and the first time after, each of them.

        Annotations of one Time_Subdivision share the slots between them.
        """
        slots = [value.slots for value in values if value.slots]
        return self._along({last: first for first, last in slots}), self._along(dict(slots))

    def _along(self, steps: Mapping[str, str]) -> dict[str, float | None]:
        """For each slot without a time that of the first one with a time on the way from it by ``steps``."""
        found = dict[str, float | None]()
        for slot in steps:
            way = dict[str, None]()
            while slot in steps and slot not in self._times and slot not in found and slot not in way:
                way[slot] = None
                slot = steps[slot]
            found |= dict.fromkeys(way, self._times.get(slot, found.get(slot)))
        return found

    def _order(self, value: _Value) -> tuple[int, ...]:
        """Places of the annotation's ancestors, then its own: by the chain of previous ones, else as in the file."""
        parent = self._by_id.get(value.parent or "")
        above = () if parent is None else self._order(parent)
        return (*above, self._place(value), self._parts[value.id][1])

    def _place(self, value: _Value) -> int:
        """How many annotations come before it by the chain of previous ones."""
        chain, found = list[str](), self._places
        before: _Value | None = value
        while before is not None and before.id not in found:
            if len(chain) > len(self._by_id):
                raise ValueError(f"annotation {value.id} comes before itself")
            chain.append(before.id)
            before = self._by_id.get(before.previous or "")
        first = 0 if before is None else found[before.id] + 1
        found |= {one: first + place for place, one in enumerate(reversed(chain))}
        return found[value.id]


def _values(tier: ElementTree.Element) -> Iterator[_Value]:
    for one in tier.findall("ANNOTATION/*"):
        text = " ".join((one.findtext("ANNOTATION_VALUE") or "").split())
        name = one.get("ANNOTATION_ID", "")
        if one.tag == "ALIGNABLE_ANNOTATION":
            slots = one.get("TIME_SLOT_REF1", ""), one.get("TIME_SLOT_REF2", "")
            yield _Value(name, text, slots, None, None)
        elif one.tag == "REF_ANNOTATION":
            yield _Value(name, text, None, one.get("ANNOTATION_REF"), one.get("PREVIOUS_ANNOTATION"))


def _inherited(elements: Mapping[str, ElementTree.Element], name: str, attribute: str) -> str:
    """The attribute of a tier or of the nearest one above it that has it; "" where none has."""
    for _ in elements:
        element = elements.get(name)
        if element is None:
            return ""
        if value := element.get(attribute, "").strip():
            return value
        name = element.get("PARENT_REF") or ""
    return ""


def _path(url: str) -> str:
    """The path that a media URL names, ``file:///a/b.wav`` or ``./b.wav``; ``#`` and ``?`` may be in names."""
    return unquote(url.removeprefix("file:").removeprefix("//"))
