"""ELAN's and Praat's files: written by pympi and praatio, or by hand as their formats are documented."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from asr.data.annotation import READERS
from asr.data.annotation.eaf import read_eaf
from asr.data.annotation.records import AnnotationFile
from asr.data.annotation.textgrid import read_textgrid
from asr.errors import DataError

Found = list[tuple[float, float, str]]


def tier(file: AnnotationFile, name: str) -> Found:
    (found,) = (one for one in file.tiers if one.name == name)
    return [(one.start_s, one.end_s, one.text) for one in found.annotations]


# --- eaf -------------------------------------------------------------------------------------------------------------


def test_eaf_of_pympi_with_every_kind_of_tier(tmp_path: Path) -> None:
    pympi = pytest.importorskip("pympi")
    eaf = pympi.Eaf()
    eaf.add_linked_file("file:///a%20b/talk.wav", relpath="./talk.wav", mimetype="audio/x-wav")
    for kind, timed in (
        ("Included_In", True), ("Time_Subdivision", True), ("Symbolic_Association", False),
    ):  # fmt: skip
        eaf.add_linguistic_type(kind, constraints=kind, timealignable=timed)
    eaf.add_tier("Ann", part="Ann Smith")
    eaf.add_annotation("Ann", 1000, 3000, " good  day ")
    eaf.add_annotation("Ann", 4000, 5000, "")
    eaf.add_tier("words", ling="Included_In", parent="Ann")
    eaf.add_annotation("words", 1100, 1500, "good")
    eaf.add_annotation("words", 1600, 2900, "day")
    eaf.add_tier("gloss", ling="Symbolic_Association", parent="Ann")
    eaf.add_ref_annotation("gloss", "Ann", 1500, "a greeting")
    eaf.to_file(str(tmp_path / "talk.eaf"))
    read = read_eaf((tmp_path / "talk.eaf").read_bytes())
    assert list(read.media) == ["./talk.wav", "/a b/talk.wav"]
    assert tier(read, "Ann") == [(1, 3, "good day"), (4, 5, "")]
    assert tier(read, "words") == [(1.1, 1.5, "good"), (1.6, 2.9, "day")]
    assert tier(read, "gloss") == [(1, 3, "a greeting")]
    facts = {one.name: (one.kind, one.participant, one.parent) for one in read.tiers}
    assert facts["gloss"] == ("Symbolic_Association", "Ann Smith", "Ann"), "the participant is the parent's"


EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2020-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0">
<HEADER TIME_UNITS="milliseconds">
<MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/t.wav" MIME_TYPE="audio/x-wav" {origin}/>
</HEADER>
<TIME_ORDER>{slots}</TIME_ORDER>{tiers}
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="t"/></ANNOTATION_DOCUMENT>"""


def eaf(slots: dict[str, int | None], tiers: Sequence[str], origin: str = "") -> bytes:
    written = "".join(
        f'<TIME_SLOT TIME_SLOT_ID="{name}"' + ("/>" if value is None else f' TIME_VALUE="{value}"/>')
        for name, value in slots.items()
    )
    return EAF.format(origin=origin, slots=written, tiers="".join(tiers)).encode()


def timed(name: str, first: str, last: str, text: str) -> str:
    attributes = f'ANNOTATION_ID="{name}" TIME_SLOT_REF1="{first}" TIME_SLOT_REF2="{last}"'
    value = f"<ANNOTATION_VALUE>{text}</ANNOTATION_VALUE>"
    return f"<ANNOTATION><ALIGNABLE_ANNOTATION {attributes}>{value}</ALIGNABLE_ANNOTATION></ANNOTATION>"


def referring(name: str, parent: str, text: str, previous: str | None = None) -> str:
    attributes = f'ANNOTATION_ID="{name}" ANNOTATION_REF="{parent}"'
    attributes += f' PREVIOUS_ANNOTATION="{previous}"' if previous else ""
    value = f"<ANNOTATION_VALUE>{text}</ANNOTATION_VALUE>"
    return f"<ANNOTATION><REF_ANNOTATION {attributes}>{value}</REF_ANNOTATION></ANNOTATION>"


