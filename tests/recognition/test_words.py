"""Words of a text, and where they lie: grouped as their tokenizer has it, bounded by the sound, moved with it."""

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.cli import main
from asr.data.manifest import Utterance, write_manifest
from asr.errors import TextError
from asr.features import LogMelConfig
from asr.recognition import Recognizer
from asr.recognition.bounds import LevelTracker, PeakOffsets, SpeechLevel, speech_level, word_bounds
from asr.recognition.words import TimedWords, group_words, word_times
from asr.text.tokenizer import CharacterTokenizer, SentencePieceTokenizer, Tokenizer, UnitTokenizer, WordTokenizer
from tests.random_model import save_random_model

LETTERS = CharacterTokenizer.from_texts(["ab c"])
UNITS = UnitTokenizer([" ", "a", "ng", "ɔ\u0301"])
DIGITS = WordTokenizer(["one", "two", "three"])
HOP_S, FRAME_S = 0.01, 0.03


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ab c", [("ab", 0, 2), ("c", 3, 4)]),
        (" a  b ", [("a", 1, 2), ("b", 4, 5)]),
        ("   ", []),
        ("", []),
    ],
)
def test_characters_are_parted_at_spaces(text: str, expected: list[tuple[str, int, int]]) -> None:
    assert group_words(LETTERS.encode(text), LETTERS) == expected


def test_each_word_token_is_a_word() -> None:
    assert group_words([2, 2, 1], DIGITS) == [("two", 0, 1), ("two", 1, 2), ("one", 2, 3)]


@pytest.fixture(scope="module")
def pieces() -> Tokenizer:
    pytest.importorskip("sentencepiece")
    texts = ["the seven hens", "seventeen then", "ten sevens the hen", "a net of ten", "the seventh tense"] * 4
    return SentencePieceTokenizer.from_texts(texts, 24)


def test_pieces_are_parted_before_each_that_begins_a_word(pieces: Tokenizer) -> None:
    tokens = pieces.encode("the seventeen nets")
    grouped = group_words(tokens, pieces)
    assert [text for text, _, _ in grouped] == ["the", "seventeen", "nets"]
    for _, first, _ in grouped:
        assert pieces.tokens[tokens[first]].startswith("▁") or pieces.tokens[tokens[first - 1]] == "▁"
    assert max(stop - first for _, first, stop in grouped) > 1, "or else no piece was joined"


def test_a_lone_mark_before_a_piece_makes_one_word_of_both(pieces: Tokenizer) -> None:
    mark, letter = pieces.tokens.index("▁"), pieces.tokens.index("s")
    assert [text for text, _, _ in group_words([mark, letter, mark, letter, letter, mark], pieces)] == ["s", "ss"]


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_words_joined_by_spaces_are_the_text(pieces: Tokenizer, data: st.DataObject) -> None:
    for tokenizer in (LETTERS, UNITS, DIGITS, pieces):
        allowed = [index for index, token in enumerate(tokenizer.tokens) if index and token != "<unk>"]
        tokens = data.draw(st.lists(st.sampled_from(allowed), max_size=12))
        grouped = group_words(tokens, tokenizer)
        assert " ".join(text for text, _, _ in grouped) == " ".join(tokenizer.decode(tokens).split())
        assert all(before[2] <= after[1] for before, after in itertools.pairwise(grouped))


def speak(spans_s: list[tuple[float, float]], duration_s: float, late_s: float = 0.1) -> tuple[np.ndarray, SpeechLevel]:
    """Sound in ``spans_s``, each a word "ab", whose peaks come ``late_s`` after the sound began and before its end."""
    times_s = np.arange(int(duration_s / HOP_S) + 1) * HOP_S
    level = 0.02 * np.random.default_rng(0).random(len(times_s))
    log_probs = np.full((int(duration_s / FRAME_S) + 1, LETTERS.vocab_size), np.log(0.01), np.float32)
    log_probs[:, 0] = np.log(0.96)
    for number, (start_s, end_s) in enumerate(spans_s):
        level[(times_s >= start_s) & (times_s < end_s)] = 4.0
        peaks = [(LETTERS.encode(" ")[0], start_s + late_s - FRAME_S)] if number else []
        peaks += [(LETTERS.encode("a")[0], start_s + late_s), (LETTERS.encode("b")[0], end_s - FRAME_S)]
        for token, at_s in peaks:
            log_probs[round(at_s / FRAME_S), [0, token]] = np.log([0.01, 0.96])
    return log_probs, SpeechLevel(level.astype(np.float32), HOP_S)


