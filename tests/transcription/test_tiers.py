"""eaf and TextGrid: as ELAN's format is defined, as pympi and praatio read it, and added to other people's files."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

from asr.data.annotation.eaf import read_eaf
from asr.data.annotation.textgrid import parse_textgrid
from asr.errors import TranscriptError
from asr.transcription import Provenance, render_transcript
from asr.transcription.tiers import Tier, eaf_text, textgrid_text
from tests.transcription.made import evenly, spoken

pympi = pytest.importorskip("pympi")

TALK = spoken(("one", 0.5, 0.9), ('t"w<o', 0.9, 1.2345), ("three", 4.0, 4.5), duration_s=5.25, confidence=0.875)
# The children of ANNOTATION_DOCUMENT in the order of EAFv3.0.xsd, and the attributes that it requires.
ORDER = [
    "LICENSE", "HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE", "LOCALE", "LANGUAGE", "CONSTRAINT",
    "CONTROLLED_VOCABULARY", "LEXICON_REF", "REF_LINK_SET", "EXTERNAL_REF",
]  # fmt: skip
REQUIRED = {
    "ANNOTATION_DOCUMENT": ("DATE", "AUTHOR", "VERSION"),
    "MEDIA_DESCRIPTOR": ("MEDIA_URL", "MIME_TYPE"),
    "TIME_SLOT": ("TIME_SLOT_ID",),
    "TIER": ("TIER_ID", "LINGUISTIC_TYPE_REF"),
    "ALIGNABLE_ANNOTATION": ("ANNOTATION_ID", "TIME_SLOT_REF1", "TIME_SLOT_REF2"),
    "REF_ANNOTATION": ("ANNOTATION_ID", "ANNOTATION_REF"),
    "LINGUISTIC_TYPE": ("LINGUISTIC_TYPE_ID",),
    "CONSTRAINT": ("STEREOTYPE",),
}


def check_structure(text: str) -> ElementTree.Element:
    """What EAFv3.0.xsd demands of order, attributes and references, and that times run forward inside their parents."""
    root = ElementTree.fromstring(text)
    places = [ORDER.index(child.tag) for child in root]
    assert places == sorted(places)
    for element in root.iter():
        assert set(REQUIRED.get(element.tag, ())) <= element.attrib.keys(), element.tag
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", root.attrib["DATE"])
    ids = [one.attrib[name] for one in root.iter() for name in ("TIME_SLOT_ID", "ANNOTATION_ID") if name in one.attrib]
    assert len(ids) == len(set(ids))
    times = {one.attrib["TIME_SLOT_ID"]: int(one.get("TIME_VALUE", -1)) for one in root.iter("TIME_SLOT")}
    known = [time for time in times.values() if time >= 0]
    assert known == sorted(known)
    tiers = {tier.attrib["TIER_ID"]: tier for tier in root.iter("TIER")}
    assert len(tiers) == len(root.findall("TIER"))
    types = {one.attrib["LINGUISTIC_TYPE_ID"] for one in root.iter("LINGUISTIC_TYPE")}
    for tier in tiers.values():
        assert tier.attrib["LINGUISTIC_TYPE_REF"] in types and tier.get("PARENT_REF") in (None, *tiers)
        for one in tier.findall("ANNOTATION/ALIGNABLE_ANNOTATION"):
            start, end = times[one.attrib["TIME_SLOT_REF1"]], times[one.attrib["TIME_SLOT_REF2"]]
            assert start < end or -1 in (start, end)
        for one in tier.findall("ANNOTATION/REF_ANNOTATION"):
            assert one.attrib["ANNOTATION_REF"] in ids
    return root


def read_by_pympi(path: Path, text: str) -> Any:
    path.write_text(text, encoding="utf-8")
    return pympi.Eaf(str(path))


def values(found: Sequence[tuple[object, ...]]) -> list[tuple[object, ...]]:
    return sorted(one[:3] for one in found)


def test_eaf_reads_back_in_pympi_with_words_inside_segments_and_a_confidence_for_each(tmp_path: Path) -> None:
    text = render_transcript(TALK, "eaf", Provenance(audio=str(tmp_path / "a b" / "täl.wav")))
    check_structure(text)
    read = read_by_pympi(tmp_path / "a.eaf", text)
    assert values(read.get_annotation_data_for_tier("segments")) == [(500, 1234, 'one t"w<o'), (4000, 4500, "three")]
    assert values(read.get_annotation_data_for_tier("words")) == [
        (500, 900, "one"), (900, 1234, 't"w<o'), (4000, 4500, "three"),
    ]  # fmt: skip
    words = read.tiers["words"][0]  # by id; pympi's own look-up of a parent stops at tiers with times below others
    assert [(words[parent][2], text) for parent, text, _, _ in read.tiers["confidence"][1].values()] == [
        ("one", "0.88"), ('t"w<o', "0.88"), ("three", "0.88"),
    ]  # fmt: skip
    parents = {name: read.get_parameters_for_tier(name).get("PARENT_REF") for name in read.get_tier_names()}
    assert parents == {"segments": None, "words": "segments", "confidence": "words"}
    (media,) = read.get_linked_files()
    assert unquote(media["MEDIA_URL"]).endswith("/a b/täl.wav") and media["MIME_TYPE"] == "audio/x-wav"


def test_eaf_of_silence_and_of_characters_that_xml_lacks() -> None:
    root = check_structure(render_transcript(spoken(duration_s=2.0), "eaf"))
    assert len(root.findall("TIER")) == 3 and not root.findall("TIER/ANNOTATION")
    assert not root.findall("HEADER/MEDIA_DESCRIPTOR")
    root = check_structure(render_transcript(evenly(["a\x01b\ud800", "\u0b95\u0bcd"]), "eaf"))
    assert [one.text for one in root.iter("ANNOTATION_VALUE")][1:3] == ["a\ufffdb\ufffd", "\u0b95\u0bcd"]


def test_a_copy_of_an_eaf_keeps_everything_and_gets_the_new_tiers(tmp_path: Path) -> None:
    own = pympi.Eaf(author="somebody")
    own.add_linked_file("file:///talk.wav", mimetype="audio/x-wav")
    own.add_linguistic_type("words", constraints=None)
    own.add_tier("words", ling="words", part="Ann")
    own.add_annotation("words", 700, 4200, "one by hand")
    own.add_linguistic_type("note", constraints="Symbolic_Association", timealignable=False)
    own.add_tier("gloss", ling="note", parent="words")
    own.add_ref_annotation("gloss", "words", 700, "a <note> & more")
    own.to_file(str(tmp_path / "talk.eaf"))
    text = render_transcript(TALK, "eaf", Provenance(audio="other.wav", tiers=tmp_path / "talk.eaf"))
    check_structure(text)
    read = read_by_pympi(tmp_path / "copy.eaf", text)
    assert values(read.get_annotation_data_for_tier("words")) == [(700, 4200, "one by hand")]
    assert read.get_ref_annotation_data_for_tier("gloss")[0][2] == "a <note> & more"
    assert read.get_parameters_for_tier("words")["PARTICIPANT"] == "Ann"
    assert [one["MEDIA_URL"] for one in read.get_linked_files()] == ["file:///talk.wav"]
    assert [one[2] for one in read.get_annotation_data_for_tier("words 2")] == ["one", 't"w<o', "three"]
    assert read.get_parameters_for_tier("confidence")["PARENT_REF"] == "words 2"
    assert read.get_parameters_for_tier("words 2")["LINGUISTIC_TYPE_REF"] == "words 2", "the other has no constraint"


def test_in_a_copy_of_an_eaf_with_an_origin_new_tiers_have_the_times_of_the_old(tmp_path: Path) -> None:
    """TIME_ORIGIN: the file's 0 is 5 s into the recording; what ends before it has no place in the file."""
    own = eaf_text([Tier("by hand", [(0, 1000, "one")])], audio=str(tmp_path / "talk.wav"))
    (tmp_path / "talk.eaf").write_text(own.replace(" MIME_TYPE=", ' TIME_ORIGIN="5000" MIME_TYPE='), encoding="utf-8")
    words = [(1000, 2000, "before"), (4500, 5000, "at"), (5000, 6000, "one"), (7000, 8000, "two")]
    text = eaf_text(
        [
            Tier("segments", [(1000, 6000, "before at one"), (7000, 8000, "two")]),
            Tier("words", words, "segments", "Included_In"),
            Tier("sure", [(start_ms, end_ms, "1") for start_ms, end_ms, _ in words], "words", "Symbolic_Association"),
        ],
        base=tmp_path / "talk.eaf",
    )
    check_structure(text)
    found = {
        tier.name: [(one.start_s, one.end_s, one.text) for one in tier.annotations]
        for tier in read_eaf(text.encode()).tiers
    }
    assert found == {
        "by hand": [(5, 6, "one")],
        "segments": [(5, 6, "before at one"), (7, 8, "two")],
        "words": [(5, 6, "one"), (7, 8, "two")],
        "sure": [(5, 6, "1"), (7, 8, "1")],
    }


