"""Annotation in lines: srt and vtt, Audacity's labels, stm and CHAT, by hand as their formats are documented."""

from collections.abc import Callable

import pytest

from asr.data.annotation.records import AnnotationFile
from asr.data.annotation.timed_text import looks_like_labels, read_cha, read_labels, read_srt, read_stm, read_vtt
from asr.errors import DataError


def only(file: AnnotationFile) -> list[tuple[float, float, str, str | None]]:
    (found,) = file.tiers
    return [(one.start_s, one.end_s, one.text, one.speaker) for one in found.annotations]


def test_srt_of_pysubs2_and_by_hand() -> None:
    from pysubs2 import SSAEvent, SSAFile

    made = SSAFile()
    made.append(SSAEvent(start=500, end=1250, text=r"good\Nday"))
    made.append(SSAEvent(start=2000, end=3600_000, text="<unk> there"))
    assert only(read_srt(made.to_string("srt").encode("utf-8-sig"))) == [
        (0.5, 1.25, "good day", None), (2, 3600, "<unk> there", None),
    ]  # fmt: skip
    by_hand = (
        b"1\r\n00:00:01,000 --> 00:00:02,500\r\n<i>one</i> {\\an8}two\r\n\r\n2\r\n00:00:03,000 --> 00:00:04,000\r\n"
    )
    assert only(read_srt(by_hand)) == [(1, 2.5, "one two", None), (3, 4, "", None)]
    with pytest.raises(DataError, match="holds no cue"):
        read_srt(b"hello")


def test_vtt_voices_are_speakers_and_names_and_notes_are_no_text() -> None:
    """The forms of W3C's WebVTT: a cue's name, settings, a note, voices, classes, times inside, escapes, no hours."""
    data = b"""WEBVTT - a talk

intro
00:01.000 --> 00:02.500 align:start
<v.loud Ann Smith>good <c.big>day</c> &amp; <00:02.000>night</v>

NOTE not
a text

2
01:00:03.000 --> 01:00:04.000
- <b>yes</b>
"""
    assert only(read_vtt(data)) == [(1, 2.5, "good day & night", "Ann Smith"), (3603, 3604, "- yes", None)]
    with pytest.raises(DataError, match="first line is WEBVTT"):
        read_vtt(b"1\n00:00:01,000 --> 00:00:02,500\none\n")


SRT_CUES = [
    ("a number at the end is text", "1\nTIMES\ncount to\n42\n\n2\nTIMES\n1984\n", ["count to 42", "1984"]),
    ("no blank line before a number", "1\nTIMES\none\n2\nTIMES\n2\n3\nTIMES\nthree", ["one", "2", "three"]),
    ("a blank line inside", "1\nTIMES\none\n\ntwo\n\n2\nTIMES\n\n3\nTIMES\n", ["one two", "", ""]),
    ("no numbers", "TIMES\nin\n1984\n\nTIMES\ntwo", ["in 1984", "two"]),
    ("times within a line", "1\nTIMES\nat 0:01:00,0 --> 0:02:00,0\n", ["at 0:01:00,0 --> 0:02:00,0"]),
    ("braces", "1\nTIMES\n{\\an8}I said {xxx} to {him}\n", ["I said {xxx} to {him}"]),
    ("backslashes", "1\nTIMES\nC:\\new\\Nice \\hat\n", ["C:\\new\\Nice \\hat"]),
    ("tags", '1\nTIMES\n<font color="#ffff00">the <B>o</B>ne</font>\n<s>a</s><font\nsize=3> b', ["the one a b"]),
    ("marks", "1\nTIMES\n<i><unk></i> <se˩> <bee>", ["<unk> <se˩> <bee>"]),
]  # fmt: skip
VTT_CUES = [
    ("a number at the end is text", "TIMES\nin the year\n1984\n\nTIMES\n7", ["in the year 1984", "7"]),
    ("times inside", "TIMES\nhello<00:00:01.500><c> big</c><00:00:02.000><c> world</c>", ["hello big world"]),
    ("no text, and names", "TIMES\n\nintro-2\nTIMES\nnext\n\n3\nTIMES line:0\nlast", ["", "next", "last"]),
    ("other blocks", "STYLE\n::cue { color: red }\n\nREGION\nid:a\n\nTIMES\none\n\nNOTE a\nnote\n", ["one"]),
    ("tags", "TIMES\n<font color='red'><i.a>a</i></font> <lang en>b</lang> <ruby>c</ruby>", ["a b c"]),
    ("marks", "TIMES\n&lt;unk> <unk> <2> {\\i1}{c} a&amp;b", ["<unk> <unk> <2> {c} a&b"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("read", "text", "said"),
    [pytest.param(read_srt, text, said, id=f"srt: {name}") for name, text, said in SRT_CUES]
    + [pytest.param(read_vtt, f"WEBVTT\n\n{text}", said, id=f"vtt: {name}") for name, text, said in VTT_CUES],
)
def test_the_text_of_cues_is_kept_whole(read: Callable[[bytes], AnnotationFile], text: str, said: list[str]) -> None:
    """By W3C's WebVTT; srt has no standard: numbers before the times, blank lines between."""
    times = "00:00:01,000 --> 00:00:02,500" if read is read_srt else "00:01.000 --> 00:02.500"
    assert only(read(text.replace("TIMES", times).encode())) == [(1, 2.5, one, None) for one in said]


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        ("01:00:03.250 --> 01:00:04,5", (3603.25, 3604.5)),
        ("  0:1:2,5->0:1:3  X1:0 Y1:0", (62.5, 63)),
        ("100:00:00.000 --> 123456:00:00.000 align:start", (360_000, 444_441_600)),
    ],
)
def test_times_of_cues(times: str, seconds: tuple[float, float]) -> None:
    for read, text in ((read_srt, f"1\n{times}\none"), (read_vtt, f"WEBVTT\n\n{times}\none")):
        assert only(read(text.encode())) == [(*seconds, "one", None)]