def in_tier(name: str, *annotations: str, parent: str = "") -> str:
    above = f' PARENT_REF="{parent}"' if parent else ""
    return f'<TIER TIER_ID="{name}" LINGUISTIC_TYPE_REF="t"{above}>{"".join(annotations)}</TIER>'


def test_symbolic_subdivisions_are_joined_in_their_order_at_the_time_of_their_ancestor() -> None:
    phrases = in_tier("p", timed("a1", "s1", "s2", "one two"), timed("a2", "s3", "s4", "three"))
    words = in_tier(
        "w",
        referring("b2", "a1", "two", "b1"),
        referring("b1", "a1", "one"),
        referring("b3", "a2", "three"),
        parent="p",
    )
    parts = in_tier(
        "m",
        referring("c3", "b2", "o", "c2"), referring("c2", "b2", "tw"), referring("c1", "b1", "one"),
        referring("c9", "lost", "nowhere"),
        parent="w",
    )  # fmt: skip
    read = read_eaf(eaf({"s1": 0, "s2": 900, "s3": 1000, "s4": 2500}, [phrases, words, parts]))
    assert tier(read, "w") == [(0, 0.9, "one two"), (1, 2.5, "three")]
    assert tier(read, "m") == [(0, 0.9, "one tw o")], "by the places of the words, then of their parts"
    assert [list(one.untimed) for one in read.tiers] == [[], [], ["nowhere"]]


def test_a_boundary_that_nobody_has_set_is_no_place_to_cut() -> None:
    slots = {"s1": 0, "s2": None, "s3": None, "s4": 3000, "s5": 4000}
    words = in_tier(
        "w", timed("a1", "s1", "s2", "one"), timed("a2", "s2", "s3", "two"), timed("a3", "s3", "s4", "three"),
        timed("a4", "s4", "s5", "four"),
    )  # fmt: skip
    assert tier(read_eaf(eaf(slots, [words])), "w") == [(0, 3, "one two three"), (3, 4, "four")]


def test_of_a_long_subdivision_each_word_has_the_times_around_it() -> None:
    """5,000 words in phrases of ten whose inner boundaries nobody has set; the last phrase has no end."""
    number = 5_000
    slots = {f"s{place}": 300 * place if place % 10 == 0 and place < number else None for place in range(number + 1)}
    words = [timed(f"a{place}", f"s{place}", f"s{place + 1}", f"w{place}") for place in range(number)]
    read = read_eaf(eaf(slots, [in_tier("w", *words)]))
    assert tier(read, "w") == [
        (3.0 * phrase, 3.0 * phrase + 3, " ".join(f"w{10 * phrase + word}" for word in range(10)))
        for phrase in range(499)
    ]
    assert list(read.tiers[0].untimed) == [f"w{place}" for place in range(4_990, 5_000)]


@pytest.mark.timeout(120)
def test_of_a_long_chain_of_annotations_each_has_its_place() -> None:
    """20,000 parts of one phrase, from the last to the first in the file."""
    number = 20_000
    parts = [referring(f"b{place}", "a1", f"w{place}", f"b{place - 1}" if place else None) for place in range(number)]
    tiers = [in_tier("p", timed("a1", "s1", "s2", "x")), in_tier("w", *reversed(parts), parent="p")]
    assert tier(read_eaf(eaf({"s1": 0, "s2": 500}, tiers)), "w") == [
        (0, 0.5, " ".join(f"w{place}" for place in range(number)))
    ]