def time_words(log_probs: np.ndarray, level: SpeechLevel | None, words: int, duration_s: float) -> TimedWords:
    tokens = LETTERS.encode(" ".join(["ab"] * words))
    return word_times(log_probs, tokens, LETTERS, FRAME_S, duration_s=duration_s, level=level)


def bounds_of(timed: TimedWords) -> list[float]:
    return [bound for word in timed.words for bound in (word.start_s, word.end_s)]


SPANS_S = [(0.30, 0.70), (1.00, 1.30), (1.35, 1.90)]


def test_bounds_are_where_the_sound_rises_and_falls_not_where_the_peaks_are() -> None:
    timed = time_words(*speak(SPANS_S, 2.4), words=3, duration_s=2.4)
    assert [word.text for word in timed.words] == ["ab"] * 3
    assert bounds_of(timed) == pytest.approx([bound for span in SPANS_S for bound in span], abs=HOP_S)


def test_a_word_keeps_the_closure_within_it() -> None:
    """Between the peaks of "eight" there is silence before the t: it is no gap between words."""
    log_probs, level = speak([(0.3, 0.9)], 1.5)
    level.values[50:62] = 0.01
    assert bounds_of(time_words(log_probs, level, 1, 1.5)) == pytest.approx([0.3, 0.9], abs=HOP_S)


def test_silence_put_in_front_moves_the_times_by_as_much() -> None:
    log_probs, level = speak(SPANS_S, 2.4)
    before = bounds_of(time_words(log_probs, level, 3, 2.4))
    blanks = np.tile(log_probs[:1], (50, 1))
    quiet = np.concatenate([level.values[-150:] * 0 + 0.01, level.values])
    padded = time_words(np.concatenate([blanks, log_probs]), dataclasses.replace(level, values=quiet), 3, 3.9)
    assert bounds_of(padded) == pytest.approx([bound + 1.5 for bound in before], abs=1e-6)


def test_two_recordings_joined_have_the_times_of_both() -> None:
    log_probs, level = speak(SPANS_S, 2.4)
    first = bounds_of(time_words(log_probs, level, 3, 2.4))
    space = log_probs[-1:].copy()
    space[0, [0, LETTERS.encode(" ")[0]]] = np.log([0.01, 0.96])
    both = np.concatenate([log_probs[:-1], space, log_probs])
    values = np.concatenate([level.values[:-1], level.values[:3] * 0, level.values])  # 81 frames of 30 ms are 243 of 10
    joined = bounds_of(time_words(both, dataclasses.replace(level, values=values), 6, 4.83))
    assert joined == pytest.approx([*first, *(bound + 2.43 for bound in first)], abs=HOP_S + 1e-6)


def test_the_silence_that_was_put_before_a_recording_is_not_counted() -> None:
    log_probs, level = speak(SPANS_S, 2.4)
    tokens = LETTERS.encode("ab ab ab")
    shifted = dataclasses.replace(level, start_s=-0.2)
    timed = word_times(log_probs, tokens, LETTERS, FRAME_S, duration_s=2.0, start_s=-0.2, level=shifted)
    plain = time_words(log_probs, level, 3, 2.4)
    assert bounds_of(timed) == pytest.approx([bound - 0.2 for bound in bounds_of(plain)], abs=1e-6)


def test_without_a_level_the_peaks_decide() -> None:
    timed = time_words(speak(SPANS_S, 2.4)[0], None, words=3, duration_s=2.4)
    usual = PeakOffsets()
    starts = [round((start + 0.1) / FRAME_S) * FRAME_S + usual.start_s for start, _ in SPANS_S]
    assert [word.start_s for word in timed.words] == pytest.approx(starts, abs=0.02)


@settings(max_examples=200, deadline=None)
@given(
    steps=st.lists(st.tuples(st.floats(0, 0.6), st.floats(0, 0.6)), min_size=1, max_size=8),
    duration_s=st.floats(0.001, 3.0),
    start_s=st.floats(-0.5, 0.0),
    frames=st.integers(0, 300),
    seed=st.integers(0, 99),
)
def test_whatever_comes_in_words_are_in_order_apart_and_within(
    steps: list[tuple[float, float]], duration_s: float, start_s: float, frames: int, seed: int
) -> None:
    moments = start_s + np.cumsum(np.array(steps).ravel())
    level = np.random.default_rng(seed).random(frames).astype(np.float32)
    bounds_s = word_bounds(moments[::2], moments[1::2], duration_s, SpeechLevel(level, HOP_S, start_s), PeakOffsets())
    flat = bounds_s.ravel()
    assert bounds_s.shape == (len(steps), 2)
    assert flat[0] >= 0 and flat[-1] <= duration_s + 1e-9
    assert (bounds_s[:, 1] > bounds_s[:, 0]).all() and (np.diff(flat) >= -1e-9).all()