@pytest.mark.parametrize("times", [f"00:00:01,0 --> {'9' * 5000}:00:00,0", f"00:00:01,0 --> 00:{'9' * 400}:00,0"])
def test_times_beyond_all_are_refused(times: str) -> None:
    for read, text in ((read_srt, f"1\n{times}\none"), (read_vtt, f"WEBVTT\n\n{times}\none")):
        with pytest.raises(DataError, match=r"an annotation from 1\.0 to inf s"):
            read(text.encode())


def test_audacitys_labels_with_frequencies_and_decimal_commas() -> None:
    data = b"0.500000\t1.250000\tgood day\n\\\t100.000000\t2000.000000\n2,5\t3,0\tnight\n4.0\t4.0\n"
    assert looks_like_labels(data) and only(read_labels(data)) == [
        (0.5, 1.25, "good day", None), (2.5, 3, "night", None), (4, 4, "", None),
    ]  # fmt: skip
    assert not looks_like_labels(b"good day") and not looks_like_labels(b"") and not looks_like_labels(b"1 2 good")


def test_stm_has_a_tier_for_each_recording_and_channel() -> None:
    data = (
        ";; comment\ntalk 1 ann 0.00 2.50 <o,f0,female> good day\ntalk 2 bob 1.0 2.0 yes\n"
        "other A inter_segment_gap 0 5 ignore_time_segment_in_scoring\n"
    )
    read = read_stm(data.encode())
    assert [(one.recording, one.channel) for one in read.tiers] == [("talk", 0), ("talk", 1), ("other", 0)]
    assert [[(a.start_s, a.end_s, a.text, a.speaker) for a in one.annotations] for one in read.tiers] == [
        [(0, 2.5, "good day", "ann")], [(1, 2, "yes", "bob")], [(0, 5, "", "inter_segment_gap")],
    ]  # fmt: skip
    with pytest.raises(DataError, match="line 1 ends at 1 s, before it begins"):
        read_stm(b"talk 1 ann 2 1 x")


CHAT = """@UTF8
@Begin
@Languages:\teng
@Participants:\tCHI Adam Target_Child, MOT Mother
@Media:\tadam01, audio
*CHI:\t<I want> [//] I wanna [: want to] go &=laughs &-um (be)cause (.) it's no:
\t&+w water@o ice+cream [!] . \x15100_2500\x15
%mor:\tpro|I
*MOT:\txxx 0is New_York +... \x153000_3500\x15
*CHI:\tno time .
@End
"""


def test_chat_keeps_what_was_said() -> None:
    """Rules of the CHAT manual: retraced words, fillers and fragments were said, omitted and replaced ones were not."""
    read = read_cha(CHAT.encode())
    assert only(read) == [
        (0.1, 2.5, "I want I wanna go um cause it's no w water ice cream.", "Adam"),
        (3, 3.5, "xxx New York", "MOT"),
    ]
    assert list(read.media) == ["adam01"] and list(read.tiers[0].untimed) == ["no time."]
    old = '@Begin\n*CHI:\tyes . \x15%snd:"adam01"_100_2500\x15\n'
    assert only(read_cha(old.encode())) == [(0.1, 2.5, "yes.", "CHI")]
    with pytest.raises(DataError, match="no @Begin"):
        read_cha(b"*CHI:\tyes")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("I go &*MOT:mhm home .", "I go home."),
        ("&{l=laughs that's ok &}l=laughs now", "that's ok now"),
        ("‹I go› 〔home〕", "I go home"),
        ("↫r-r-↫red like↫ike-ike↫ it", "r-r red like ike-ike it"),
        ("it is [= foo [bar [x 2]] baz] [*] here", "it is here"),
        ("it's no [x 3] good [x 1]", "it's no no no good"),
        ("<I want> [x 2] [/] I want [!] [x 2] <to go> [>] .", "I want I want I want want to go."),
        ("<no <oh no> [x 2] <a b> [/] c> [x 2] !", "no oh no oh no a b c no oh no oh no a b c!"),
        ("[x 3] a [x 100] <> [x 2] b [x 0]", "a"),
        ("+< <<a> [<] b> [//] <c d> [x 2]", "a b c d c d"),
    ],
)
def test_codes_of_chat(line: str, said: str) -> None:
    """By the CHAT manual: another speaker's word is not this one's; [x N] says that something was said N times."""
    assert only(read_cha(f"@Begin\n*CHI:\t{line} \x15100_2500\x15\n".encode())) == [(0.1, 2.5, said, "CHI")]


def test_repetitions_within_repetitions_stay_small() -> None:
    line = "<" * 9 + "no" + "> [x 99]" * 9
    ((_, _, said, _),) = only(read_cha(f"@Begin\n*CHI:\t{line} \x15100_2500\x15\n".encode()))
    assert set(said.split()) == {"no"} and len(said) < 2_000_000