def test_boundaries_in_a_circle_have_no_time() -> None:
    slots = {"s1": None, "s2": None, "s3": 500}
    words = in_tier("w", timed("a1", "s1", "s2", "x"), timed("a2", "s2", "s1", "y"), timed("a3", "s2", "s3", "z"))
    (found,) = read_eaf(eaf(slots, [words])).tiers
    assert not found.annotations and sorted(found.untimed) == ["x", "y", "z"]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("file:///C:/my/take#1.wav", "take#1.wav"),
        ("file:///C:/my/what?.wav", "what?.wav"),
        ("file:///C:/my/take%231.wav", "take#1.wav"),
        ("file://[abc/x.wav", "x.wav"),
        ("file:/a/x.wav", "x.wav"),
        ("./a b/x.wav", "x.wav"),
    ],
)
def test_a_linked_recording_has_its_whole_name(url: str, name: str) -> None:
    data = eaf({}, []).replace(b"file:///C:/t.wav", url.encode())
    assert [one.rpartition("/")[2] for one in read_eaf(data).media] == [name]


def test_the_origin_of_the_recording_is_added() -> None:
    data = eaf({"s1": 0, "s2": 500}, [in_tier("p", timed("a1", "s1", "s2", "x"))], 'TIME_ORIGIN="1500"')
    assert tier(read_eaf(data), "p") == [(1.5, 2, "x")]


BOMB = (
    '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><ANNOTATION_DOCUMENT><TIME_ORDER>&i;</TIME_ORDER></ANNOTATION_DOCUMENT>"
)
OUTSIDE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><ANNOTATION_DOCUMENT>&x;</ANNOTATION_DOCUMENT>'


@pytest.mark.parametrize("xml", [BOMB, OUTSIDE])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_that_grow_or_read_files_are_refused(xml: str, encoding: str) -> None:
    with pytest.raises(DataError, match="declares a document type"):
        read_eaf(xml.encode(encoding))


def test_an_eaf_in_another_code_page_declares_no_document_type_either() -> None:
    data = '<?xml version="1.0" encoding="cp037"?>'.encode("cp037") + BOMB.encode("cp037")
    with pytest.raises(DataError, match=r"document type|not XML"):
        read_eaf(data)


def test_damaged_eafs_are_named() -> None:
    cycle = in_tier("p", referring("a1", "a2", "x"), referring("a2", "a1", "y"))
    for data, why in (
        (b"", "not XML"),
        (b"<html/>", "not an ELAN file"),
        (eaf({"s1": 0}, [cycle]), "damaged eaf .*its own parent"),
        (EAF.replace("milliseconds", "PAL-frames").format(origin="", slots="", tiers="").encode(), "PAL-frames"),
        (eaf({"s1": 0}, []).replace(b'"0"', b'"soon"'), "damaged eaf"),
        (eaf({}, [in_tier("w"), in_tier("w", timed("a1", "s1", "s2", "x"))]), "damaged eaf .*two tiers .*'w'"),
        (eaf({}, [cycle, *(in_tier(str(number)) for number in range(2_000))]), "damaged eaf"),
    ):
        with pytest.raises(DataError, match=why):
            read_eaf(data)


# --- TextGrid --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["long_textgrid", "short_textgrid"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le-bom", "utf-16-be-bom"])
def test_textgrids_of_praatio_in_both_forms_and_encodings(tmp_path: Path, form: str, encoding: str) -> None:
    from praatio import textgrid

    grid = textgrid.Textgrid(0, 4)
    grid.addTier(textgrid.IntervalTier("ŋa", [(0.5, 1.25, 'kɔ́ "bà"'), (2, 4, "two\nlines")], 0, 4))
    grid.addTier(textgrid.PointTier("clicks", [(1.5, "!")], 0, 4))
    grid.save(str(tmp_path / "a.TextGrid"), format=form, includeBlankSpaces=True)
    text = (tmp_path / "a.TextGrid").read_text(encoding="utf-8")
    if encoding.endswith("bom"):
        data = ("\ufeff" + text).encode(encoding.removesuffix("-bom"))
    else:
        data = text.replace("\n", "\r\n").encode(encoding)
    read = read_textgrid(data)
    assert tier(read, "ŋa") == [(0.5, 1.25, 'kɔ́ "bà"'), (2, 4, "two lines")]
    assert [one.name for one in read.tiers] == ["ŋa"], "points have no duration"


