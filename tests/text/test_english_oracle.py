"""Whisper's EnglishTextNormalizer and num2words as oracles for the English normaliser, on real transcripts.

The deliberate differences from Whisper's: a noun's 's stays (there: "peter's" is "peter is"); "first", "second" and
"third" remain words, money is "5 dollars" (there: 1st, $5); numbers above 9 stay separate (there: fifteen twenty is
1520, and "six o'clock" is "60 clock"); "oh" stays; "cannot" is "can not", as "can't" is; "he's been" is "he has been"
for more verbs; only spelling is made American, so "learnt", "towards" and "amongst" stay what was said; "cause" stays;
text in parentheses stays.
"""

import re
from pathlib import Path
from typing import Any

import pytest

from asr.text.english import normalize_english
from asr.text.english.spelling import american

# What either side writes otherwise on purpose, made the same for the comparison.
_DELIBERATE = (
    (r"\b1st\b", "first"),
    (r"\b2nd\b", "second"),
    (r"\b3rd\b", "third"),
    (r"\bcannot\b", "can not"),
    (r"\bain't\b", "aint"),
    (r"\bbecause\b", "cause"),
    (r"\b(oh|o)\b", "0"),
    (r"\b(\d+) 0'?clock\b|\b(\d+)0 clock\b", "0clock"),
)


@pytest.fixture(scope="module")
def whisper() -> Any:
    english = pytest.importorskip("whisper_normalizer.english", reason="oracle: pip install whisper-normalizer")
    return english.EnglishTextNormalizer()


@pytest.fixture(scope="module")
def transcripts(corpora: Path) -> list[str]:
    files = sorted((corpora / "LibriSpeech").rglob("*.trans.txt"))
    if not files:
        pytest.skip("no LibriSpeech transcripts among the corpora")
    return [line.split(None, 1)[1] for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def test_real_transcripts_come_out_as_whispers_but_for_the_deliberate_differences(
    whisper: Any, transcripts: list[str]
) -> None:
    different = [
        (ours, theirs)
        for text in transcripts[::8]
        if "'" not in text  # without possessives, which Whisper's makes "is"
        for ours, theirs in [(_levelled(normalize_english(text)), _levelled(whisper(text)))]
        if ours != theirs
    ]
    assert len(different) <= 0.03 * len(transcripts[::8]), different[:20]


def test_nine_in_ten_of_whispers_british_spellings_are_known(whisper: Any) -> None:
    known = whisper.standardize_spellings.mapping
    assert sum(american(british) == american(us) for british, us in known.items()) >= 0.89 * len(known)


def test_cardinals_and_ordinals_are_read_as_num2words_writes_them() -> None:
    num2words = pytest.importorskip("num2words", reason="oracle: pip install num2words").num2words
    values = [0, *range(2, 130), *range(130, 3_000, 37), *(10**power + 7 * power for power in range(3, 13))]
    for value in values:
        assert normalize_english(num2words(value)) == str(value)
        assert normalize_english(num2words(value, to="ordinal")) == normalize_english(
            num2words(value, to="ordinal_num")
        )
    for year in (*range(1700, 2030, 7), 1905, 1900, 2009):
        assert normalize_english(num2words(year, to="year")) == str(year)


def _levelled(text: str) -> str:
    for pattern, replacement in _DELIBERATE:
        text = re.sub(pattern, replacement, text)
    return " ".join(text.split())
