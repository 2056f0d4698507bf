"""Long recordings with annotation: which tier and recording, what is left out, joined and cut.
Expected values are calculated by hand.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Literal
from unicodedata import normalize

import pytest

from asr.data.annotation import SegmentRules
from asr.data.annotation.records import Annotation, AnnotationTier
from asr.data.annotation.segments import TimedSegment, make_segments
from asr.data.annotation.select import choose_tiers
from asr.data.manifest import Utterance, read_manifest
from asr.data.prepare import run_prepare
from asr.errors import ConfigError, DataError
from asr.transcription.tiers import Tier, eaf_text
from tests.data.made import write_pair, write_tone

RECIPE = Path(__file__).parents[2] / "recipes" / "folder"
Form = Literal["NFC", "NFD"]
PLAIN = SegmentRules(join=0, pad=0)


def said(start_s: float, end_s: float, text: str = "word", speaker: str | None = "ann") -> TimedSegment:
    return TimedSegment(start_s=start_s, end_s=end_s, text=text, speaker=speaker, tier="t")


def segments(*annotated: TimedSegment, rules: SegmentRules = PLAIN, length_s: float = 60.0) -> list[tuple[object, ...]]:
    found = make_segments(annotated, length_s, rules)
    return [
        (round(one.start_s, 3), round(one.end_s, 3), one.text if one.reason is None else f"-{one.reason}")
        for one in found
    ]


# --- rules -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("good day", "good day"),
        ("good [laughter] day <Noise>", "good day"),
        ("good xxx day", "-marked as unclear"),
        ("<unk>", "-marked as unclear"),
        ("xxxl wwwa", "xxxl wwwa"),
        ("[laughter] ...", "-only marks"),
        ("", "-no text"),
        ("<se˩> kà", "<se˩> kà"),
    ],
)
def test_marks_are_taken_out_or_leave_the_annotation_out(text: str, becomes: str) -> None:
    assert [one[2] for one in segments(said(1, 3, text))] == [becomes]


def test_marks_are_options() -> None:
    rules = replace(PLAIN, leave_out="[laughter],bad*", remove="<,>,(*)")
    found = segments(
        said(1, 2, "a [laughter]"), said(3, 4, "badly"), said(5, 6, "<se˩> xxx (x y) z"), said(7, 8, "ba"), rules=rules
    )
    assert [one[2] for one in found] == ["-marked as unclear", "-marked as unclear", "se˩ xxx z", "ba"]


def test_overlapping_speech_leaves_both_out_beyond_a_tenth_of_a_second() -> None:
    overlapping = [said(0, 5), said(4.8, 6, speaker="bob"), said(5.95, 8), said(9, 9.5, "[cough]"), said(9, 11)]
    assert segments(*overlapping) == [
        (0, 5, "-overlapping speech"), (4.8, 6, "-overlapping speech"), (5.95, 8, "word"), (9, 9.5, "-only marks"),
        (9, 11, "word"),
    ]  # fmt: skip
    assert [one[2] for one in segments(*overlapping, rules=replace(PLAIN, overlap="keep"))].count("word") == 4


def test_what_is_outside_the_recording_or_has_no_length_is_left_out() -> None:
    assert segments(said(58, 60.4), said(60, 61), said(55, 61), said(2, 2.05), said(4, 3), said(10, 31)) == [
        (2, 2.05, "-too short"), (4, 3, "-too short"), (10, 31, "-too long"), (55, 61, "-outside the recording"),
        (58, 60, "-overlapping speech"), (60, 61, "-outside the recording"),
    ]  # fmt: skip


def test_words_are_joined_over_short_pauses_and_sentences_only_with_short_ones() -> None:
    rules = SegmentRules(pad=0, join=1, pause=0.5)
    words = [said(0, 0.4, "a"), said(0.5, 0.9, "b"), said(1.4, 1.6, "c"), said(2.2, 2.4, "d")]
    assert segments(*words, rules=rules) == [(0, 1.6, "a b c"), (2.2, 2.4, "d")]
    sentences = [said(0, 2, "a"), said(2, 4, "b"), said(4.3, 4.8, "yes"), said(5, 7, "c"), said(7, 8, "d", "bob")]
    assert segments(*sentences, rules=rules) == [(0, 2, "a"), (2, 7, "b yes c"), (7, 8, "d")]


def test_nothing_is_joined_over_speech_that_is_left_out() -> None:
    rules = SegmentRules(pad=0, pause=2)
    found = segments(
        said(0, 0.5, "a"),
        said(0.6, 1.0, "xxx"),
        said(1.1, 1.5, "b"),
        said(1.6, 2, "[cough]"),
        said(2, 2.5, "c"),
        rules=rules,
    )
    assert [one[2] for one in found] == ["a", "-marked as unclear", "b c", "-only marks"]


def test_a_run_that_is_too_long_is_cut_at_its_longest_pause() -> None:
    words = [said(place, place + 0.9, str(place)) for place in range(6)] + [said(6.3, 7.2, "6"), said(7.3, 8, "7")]
    rules = SegmentRules(pad=0, longest=7)
    assert segments(*words, rules=rules) == [(0, 5.9, "0 1 2 3 4 5"), (6.3, 8, "6 7")]
    even = [said(place, place + 1, str(place)) for place in range(8)]
    rules = SegmentRules(pad=0, longest=5, join=1.5)
    assert segments(*even, rules=rules) == [(0, 4, "0 1 2 3"), (4, 8, "4 5 6 7")], "in the middle where no one pauses"


def test_silence_is_added_up_to_half_of_a_pause_and_to_the_ends() -> None:
    rules = SegmentRules(pad=0.2, join=0)
    found = segments(said(0.1, 2), said(2.1, 4, speaker="bob"), said(5, 5.9), rules=rules, length_s=6)
    assert found == [(0, 2.05, "word"), (2.05, 4.2, "word"), (4.8, 6, "word")]


def test_impossible_rules_are_named() -> None:
    with pytest.raises(ConfigError, match="pad=-1"):
        SegmentRules(pad=-1)
    with pytest.raises(ConfigError, match="longest=0"):
        SegmentRules(longest=0)


# --- which tier ------------------------------------------------------------------------------------------------------


def tier(name: str, *texts: str, kind: str = "", participant: str = "", parent: str | None = None) -> AnnotationTier:
    annotations = [Annotation(i, i + 1, text) for i, text in enumerate(texts)]
    return AnnotationTier(name=name, annotations=annotations, kind=kind, participant=participant, parent=parent)


def chosen(*tiers: AnnotationTier, wanted: str | None = None) -> list[str]:
    return [one.name for one in choose_tiers(tiers, wanted)]


def test_the_tier_is_chosen_by_name_type_or_participant() -> None:
    tiers = (
        tier("tx@A", "a", kind="text", participant="Ann"), tier("tx@B", "b", kind="text", participant="Bob"),
        tier("ft@A", "c", kind="free", participant="Ann"), tier("empty", "", kind="text"),
    )  # fmt: skip
    assert chosen(*tiers, wanted="tx@*") == ["tx@A", "tx@B"] == chosen(*tiers, wanted="type:text")
    assert chosen(*tiers, wanted="participant:Ann") == ["tx@A", "ft@A"]
    assert chosen(*tiers, wanted="ft@A, tx@B") == ["tx@B", "ft@A"]
    assert chosen(*tiers, wanted="tx") == []


def test_white_space_at_the_ends_of_tier_names_and_their_form_of_unicode_do_not_count() -> None:
    tiers = (tier("tx ", "a", kind=" text"), tier("e\u0301", "b", participant="Zoe\u0308\n"))
    assert chosen(*tiers, wanted="tx ") == ["tx "] == chosen(*tiers, wanted="tx") == chosen(*tiers, wanted="type: text")
    assert chosen(*tiers, wanted="\u00e9") == ["e\u0301"] == chosen(*tiers, wanted="participant:Zo\u00eb")


def test_without_a_choice_the_only_tier_or_the_parents_of_one_type_are_the_transcript() -> None:
    assert chosen(tier("a", "x"), tier("b", "")) == ["a"]
    parents = [tier("A", "good", kind="text"), tier("B", "day", kind="text")]
    assert chosen(*parents, tier("gloss", "x", kind="note", parent="A")) == ["A", "B"]


def test_an_unclear_choice_lists_the_tiers() -> None:
    with pytest.raises(DataError, match=r"tier=NAME.*words \(2 annotations, e\.g\. 'good'\); phones \(1 annotation"):
        chosen(tier("words", "good", "day"), tier("phones", "g"))
    with pytest.raises(DataError, match=r"ref \(type ref, participant Ann, 2 annotations, e\.g\. '001'\)"):
        chosen(tier("ref", "001", "002", kind="ref", participant="Ann"), tier("tx", "a", kind="tx", parent="ref"))


# --- a corpus --------------------------------------------------------------------------------------------------------


def write_labels(file: Path, *rows: tuple[float, float, str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{start}\t{end}\t{text}\n" for start, end, text in rows), encoding="utf-8")


def prepare(corpus: Path, out: Path, **options: str) -> tuple[str, list[Utterance]]:
    summary = run_prepare(RECIPE, corpus, out, options)
    return summary, [one for file in sorted(out.glob("*.jsonl")) for one in read_manifest(file)]


def test_a_corpus_of_labels_is_prepared_with_a_report(tmp_path: Path) -> None:
    corpus, out = tmp_path / "corpus", tmp_path / "out"
    for name in ("ann/a", "bob/b", "eve/c"):
        write_tone(corpus / f"{name}.wav", 20)
        write_labels(corpus / f"{name}.txt", (1, 4, f"good {name}"), (5, 7, "xxx"), (8, 10, "[laughter]"))
    write_tone(corpus / "dan" / "d.wav", 2)
    write_pair(corpus / "fay" / "e", "with a text")
    (corpus / "ann" / "notes on.txt").write_text("no transcript")
    summary, utterances = prepare(corpus, out, lowercase="true")
    assert {one.id: (one.start_s, one.duration_s, one.text, one.speaker) for one in utterances} == {
        "ann/a@0.900-4.100": (0.9, 3.2, "good ann/a", "ann"),
        "bob/b@0.900-4.100": (0.9, 3.2, "good bob/b", "bob"),
        "eve/c@0.900-4.100": (0.9, 3.2, "good eve/c", "eve"),
        "fay/e": (0.0, 1.0, "with a text", "fay"),
    }
    assert summary.splitlines()[4:] == [
        "Annotations: 3 taken as 3 segments, 0.2 min.",
        "  left out, marked as unclear: 3, 0.1 min; e.g. ann/a.txt 0:00:05.0 'xxx'",
        "  left out, only marks: 3, 0.1 min; e.g. ann/a.txt 0:00:08.0 '[laughter]'",
        "  Every one is in left-out.tsv.",
        "Recordings without annotation: 1 (dan/d.wav).",
        "Texts without a recording: 1 (ann/notes on.txt).",
    ]
    rows = (out / "left-out.tsv").read_text(encoding="utf-8").splitlines()
    assert rows[0].split("\t") == ["file", "tier", "speaker", "start_s", "end_s", "reason", "text"] and len(rows) == 7
    assert rows[1].split("\t") == ["ann/a.txt", "labels", "ann", "5.000", "7.000", "marked as unclear", "xxx"]
    prepare(corpus, out, leave_out="", remove="")
    assert not (out / "left-out.tsv").exists(), "of an earlier preparation"


def test_recordings_are_found_beside_by_name_elsewhere_and_by_pattern(tmp_path: Path) -> None:
    for name in ("wav/one.wav", "wav/two_mic1.wav", "wav/two_mic2.wav", "three.wav", "wav/four.wav"):
        write_tone(tmp_path / "c" / name, 3)
    write_labels(tmp_path / "c" / "labels" / "one.txt", (0, 2, "elsewhere"))
    write_labels(tmp_path / "c" / "three.txt", (0, 2, "beside"))
    _, found = prepare(tmp_path / "c", tmp_path / "out", dev="0", test="0")
    assert sorted((Path(one.audio).name, one.text) for one in found) == [
        ("one.wav", "elsewhere"),
        ("three.wav", "beside"),
    ]
    write_labels(tmp_path / "c" / "labels" / "two.txt", (0, 2, "linked"))
    with pytest.raises(DataError, match=r"two\.txt: no recording of it in the corpus \(two\); link=PATTERN"):
        prepare(tmp_path / "c", tmp_path / "out")
    (tmp_path / "c" / "three.txt").unlink()
    options = {"link": "../wav/{name}*", "dev": "0", "test": "0"}
    _, found = prepare(tmp_path / "c", tmp_path / "out", **options)
    assert [(one.id, one.text) for one in found] == [
        ("wav/one@0.000-2.100", "elsewhere"), ("wav/two_mic1@0.000-2.100", "linked"),
        ("wav/two_mic2@0.000-2.100", "linked"),
    ]  # fmt: skip
    for link in ("{stem}", "../audio/{name.wav}", "{name[0]}", "{name!r}", "{name:>99999999999}", "{}", "{"):
        with pytest.raises(ConfigError, match=f"link={re.escape(link)}: the only name in braces is {{name}}"):
            prepare(tmp_path / "c", tmp_path / "out", link=link)


@pytest.mark.parametrize(("form", "typed"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_folders_may_be_in_any_form_of_unicode(tmp_path: Path, form: Form, typed: Form) -> None:
    """macOS writes names decomposed."""
    for name in ("José", "Zoé"):
        folder = tmp_path / "c" / normalize(form, name)
        write_tone(folder / "one.wav", 3)
        write_labels(folder / "one.txt", (0, 2, name))
        write_tone(folder / normalize(form, "été") / "two.wav", 3)
    keep = {"dev": "0", "test": "0"}
    for link, stem in (("", "one"), (normalize(typed, "été/two"), "two")):
        _, found = prepare(tmp_path / "c", tmp_path / "out", **keep, **({"link": link} if link else {}))
        places = [Path(one.audio).relative_to(tmp_path / "c") for one in found]
        assert [(normalize("NFC", place.parts[0]), place.stem) for place in places] == [("José", stem), ("Zoé", stem)]
        assert [one.text for one in found] == ["José", "Zoé"]


def test_an_stm_is_of_the_recordings_that_it_names_and_channels_count_where_there_are_some(tmp_path: Path) -> None:
    import numpy as np
    import soundfile

    write_tone(tmp_path / "c" / "sph" / "mono.wav", 5)
    soundfile.write(tmp_path / "c" / "sph" / "two.wav", np.zeros((5 * 8000, 2)), 8000)
    (tmp_path / "c" / "all.stm").write_text("mono 1 ann 0 2 one\ntwo 1 bob 0 2 two\ntwo 2 eve 0 2 three\n")
    _, found = prepare(tmp_path / "c", tmp_path / "out", dev="0", test="0")
    assert [(Path(one.audio).name, one.channel, one.speaker, one.text) for one in found] == [
        ("mono.wav", None, "ann", "one"), ("two.wav", 0, "bob", "two"), ("two.wav", 1, "eve", "three"),
    ]  # fmt: skip
    assert len({one.id for one in found}) == 3


def test_an_stm_may_name_recordings_by_their_path(tmp_path: Path) -> None:
    """From its own folder; another recording of the same name is not taken."""
    corpus, keep = tmp_path / "c", {"dev": "0", "test": "0"}
    stm = corpus / "labels" / "all.stm"
    for name in ("labels/ann/one", "labels/bob/one", "wav/eve/two"):
        write_tone(corpus / f"{name}.wav", 3)
    stm.write_text("ann/one 1 ann 0 2 a\n./bob/one 1 bob 0 2 b\n../wav/eve/two 1 eve 0 2 c\n")
    _, found = prepare(corpus, tmp_path / "out", **keep)
    assert [(one.id.partition("@")[0], one.text) for one in found] == [
        ("labels/ann/one", "a"), ("labels/bob/one", "b"), ("wav/eve/two", "c"),
    ]  # fmt: skip
    for name in ("eve/two", "/eve/two", "..", "/"):
        stm.write_text(f"{name} 1 eve 0 2 c\n")
        with pytest.raises(DataError, match=rf"no recording of it in the corpus \({re.escape(name)}\); link=PATTERN"):
            prepare(corpus, tmp_path / "out", **keep)
    stm.write_text("eve/two 1 eve 0 2 c\n")
    _, found = prepare(corpus, tmp_path / "out", link="../wav/{name}", **keep)
    assert [one.id.partition("@")[0] for one in found] == ["wav/eve/two"]


def test_a_text_beside_is_read_unless_the_format_is_named_and_two_formats_are_a_question(tmp_path: Path) -> None:
    write_pair(tmp_path / "c" / "a", "the text")
    srt = tmp_path / "c" / "a.srt"
    srt.write_text("1\n00:00:00,000 --> 00:00:00,900\ntimed\n", encoding="utf-8")
    keep = {"dev": "0", "test": "0"}
    summary, found = prepare(tmp_path / "c", tmp_path / "out", **keep)
    assert [one.text for one in found] == ["the text"] and "annotation=FORMAT reads it: 1 (a.srt)" in summary
    assert [one.text for one in prepare(tmp_path / "c", tmp_path / "out", annotation="srt", **keep)[1]] == ["timed"]
    with pytest.raises(DataError, match="no annotation of the format eaf"):
        prepare(tmp_path / "c", tmp_path / "out", annotation="eaf")
    (tmp_path / "c" / "a.txt").unlink()
    srt.with_suffix(".vtt").write_text("WEBVTT\n\n00:00.000 --> 00:00.900\ntimed\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.wav: a\.srt and a\.vtt are both of it; choose one with annotation="):
        prepare(tmp_path / "c", tmp_path / "out")


def test_a_tier_that_no_file_has_is_answered_with_those_that_there_are(tmp_path: Path) -> None:
    write_tone(tmp_path / "c" / "a.wav", 5)
    write_labels(tmp_path / "c" / "a.txt", (0, 2, "one"))
    with pytest.raises(
        DataError, match=r"no file has a tier words; a\.txt has: labels \(1 annotations, e\.g\. 'one'\)"
    ):
        prepare(tmp_path / "c", tmp_path / "out", tier="words")


def test_other_participants_of_an_eaf_are_heard_although_their_tiers_are_not_chosen(tmp_path: Path) -> None:
    tiers = [
        Tier("A", [(0, 2000, "alone"), (3000, 5000, "together")], participant="Ann"),
        Tier("B", [(2200, 3500, "and me")], participant="Bob"),
    ]
    written = re.sub('LINGUISTIC_TYPE_REF="[AB]"', 'LINGUISTIC_TYPE_REF="A"', eaf_text(tiers))
    write_tone(tmp_path / "c" / "a.wav", 5)
    (tmp_path / "c" / "a.eaf").write_text(written, encoding="utf-8")
    keep = {"dev": "0", "test": "0"}
    summary, found = prepare(tmp_path / "c", tmp_path / "out", tier="participant:Ann", **keep)
    assert [(one.text, one.speaker, one.duration_s) for one in found] == [("alone", "Ann", 2.1)]
    assert "overlapping speech: 1, 0.0 min; e.g. a.eaf 0:00:03.0 'together'" in summary and "and me" not in summary
    assert len(prepare(tmp_path / "c", tmp_path / "out", overlap="keep", **keep)[1]) == 3