# By Praat's page on the formats: what is neither a number that stands alone nor a text in quotes is skipped.
LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = -0.5 ! a "comment" of 3
xmax = 3
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "w"
        xmin = -0.5
        xmax = 3
        intervals: size = 3
        intervals [1]:
            xmin = -0.5
            xmax = 2.5e-05
            text = "{label}"
        intervals [2]:
            xmin = 2.5e-05
            xmax = 1
            text = ""
        intervals [3]:
            xmin = 1
            xmax = 3
            text = "b"
    item [2]:
        class = "TextTier"
        name = "p"
        xmin = -0.5
        xmax = 3
        points: size = 1
        points [1]:
            number = 1.5
            mark = "!"
    item [3]:
        class = "IntervalTier"
        name = "w"
        xmin = -0.5
        xmax = 3
        intervals: size = 0
"""
SHORT = """File type = "ooTextFile"
"TextGrid"

-0.5
3
<exists>
2
"IntervalTier" "w" -0.5 3 3
-0.5 2.5e-05 "{label}"
2.5e-05 1 ""
1 3 "b"
"IntervalTier"
"w"
-0.5
3
0
"""


@pytest.mark.parametrize("form", [LONG, SHORT])
@pytest.mark.parametrize(
    "label",
    [
        "item [", "item [1]:", "intervals [2]:", "points [1]:", "ooTextFile short", "xmin = 4", "5", "! no", "<exists>",
        "IntervalTier", '""TextTier""', 'class = ""IntervalTier""', 'say ""hi""', '""', "one\n5\ntwo",
    ],
)  # fmt: skip
def test_a_label_of_a_textgrid_may_be_any_text(form: str, label: str) -> None:
    for rare, plain in ((' ! a "comment" of 3', ""), ("-0.5", "0"), ("2.5e-05", "0.25"), ("{label}", label)):
        form = form.replace(rare, plain)
    text = " ".join(label.replace('""', '"').split())
    assert tier(read_textgrid(form.encode()), "w") == [(0, 0.25, text), (1, 3, "b")]


@pytest.mark.parametrize("form", [LONG, SHORT])
def test_numbers_and_comments_of_a_textgrid_are_read_as_praat_reads_them(form: str) -> None:
    read = read_textgrid(form.encode())
    assert tier(read, "w") == [(-0.5, 0.000025, "{label}"), (1, 3, "b")]
    assert [one.name for one in read.tiers] == ["w", "w_2"], "both have the same name"


@pytest.mark.parametrize("form", [LONG, SHORT])
def test_damaged_textgrids_are_named(form: str) -> None:
    for damaged, why in (
        (form[: form.rindex("0")], "ends too early"),
        (form[: form.index("{")], "ends too early"),
        (form.replace(' "b"', ""), "no text before"),
        (form.replace("2.5e-05", "soon"), r"line \d+: no number before"),
        (form.replace("2.5e-05", "9" * 400), "more than 308 digits"),
        (form.replace("2.5e-05", "-1"), "interval from -0.5 to -1.0 s"),
        (form.replace("2.5e-05", "1.2.5"), "1.2.5"),
        (form + '"x"', "more than the sizes"),
    ):
        with pytest.raises(DataError, match=f"damaged TextGrid .*{why}"):
            read_textgrid(damaged.encode())


def test_every_reader_refuses_other_code_pages() -> None:
    for name, read in READERS.items():
        if name != "eaf":
            with pytest.raises(DataError, match="is not UTF-8"):
                read(b"\xff\xe9 caf\xe9")
