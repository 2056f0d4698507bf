"""What holds of every beam search, whatever its width: merging, blanks, batches, odd input, length."""

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.ctc import collapse
from asr.decoding import BeamConfig, greedy_decode
from asr.decoding.beam import BeamDecoder
from asr.decoding.build import Search
from asr.decoding.greedy import GreedySearch
from asr.decoding.prefixes import spell
from asr.errors import ConfigError, ModelError
from asr.text.tokenizer import CharacterTokenizer
from tests.decoding import oracles

FREE: dict[str, Any] = {"blank_skip": 1.0, "token_min_log_prob": -1000.0}
LETTERS = CharacterTokenizer("abcdef")
SPACED = CharacterTokenizer(" abcde")


@pytest.mark.parametrize("width", [1, 2, 5, 16, 100])
@pytest.mark.parametrize("kind", ["random", "peaky"])
def test_every_prefix_and_score_is_the_textbook_searchs(width: int, kind: str) -> None:
    make = oracles.peaky_emissions if kind == "peaky" else oracles.emissions
    for seed in range(3):
        log_probs = make(60, LETTERS.vocab_size, seed)
        expected = {LETTERS.decode(prefix): score for prefix, score in oracles.plain_prefix_beam(log_probs, width)}
        decoded = BeamDecoder(LETTERS, BeamConfig(beam_width=width, n_best=width, **FREE)).decode(log_probs)
        assert {one.text: one.score for one in decoded.n_best} == pytest.approx(expected, abs=1e-9)
        scores = [one.score for one in decoded.n_best]
        assert scores == sorted(scores, reverse=True)
        assert LETTERS.decode(decoded.tokens) == decoded.text


def test_weights_of_zero_are_no_language_model(tmp_path: Any) -> None:
    model = oracles.arpa(tmp_path, oracles.WORD_ARPA)
    config = BeamConfig(beam_width=8, n_best=8, lm_weight=0.0, word_score=0.0)
    for seed in range(3):
        log_probs = oracles.emissions(80, SPACED.vocab_size, seed)
        with_model = BeamDecoder(SPACED, config, model).decode(log_probs)
        without = BeamDecoder(SPACED, config).decode(log_probs)
        assert with_model.tokens == without.tokens
        assert [(one.text, one.score) for one in with_model.n_best] == [(one.text, one.score) for one in without.n_best]


def test_a_skipped_blank_still_parts_two_equal_labels() -> None:
    rows = [[0.02, 0.98, 0.0], [0.9999, 0.0001, 0.0], [0.02, 0.98, 0.0], [0.02, 0.98, 0.0]]
    log_probs = np.log(np.array(rows) + 1e-9).astype(np.float32)
    tokenizer = CharacterTokenizer("ab")
    skipped = BeamDecoder(tokenizer, BeamConfig(blank_skip=0.999)).decode(log_probs)
    whole = BeamDecoder(tokenizer, BeamConfig(**FREE)).decode(log_probs)
    assert skipped.text == whole.text == "aa"
    assert skipped.score == pytest.approx(whole.score, abs=1e-3)


def test_the_default_bounds_find_what_the_search_without_bounds_finds() -> None:
    for seed in range(5):
        log_probs = oracles.peaky_emissions(300, SPACED.vocab_size, seed)
        bounded, free = (BeamDecoder(SPACED, one).decode(log_probs) for one in (BeamConfig(), BeamConfig(**FREE)))
        assert bounded.text == free.text
        assert bounded.score == pytest.approx(free.score, abs=0.05)


def test_a_batch_is_its_utterances_one_by_one_whatever_the_padding() -> None:
    decoder = BeamDecoder(SPACED, BeamConfig(beam_width=8, n_best=3))
    log_probs = torch.from_numpy(np.stack([oracles.emissions(50, SPACED.vocab_size, seed) for seed in range(4)]))
    lengths = torch.tensor([50, 7, 0, 31])
    together = decoder(log_probs, lengths, SPACED)
    padded = torch.cat([log_probs, torch.full((4, 9, SPACED.vocab_size), math.nan)], dim=1)
    alone = [decoder(padded[index : index + 1], lengths[index : index + 1], SPACED)[0] for index in range(4)]
    assert together == alone


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=0, max_size=40), st.sampled_from([1, 4]), st.booleans())
def test_a_certain_path_spells_its_collapse(path: list[int], width: int, exact_zeros: bool) -> None:
    log_probs = np.full((len(path), LETTERS.vocab_size), -np.inf if exact_zeros else -12.0, dtype=np.float32)
    log_probs[np.arange(len(path)), path] = 0.0
    decoded = BeamDecoder(LETTERS, BeamConfig(beam_width=width)).decode(log_probs)
    assert decoded.tokens == tuple(collapse(path))
    assert decoded.text == LETTERS.decode(collapse(path))
    (greedy,) = greedy_decode(torch.from_numpy(log_probs)[None], torch.tensor([len(path)]), LETTERS)
    assert (greedy.text, greedy.tokens) == (decoded.text, decoded.tokens)
    if exact_zeros:
        assert decoded.score == 0.0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(2, 12), st.integers(1, 20))