def test_no_words_have_no_times_and_blank_frames_are_sure_of_it() -> None:
    log_probs = speak([], 0.3)[0]
    timed = word_times(log_probs, [], LETTERS, FRAME_S, duration_s=0.3)
    assert timed.words == () and timed.confidence == pytest.approx(0.96)
    with pytest.raises(TextError, match="frames"):
        word_times(log_probs, [1] * 20, LETTERS, FRAME_S, duration_s=0.3)


def test_a_recording_in_pieces_has_a_level_for_every_frame() -> None:
    log_mel = np.random.default_rng(0).normal(size=(700, 5)).astype(np.float32)
    log_mel[300:350] += 8
    tracker = LevelTracker(LogMelConfig(sample_rate=8000, edge_padding_s=0.1))
    so_far = []
    for piece in (log_mel[:400], log_mel[400:690], log_mel[690:]):
        tracker.push(piece)
        so_far.append(tracker.level(ended=False).values)
    pieces = tracker.level()
    assert [len(one) for one in so_far] == [0, 400, 690]
    assert all((one == pieces.values[: len(one)]).all() for one in so_far)  # what is there before the end stays
    assert (len(pieces.values), pieces.frame_s, pieces.start_s) == (700, 0.01, -0.1)
    assert pieces.values == pytest.approx(speech_level(log_mel, log_mel), abs=1.0)
    whole = LevelTracker(tracker.config)
    whole.push(log_mel)
    assert (whole.level().values == speech_level(log_mel, log_mel)).all()
    assert len(LevelTracker(tracker.config).level().values) == 0


def test_the_level_hears_hiss_beside_a_hum() -> None:
    """A fricative raises a few bins only; a steady hum 20 nats louder in another bin does not hide it."""
    log_mel = np.zeros((200, 40), np.float32)
    log_mel[:, 0] = 20.0
    log_mel[80:120, 30:] = 3.0
    level = speech_level(log_mel, log_mel)
    assert level[80:120] == pytest.approx(0.75) and level[:80].max() == pytest.approx(0.0)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random, sharpened weights: its texts mean nothing but are long."""
    return save_random_model(tmp_path_factory.mktemp("words") / "model", letters="abc ")


def noise(seconds: float, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    level = np.repeat(generator.uniform(0, 0.5, int(seconds * 20) + 1), 400)[: int(seconds * 8000)]
    return (level * np.cumsum(generator.standard_normal(level.size)) / 50).clip(-1, 1).astype(np.float32)


def test_a_recogniser_gives_the_words_of_its_text_unless_told_not_to(directory: Path) -> None:
    recognizer = Recognizer.from_pretrained(directory, device="cpu", speech_gate=False)
    plain = Recognizer.from_pretrained(directory, device="cpu", speech_gate=False, words=False)
    for seed in range(4):
        found = recognizer.transcribe(noise(1.5, seed), sample_rate=8000)
        assert [word.text for word in found.words] == found.text.split()
        assert all(0 <= word.start_s < word.end_s <= 1.5 for word in found.words)
        assert len(found.evidence) == len(found.words) > 0
        assert found.confidence == pytest.approx(np.mean([word.confidence for word in found.words]))
        without = plain.transcribe(noise(1.5, seed), sample_rate=8000)
        assert (without.text, without.words, without.confidence) == (found.text, (), None)


def test_evaluate_writes_words_and_confidence_into_results(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import soundfile

    # the recording is noise, from which the speech gate would rightly take every word
    monkeypatch.setattr("asr.recognition.recognizer.apply_gate", lambda log_probs, *_: log_probs)

    soundfile.write(tmp_path / "a.wav", noise(1.5, 1), 8000, subtype="FLOAT")
    write_manifest(tmp_path / "m.jsonl", [Utterance(id="a", audio=str(tmp_path / "a.wav"), duration_s=1.5, text="ab")])
    words = ["evaluate", str(directory), str(tmp_path / "m.jsonl"), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main(words) == 0
    row = json.loads((tmp_path / "out" / "results.jsonl").read_text(encoding="utf-8"))
    assert [set(word) for word in row["words"]] == [{"text", "start_s", "end_s", "confidence", "right"}] * len(
        row["words"]
    )
    assert " ".join(word["text"] for word in row["words"]) == row["hypothesis"] and 0 < row["confidence"] < 1
