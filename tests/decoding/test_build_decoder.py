"""From settings to a decoder: files read in one place, misfits refused with their remedy, no numba for greedy."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asr.config.compose import run_composed
from asr.config.typed import typed_config
from asr.decoding import BeamConfig, DecodingConfig, greedy_decode
from asr.decoding.beam import BeamDecoder
from asr.decoding.build import build_decoder, read_lexicon
from asr.errors import ConfigError, ModelError
from asr.lm.text import TextOptions, read_sentences
from asr.text.tokenizer import CharacterTokenizer, UnitTokenizer, WordTokenizer
from tests.decoding import oracles
from tests.tiny_run import write_recipe

LETTERS = CharacterTokenizer(" ab")


def write(path: Path, text: str) -> str:
    path.write_text(text.lstrip(), encoding="utf-8")
    return str(path)


def test_greedy_is_the_default_and_never_loads_numba() -> None:
    code = (
        "import sys, torch; from asr.decoding import DecodingConfig; from asr.decoding.build import build_decoder;"
        "from asr.text.tokenizer import CharacterTokenizer; t = CharacterTokenizer('ab');"
        "d = build_decoder(DecodingConfig(), t);"
        "print(d(torch.zeros(1, 3, 3), torch.tensor([3]), t)); assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert build_decoder(DecodingConfig(), LETTERS) is greedy_decode


def test_the_words_of_conf_compose_into_a_beam_search(tmp_path: Path) -> None:
    words = ["run_dir=x", "decoding=beam", "decoding.lm_weight=0.8", "decoding.hotwords={a b: 3, ab: 1.5}"]
    words.append(f"decoding.language_model={write(tmp_path / 'words.arpa', oracles.WORD_ARPA)}")
    words.append(f"decoding.lexicon={write(tmp_path / 'lexicon.txt', 'a  AH' + chr(10) + 'ab  AH B' + chr(10))}")
    config = run_composed(write_recipe(tmp_path / "r"), words, lambda composed: typed_config(composed))[0].decoding
    assert (config.name, config.lm_weight, config.hotwords) == ("beam", 0.8, {"a b": 3, "ab": 1.5})
    decoder = build_decoder(config, LETTERS)
    log_probs = oracles.emissions(30, LETTERS.vocab_size, 1)
    assert isinstance(decoder, BeamDecoder)
    model = oracles.arpa(tmp_path, oracles.WORD_ARPA)
    beam = BeamConfig(lm_weight=0.8)
    by_hand = BeamDecoder(LETTERS, beam, model, ["a", "ab"], {"a b": 3, "ab": 1.5})
    assert decoder.decode(log_probs) == by_hand.decode(log_probs)
    assert set(decoder.decode(log_probs).text.split()) <= {"a", "ab", "b"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "beam", "beam_width": 0}, "decoding.beam_width=0 must be 1 to"),
        ({"blank_skip": 0.1}, "decoding.blank_skip=0.1 must be 0.5 to 1"),
        ({"token_min_log_prob": 1.0}, "decoding.token_min_log_prob=1.0 must be less than 0"),
        ({"lm_weight": -1.0}, "decoding.lm_weight=-1.0 must be 0 or more"),
        ({"word_score": float("nan")}, "decoding.word_score=nan must be finite"),
        ({"n_best": 0}, "decoding.n_best=0 must be at least 1"),
        ({"name": "beem"}, "did you mean 'beam'?"),
        ({"hotwords": {"ann": "loud"}}, "the boost of 'ann' must be a finite number, not 'loud'"),
        ({"hotwords": {" ": 1.0}}, "' ' must be a word or a phrase"),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        DecodingConfig(**values)
    assert message in str(caught.value)


def test_what_greedy_would_ignore_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"decoding\.language_model is for the beam search"):
        build_decoder(DecodingConfig(language_model="x.arpa"), LETTERS)


def test_a_language_model_in_upper_case_is_refused_with_the_remedy(tmp_path: Path) -> None:
    upper = write(tmp_path / "upper.arpa", "".join(upper_entries(line) for line in oracles.WORD_ARPA.splitlines()))
    with pytest.raises(ConfigError, match="because the model writes lower case; put the text into lower case"):
        build_decoder(DecodingConfig(name="beam", language_model=upper), LETTERS)
    build_decoder(DecodingConfig(name="beam", language_model=upper), CharacterTokenizer(" AB"))


def upper_entries(line: str) -> str:
    return (line.replace("a", "A").replace("b", "B") if "\t" in line else line) + "\n"


def test_a_language_model_of_other_letters_or_words_is_refused(tmp_path: Path) -> None:
    words = write(tmp_path / "words.arpa", oracles.WORD_ARPA)
    letters = write(tmp_path / "letters.arpa", oracles.CHARACTER_ARPA)
    with pytest.raises(ConfigError, match="spell almost none of its 4 words; the text must be normalised like"):
        build_decoder(DecodingConfig(name="beam", language_model=words), CharacterTokenizer(" xyz"))
    with pytest.raises(ConfigError, match="spell almost none of its 4 words"):
        build_decoder(DecodingConfig(name="beam", language_model=words), WordTokenizer(["one", "two"]))
    with pytest.raises(ConfigError, match="it has none of the model's characters 'xyz'"):
        build_decoder(DecodingConfig(name="beam", language_model=letters), CharacterTokenizer(" xyz"))
    with pytest.raises(ModelError, match="no such language model"):
        build_decoder(DecodingConfig(name="beam", language_model=str(tmp_path / "absent.arpa")), LETTERS)


def test_a_lexicon_or_hotword_that_cannot_be_spelled_is_refused(tmp_path: Path) -> None:
    other = write(tmp_path / "other.txt", "xx\nyy\n")
    for path, message in (
        (other, "the model's tokens spell none of its 2 words"),
        (write(tmp_path / "empty.txt", "\n"), "holds no words"),
        (str(tmp_path / "absent.txt"), r"absent\.txt cannot be read \(No such file"),
    ):
        with pytest.raises(ConfigError, match=message):
            build_decoder(DecodingConfig(name="beam", lexicon=path), LETTERS)
    with pytest.raises(ConfigError, match="hotwords: 'a zoo' cannot be spelled: the model has no 'oz'"):
        build_decoder(DecodingConfig(name="beam", hotwords={"a zoo": 2.0}), LETTERS)
    accented = UnitTokenizer([" ", "a", "ɔ\u0301"], graphemes=True)  # the letter never stands without its mark
    build_decoder(DecodingConfig(name="beam", hotwords={"aɔ\u0301": 2.0}), accented)
    with pytest.raises(ConfigError, match="hotwords: 'aɔ' cannot be spelled: no tokens of the model spell it"):
        build_decoder(DecodingConfig(name="beam", hotwords={"aɔ": 2.0}), accented)


def test_a_hotword_that_the_language_model_does_not_know_wins(tmp_path: Path) -> None:
    model = oracles.arpa(tmp_path, oracles.WORD_ARPA)
    path = LETTERS.encode("a bab")  # "bab" is heard only a little worse than "ba", which the model knows
    log_probs = np.full((2 * len(path), LETTERS.vocab_size), -6.0, dtype=np.float32)
    log_probs[1::2, 0] = -0.1
    log_probs[np.arange(0, 2 * len(path), 2), path] = -0.1
    log_probs[-2, [0, path[-1]]] = -0.5, -1.0
    without = BeamDecoder(LETTERS, BeamConfig(), model).decode(log_probs).text
    withit = BeamDecoder(LETTERS, BeamConfig(), model, hotwords={"bab": 6.0}).decode(log_probs).text
    in_lexicon = BeamDecoder(LETTERS, BeamConfig(), model, ["a", "ba"], {"bab": 6.0}).decode(log_probs).text
    assert (without, withit, in_lexicon) == ("a ba", "a bab", "a bab")


def test_a_closed_lexicon_gives_whole_words_even_when_cut_in_mid_word() -> None:
    path = LETTERS.encode("ab abb")
    log_probs = np.full((len(path) * 2, LETTERS.vocab_size), -30.0, dtype=np.float32)
    log_probs[np.arange(0, 2 * len(path), 2), path] = 0.0
    log_probs[1::2, 0] = 0.0
    decoder = BeamDecoder(LETTERS, BeamConfig(beam_width=1), lexicon=["ab", "abba"])
    decoded = decoder.decode(log_probs)
    assert decoded.text == "ab"
    assert LETTERS.decode(decoded.tokens).strip() == "ab"


def test_words_of_a_lexicon_are_found_however_their_accents_are_written(tmp_path: Path) -> None:
    (tmp_path / "lexicon.txt").write_text("cafe\N{COMBINING ACUTE ACCENT} k a f e\nface\n", encoding="utf-8")
    assert read_lexicon(tmp_path / "lexicon.txt") == ["caf\N{LATIN SMALL LETTER E WITH ACUTE}", "face"]


def test_a_byte_order_mark_costs_no_word(tmp_path: Path) -> None:
    (tmp_path / "lexicon.txt").write_text("eins\nzwei\n", encoding="utf-8-sig")
    assert read_lexicon(tmp_path / "lexicon.txt") == ["eins", "zwei"]
    (tmp_path / "text.txt").write_text("eins zwei\n", encoding="utf-8-sig")
    (tmp_path / "text.jsonl").write_text('{"text": "eins zwei"}\n', encoding="utf-8-sig")
    for name in ("text.txt", "text.jsonl"):
        assert list(read_sentences(tmp_path / name, TextOptions(normalizer="none"))) == [["eins", "zwei"]]