def test_every_score_is_at_most_the_true_one_and_no_labelling_comes_twice(
    seed: int, frames: int, vocab: int, width: int
) -> None:
    tokenizer = CharacterTokenizer("abcdefghijk"[: vocab - 1])
    log_probs = oracles.emissions(frames, vocab, seed, scale=2.0)
    decoded = BeamDecoder(tokenizer, BeamConfig(beam_width=width, n_best=width, **FREE)).decode(log_probs)
    assert len({one.text for one in decoded.n_best}) == len(decoded.n_best)
    for one in decoded.n_best:
        target = tokenizer.encode(one.text)
        loss = torch.nn.functional.ctc_loss(
            torch.from_numpy(log_probs)[:, None].double(),
            torch.tensor([target]),
            torch.tensor([frames]),
            torch.tensor([len(target)]),
            reduction="sum",
        )
        assert one.score <= -float(loss) + 1e-4


def test_small_input() -> None:
    decoder = BeamDecoder(CharacterTokenizer("a"), BeamConfig(n_best=5, **FREE))
    nothing = decoder.decode(np.zeros((0, 2), dtype=np.float32))
    assert (nothing.text, nothing.score, nothing.tokens, len(nothing.n_best)) == ("", 0.0, (), 1)
    one = decoder.decode(np.log(np.array([[0.25, 0.75]], dtype=np.float32)))
    found: list[tuple[str, Any]] = [(best.text, best.score) for best in one.n_best]
    assert found == [
        ("a", pytest.approx(math.log(0.75))),
        ("", pytest.approx(math.log(0.25))),
    ]
    blanks = decoder.decode(np.log(np.full((50, 2), [0.9999, 0.0001], dtype=np.float32)))
    assert blanks.text == ""


def test_letters_of_all_the_world() -> None:
    tokenizer = CharacterTokenizer(" éß中\U0001f600日")
    text = "é中 ß\U0001f600日"
    path = [label for token in tokenizer.encode(text) for label in (token, 0)]
    log_probs = np.full((len(path), tokenizer.vocab_size), -9.0, dtype=np.float32)
    log_probs[np.arange(len(path)), path] = -0.01
    decoder = BeamDecoder(tokenizer, BeamConfig(), hotwords={"ß\U0001f600日": 2.0})
    assert decoder.decode(log_probs).text == text


@pytest.mark.parametrize(
    ("value", "message"),
    [(math.nan, "frame 3 is not a number"), (math.inf, "frame 3 is above 0"), (2.5, "not logits")],
)
def test_what_is_not_a_log_probability_is_refused_with_its_frame(value: float, message: str) -> None:
    log_probs = oracles.emissions(6, LETTERS.vocab_size, 1)
    log_probs[3, 2] = value
    with pytest.raises(ModelError, match=message):
        BeamDecoder(LETTERS, BeamConfig()).decode(log_probs)


def test_a_frame_in_which_nothing_can_be_and_a_wrong_shape_are_refused() -> None:
    decoder = BeamDecoder(LETTERS, BeamConfig())
    log_probs = oracles.emissions(6, LETTERS.vocab_size, 1)
    log_probs[5] = -np.inf
    with pytest.raises(ModelError, match="frame 5 is -inf for every token"):
        decoder.decode(log_probs)
    with pytest.raises(ModelError, match=r"must be \(frames, 7\) for this vocabulary, not \(6, 6\)"):
        decoder.decode(log_probs[:, :6])
    with pytest.raises(ConfigError, match="another model's tokens"):
        decoder(torch.from_numpy(log_probs)[None], torch.tensor([6]), SPACED)


