"""A text and its recording: words get the times that recognition gives them, and what does not fit is reported."""

from pathlib import Path

import numpy as np
import pytest

import asr
from asr.errors import TextError, UsageError
from asr.pretrained import save_pretrained
from asr.recognition import Hypothesis, Recognizer
from asr.recognition.alignment import AlignedText, align_emissions, spelled_words
from asr.recognition.windows import Emissions
from asr.text.normalize import get_normalizer, normalize_none
from asr.text.tokenizer import CharacterTokenizer, WordTokenizer
from tests.random_model import RATE, random_model
from tests.recognition.test_recognizer import make_waveform


def save_model(folder: Path) -> Path:
    """One of random weights, whose texts have many spaces: a letter that it often writes is one."""
    made = random_model()
    save_pretrained(folder, made.features, made.model, CharacterTokenizer(list("fabcde gh")), {})
    return folder


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    directory = save_model(tmp_path_factory.mktemp("aligned") / "model")
    return Recognizer.from_pretrained(directory, device="cpu", speech_gate=False)


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    return make_waveform(20.0, 0)


@pytest.fixture(scope="module")
def recognised(recognizer: Recognizer, sound: np.ndarray) -> Hypothesis:
    return recognizer.transcribe(sound, RATE)


def times(words: object) -> list[tuple[str, float, float]]:
    return [(word.text, word.start_s, word.end_s) for word in words]  # type: ignore[attr-defined]


def test_the_text_that_a_model_recognises_has_the_times_of_recognition(
    recognizer: Recognizer, sound: np.ndarray, recognised: Hypothesis
) -> None:
    aligned = asr.align(sound, recognised.text, recognizer, sample_rate=RATE)
    assert len(recognised.words) > 10 and times(aligned.found) == times(recognised.words)
    assert not aligned.passages and np.median([word.confidence or 0.0 for word in aligned.words]) > 0.99
    assert aligned.hypothesis.text == recognised.text


LETTERS = CharacterTokenizer(list(" abcdeho"))


def spell(text: str, gap: int = 6) -> Emissions:
    """Three frames of 40 ms a letter, ``gap`` between words, a space among them, from a model that is quite sure."""
    path = [0] * gap
    for word in text.split():
        path += [frame for token in LETTERS.encode(word) for frame in (token, token, 0)] + [
            0,
            *LETTERS.encode(" "),
            *[0] * (gap - 2),
        ]
    log_probs = np.full((len(path), LETTERS.vocab_size), np.log(0.01), np.float32)
    log_probs[np.arange(len(path)), path] = np.log(0.9)
    return Emissions(log_probs, 0.04, 0.0, len(path) * 0.04)


def align(heard: str, text: str) -> AlignedText:
    return align_emissions(spell(heard), spelled_words(text, LETTERS, get_normalizer("letters")), LETTERS)


def test_what_the_text_has_more_and_what_the_sound_has_more_is_reported_by_time_and_line() -> None:
    first, extra, last = "bad cod head dodo ace", "hoho bead dace hobo cocoa abode", "echo dead cab hoe bode"
    aligned = align(f"{first} {extra} {last}", f"{first}\n\n{last}\nabba deed coho ebb cede abed")
    assert [(line.line, line.missing) for line in aligned.lines] == [(1, 0), (3, 0), (4, 6)]
    ace, echo, bode = aligned.words[4], aligned.words[5], aligned.words[9]
    assert ace.confidence == echo.confidence == pytest.approx(1.0) and aligned.lines[2].confidence is None
    unheard, missing = aligned.passages
    assert (unheard.kind, unheard.first_line, unheard.last_line, unheard.words) == ("extra", 1, 3, 6)
    assert unheard.text.replace(" ", "") == extra.replace(" ", "")
    assert (ace.end_s or 99) <= unheard.start_s < unheard.end_s <= (echo.start_s or 0)
    assert unheard.end_s - unheard.start_s == pytest.approx(0.04 * (26 * 3 + 5 * 6), abs=0.5)
    assert (missing.kind, missing.first_line, missing.last_line, missing.words) == ("missing", 4, 4, 6)
    assert (missing.start_s, missing.end_s) == (bode.end_s, aligned.duration_s)
    assert [word.text for word in aligned.hypothesis.words] == f"{first} {last}".split()


def test_what_no_token_spells_has_the_time_between_its_neighbours() -> None:
    aligned = align("a bad cod hoho dodo hoho head", "A bad cod, — 45 46 HEAD!")
    assert [word.text for word in aligned.words] == ["A", "bad", "cod, —", "45", "46", "HEAD!"]
    bad, cod, first, second, head = aligned.words[1:]
    assert aligned.unspelled == ("45", "46") and not aligned.passages, "what is heard there is these numbers"
    assert (cod.end_s or 9) <= (first.start_s or 0) < (second.start_s or 0) < (head.start_s or 0)
    assert (second.end_s or 0) - (first.start_s or 0) > 0.5 and first.confidence == 0.0
    assert bad.confidence == pytest.approx(1.0)


def test_words_without_accents_and_in_the_other_case_are_spelled() -> None:
    def spelled(text: str) -> list[str]:
        return [LETTERS.decode(word.tokens) for word in spelled_words(text, LETTERS, normalize_none)]

    assert spelled("Bébé BAD\n\n(a) ad-hoc — x1") == ["bebe", "bad", "a", "adhoc", ""]
    words = spelled_words("one\n- two", WordTokenizer(["one"]), normalize_none)
    assert [(word.text, word.line, word.tokens) for word in words] == [("one", 1, (1,)), ("- two", 2, ())]


def test_a_text_that_holds_nothing_to_align_is_refused(recognizer: Recognizer, sound: np.ndarray) -> None:
    with pytest.raises(TextError, match="it holds no words"):
        asr.align(sound, " \n", recognizer, sample_rate=RATE)
    with pytest.raises(TextError, match="spell none of its 2 words"):
        asr.align(sound, "Привет 12", recognizer, sample_rate=RATE)
    with pytest.raises(UsageError, match="the text itself"):
        asr.align(sound, Path("talk.txt"), recognizer)  # type: ignore[arg-type]