def test_ids_with_more_digits_than_a_number_has_are_kept(tmp_path: Path) -> None:
    own = eaf_text([Tier("by hand", [(0, 1000, "one")])])
    digits = "9" * 5_000
    own = own.replace('"a1"', f'"a{digits}"').replace('"ts1"', f'"ts{digits}"').replace(">1</P", f">{digits}</P")
    (tmp_path / "talk.eaf").write_text(own, encoding="utf-8")
    text = eaf_text([Tier("new", [(0, 1000, "two")])], base=tmp_path / "talk.eaf")
    check_structure(text)
    assert f'"a{digits}"' in text and [tier.annotations[0].text for tier in read_eaf(text.encode()).tiers] == [
        "one",
        "two",
    ]


def test_a_copy_of_a_textgrid_keeps_its_tiers_points_too(tmp_path: Path) -> None:
    from praatio import textgrid

    own = textgrid.Textgrid(0, 6)
    own.addTier(textgrid.IntervalTier("words", [(0.7, 4.2, "one by hand")], 0, 6))
    own.addTier(textgrid.PointTier("clicks", [(1.5, "!")], 0, 6))
    own.save(str(tmp_path / "talk.TextGrid"), format="short_textgrid", includeBlankSpaces=True)
    (tmp_path / "copy.TextGrid").write_text(
        render_transcript(TALK, "textgrid", Provenance(tiers=tmp_path / "talk.TextGrid")), encoding="utf-8"
    )
    read = textgrid.openTextgrid(str(tmp_path / "copy.TextGrid"), includeEmptyIntervals=False)
    assert read.tierNames == ("words", "clicks", "segments", "words 2", "confidence") and read.maxTimestamp == 6
    assert [tuple(one) for one in read.getTier("words").entries] == [(0.7, 4.2, "one by hand")]
    assert [tuple(one) for one in read.getTier("clicks").entries] == [(1.5, "!")]
    assert [one.label for one in read.getTier("words 2").entries] == ["one", 't"w<o', "three"]


