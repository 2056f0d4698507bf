"""What is found in transcripts unlike the rest, in texts that repeat, and in text that does not fit its time."""

from dataclasses import replace

import pytest

from asr.data.manifest import Utterance
from asr.data.quality.recordings import timing_findings
from asr.data.quality.splits import check_splits
from asr.data.quality.texts import text_findings

ONE = Utterance(id="x", audio="/a.wav", duration_s=4.0, text="")
SENTENCES = [
    f"{a} {b} goes {c}" for a in ("the", "a", "one") for b in ("cat", "dog", "bird") for c in ("by", "up", "on")
]


def corpus(*odd: str) -> list[Utterance]:
    """27 different lower-case sentences, and the odd ones."""
    texts = [*SENTENCES, *odd]
    return [replace(ONE, id=f"u{n}", text=text) for n, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("the cat has 4 legs", "digits among spelled words"),
        ("The cat goes home", "case unlike the rest"),
        ("the cat, it goes home", "punctuation unlike the rest"),
        ("the \ufb01sh goes home", "compatibility characters"),
        ("the c\u0430t goes home", "two alphabets in a word"),  # Cyrillic а
    ],
)
def test_one_transcript_unlike_the_rest_is_named(text: str, kind: str) -> None:
    assert [(one.kind, one.where) for one in text_findings(corpus(text))] == [(kind, "u27")]


def test_what_all_transcripts_do_is_the_corpus_own_way() -> None:
    assert list(text_findings([replace(one, text=f"{one.text.upper()} 7.") for one in corpus()])) == []
    thai = [replace(one, text="ทำ" + "ก" * number) for number, one in enumerate(corpus())]
    assert list(text_findings(thai)) == []  # sara am is a compatibility character, but ordinary Thai


def test_characters_of_one_or_two_transcripts_are_rare_however_many_there_are() -> None:
    texts = ["hello"] * 1500
    for place, character in (
        (0, "ß"),
        (10, "é"),
        (1400, "é"),
        (3, "ç"),
        (4, "ç"),
        (5, "ç"),
        (6, "ø"),
        (700, "ø"),
        (1499, "ø"),
    ):
        texts[place] += character
    utterances = [Utterance(id=f"u{n}", audio="a", duration_s=1.0, text=text) for n, text in enumerate(texts)]
    (rare,) = (one for one in text_findings(utterances) if one.kind == "rare characters")
    assert rare.message == "in fewer than 3 utterances each: ß é"
    assert not [one for one in text_findings(utterances[:199]) if one.kind == "rare characters"], "too few to judge"


def test_two_apostrophes_are_reported_once() -> None:
    (finding,) = text_findings(corpus("it's gone", "it\u2019s gone too"))

    assert finding.kind == "several apostrophes" and finding.ids == ()


def test_a_sentence_twice_is_a_warning_and_its_near_copy_a_note() -> None:
    long = "she had your dark suit in greasy wash water all year"

    findings = list(text_findings(corpus(long, long, long.replace("greasy", "greasey"))))

    assert [(one.severity, one.kind, one.where) for one in findings] == [
        ("warning", "same text twice", "u28"),
        ("note", "nearly the same text twice", "u29"),
    ]


def test_texts_of_commands_repeat_by_design() -> None:
    commands = [replace(ONE, id=f"u{n}", text=("turn on the light please", "stop")[n % 2]) for n in range(40)]

    (finding,) = text_findings(commands)

    assert (finding.severity, finding.ids) == ("note", ())
    assert finding.message.startswith("2 different texts in 40 utterances")


def test_a_long_sentence_of_test_in_train_is_a_warning_with_the_ids_of_train() -> None:
    train, test = corpus("this sentence is in both"), [replace(ONE, id="t", text="This sentence is in both!")]
    test[0] = replace(test[0], audio="/b.wav")

    (finding,) = check_splits({"train": train, "test": test})

    assert (finding.severity, finding.kind, finding.ids) == ("warning", "sentences in two splits", ("u27",))


def test_splits_of_commands_share_texts_by_design() -> None:
    commands = [replace(ONE, id=f"a{n}", text="turn on the light please") for n in range(40)]

    (finding,) = check_splits(
        {"train": commands, "test": [replace(c, id=f"b{c.id}", audio="/b.wav") for c in commands]}
    )

    assert (finding.severity, finding.kind) == ("note", "sentences in two splits")


def test_a_frame_for_each_character_and_one_between_equal_ones_are_needed() -> None:
    # 0.4 s at 40 ms: frames at 0, 40, ..., 400 ms are 11; "a" * 6 needs 6 + 5
    assert list(timing_findings([replace(ONE, duration_s=0.4, text="aaaaaa")])) == []
    (finding,) = timing_findings([replace(ONE, duration_s=0.4, text="aaaaaab")])
    assert finding.kind == "too few frames for the text"


@pytest.mark.parametrize(("text", "duration_s"), [("ab" * 40, 2.0), ("a", 20.0)])
def test_impossible_speech_rates_are_found_without_any_corpus(text: str, duration_s: float) -> None:
    findings = timing_findings([replace(ONE, text=text, duration_s=duration_s)])

    assert {finding.kind for finding in findings} - {"too few frames for the text"} == {"impossible speech rate"}