@pytest.mark.parametrize("kind", ["random", "peaky"])
def test_an_hour_is_its_parts_sweeping_the_tree_changes_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make = oracles.peaky_emissions if kind == "peaky" else oracles.emissions
    log_probs = make(3000, SPACED.vocab_size, 5)
    decoder = BeamDecoder(SPACED, BeamConfig(beam_width=16, n_best=16, **FREE))
    monkeypatch.setattr("asr.decoding.beam.SMALLEST_TREE", 1 << 20)
    roomy = decoder.decode(log_probs)
    monkeypatch.setattr("asr.decoding.beam.SMALLEST_TREE", 32)
    assert decoder.decode(log_probs) == roomy


def test_an_hour_in_one_piece_takes_little_more_memory_than_its_text() -> None:
    hour = np.tile(oracles.peaky_emissions(9000, 29, 3), (10, 1))
    decoder = BeamDecoder(CharacterTokenizer(" 'abcdefghijklmnopqrstuvwxyz"), BeamConfig(beam_width=16, **FREE))
    decoder.decode(hour[:50])
    tracemalloc.start()
    decoded = decoder.decode(hour)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(decoded.tokens) > 15_000
    assert peak < 40e6


def test_open_questions_of_long_ago_do_not_fill_the_beam() -> None:
    # Each question: "a" or "b", nearly even. 12 in the first seconds, then 2500 frames of sure text.
    generator = np.random.default_rng(1)
    sure = oracles.peaky_emissions(2500, SPACED.vocab_size, 2)
    sure = np.where(sure == sure.max(axis=1, keepdims=True), 0.0, -25.0).astype(np.float32)
    question = np.full((2, SPACED.vocab_size), -25.0, dtype=np.float32)
    question[1, 0] = 0.0
    asked = []
    for _ in range(12):
        one = question.copy()
        one[0, 2], one[0, 3] = np.log(0.52 - 0.01 * generator.random()), np.log(0.47)
        asked.append(one)
    log_probs = np.concatenate([*asked, sure])
    decoder = BeamDecoder(SPACED, BeamConfig(beam_width=8, n_best=8, **FREE))
    tree, beam = decoder._search(log_probs)
    assert decoder.decode(log_probs).text.startswith("aaaaaaaaaaaa")
    firsts = {decoder.tokenizer.decode(spell(tree.nodes, int(prefix["node"]))[:12]) for prefix in beam}
    assert firsts == {"aaaaaaaaaaaa"}


def in_parts(search: Search, log_probs: np.ndarray, seed: int, settle: bool) -> list[tuple[int, ...]]:
    """Feeds ``search``; what it had settled after each part."""
    generator, start, settled = np.random.default_rng(seed), 0, []
    while start < len(log_probs):
        stop = start + int(generator.integers(0, 300))
        search.advance(log_probs[start:stop])
        if settle:
            count = search.settled()
            settled.append(search.tokens()[:count])
        start = stop
    return settled


@pytest.mark.parametrize("searched", ["beam", "greedy"])
def test_parts_give_what_the_whole_gives(searched: str) -> None:
    decoder = BeamDecoder(LETTERS, BeamConfig(beam_width=8, n_best=8))
    for seed in range(4):
        log_probs = oracles.peaky_emissions(900, LETTERS.vocab_size, seed)
        search: Search = decoder.begin() if searched == "beam" else GreedySearch(LETTERS)
        in_parts(search, log_probs, seed, settle=searched == "greedy")
        rows, lengths = torch.from_numpy(log_probs)[None], torch.tensor([len(log_probs)])
        whole = decoder.decode(log_probs) if searched == "beam" else greedy_decode(rows, lengths, LETTERS)[0]
        found = search.finish()
        assert (found.text, found.tokens, found.n_best) == (whole.text, whole.tokens, whole.n_best)
        assert found.score == pytest.approx(whole.score, rel=1e-6)


@pytest.mark.parametrize("searched", ["beam", "greedy"])
def test_what_is_settled_stays_and_is_nearly_all(searched: str) -> None:
    for seed in range(4):
        log_probs = oracles.peaky_emissions(900, LETTERS.vocab_size, seed)
        decoder = BeamDecoder(LETTERS, BeamConfig(beam_width=8, n_best=8))
        search: Search = decoder.begin() if searched == "beam" else GreedySearch(LETTERS)
        settled = in_parts(search, log_probs, seed, settle=True)
        tokens = search.finish().tokens
        assert all(tokens[: len(one)] == one for one in settled)
        assert sum(map(len, settled[:-1])) > 0 and len(settled[-1]) > 0.9 * len(tokens)