GRID = '''File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 2.99993
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "w"
        xmin = 0
        xmax = 2.99993
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 1.25
            text = " item [2]: ""by hand""
ŋa "
        intervals [2]:
            xmin = 1.25
            xmax = 1.2500000001
            text = "short"
        intervals [3]:
            xmin = 1.2500000001
            xmax = 2.99993
            text = ""
    item [2]:
        class = "TextTier"
        name = "w"
        xmin = 0
        xmax = 2.99993
        points: size = 1
        points [1]:
            number = 1.5
            mark = "a ""click"""
    item [3]:
        class = "IntervalTier"
        name = "w"
        xmin = 0
        xmax = 2.99993
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 2.99993
            text = "all"
'''
ADDED = """    item [4]:
        class = "IntervalTier"
        name = "w 2"
        xmin = 0
        xmax = 2.99993
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 1
            text = ""
        intervals [2]:
            xmin = 1
            xmax = 2.99993
            text = "new"
"""


def test_a_copy_of_a_textgrid_is_the_file_with_more_tiers(tmp_path: Path) -> None:
    """Tiers of the same name, quotes, and an end that is not a whole millisecond, of which the recording has 3,000."""
    (tmp_path / "a.TextGrid").write_text(GRID, encoding="utf-8")
    text = textgrid_text([Tier("w", [(1000, 3000, "new")])], 3000, tmp_path / "a.TextGrid")
    assert re.sub(" +\n", "\n", text) == GRID.replace("size = 3\nitem", "size = 4\nitem") + ADDED


def test_tiers_of_a_textgrid_that_ends_before_the_recording_go_on_without_text(tmp_path: Path) -> None:
    (tmp_path / "a.TextGrid").write_text(GRID, encoding="utf-8")
    text = textgrid_text([Tier("new", [(1000, 5000, "x")])], 4000, tmp_path / "a.TextGrid")
    read = parse_textgrid(text.encode())
    assert [(one.start_s, one.end_s) for one in read] == [(0, 5)] * 4 and text.count("xmax = 5 \n") == 8
    assert list(read[2].entries) == [((0, 2.99993), "all"), ((2.99993, 5), "")]
    assert list(read[3].entries) == [((0, 1), ""), ((1, 5), "x")]


EAF = b"""<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="%b"><MEDIA_DESCRIPTOR MEDIA_URL="" TIME_ORIGIN="%b"/></HEADER>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="%b"/></TIME_ORDER></ANNOTATION_DOCUMENT>"""


def test_tiers_that_do_not_fit_and_files_that_cannot_be_copied_are_named(tmp_path: Path) -> None:
    with pytest.raises(TranscriptError, match="words has no interval from 0 to 5 ms"):
        eaf_text([Tier("words", [(0, 4, "a")]), Tier("sure", [(0, 5, "1")], "words", "Symbolic_Association")])
    for name, content, why in (
        ("a.eaf", b"<html/>", "not an ELAN file"),
        ("b.eaf", b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', "document type"),
        ("c.eaf", b"", "not XML"),
        ("d.eaf", None, "cannot be read"),
        ("e.eaf", EAF % (b"milliseconds", b"0", b"1000.5"), "is a damaged eaf .*1000.5.*; its tiers cannot be kept"),
        ("f.eaf", EAF % (b"milliseconds", b"0", b"9" * 400), "is a damaged eaf .*; its tiers cannot be kept"),
        ("g.eaf", EAF % (b"milliseconds", b"x", b"1000"), "is a damaged eaf .*'x'.*; its tiers cannot be kept"),
        ("h.eaf", EAF % (b"PAL-frames", b"0", b"1000"), "counts time in PAL-frames"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(TranscriptError, match=rf"{name}: .*{why}"):
            eaf_text([Tier("words", [(0, 4, "a")])], base=tmp_path / name)
    (tmp_path / "a.TextGrid").write_bytes(b"ooBinaryFile\x08TextGrid")
    with pytest.raises(TranscriptError, match="binary TextGrid"):
        textgrid_text([], 1000, tmp_path / "a.TextGrid")
