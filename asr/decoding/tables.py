"""The tables of a search, from a tokenizer's spelling, a language model, a lexicon and hotwords.

In: plain Python values. Out: ``Tables`` as the compiled search reads them. A hotword is known wherever it is given: it
joins the lexicon, and the language model's <unk> is used for it without ``unk_score``.

``spelling_of`` is the one place where the beam search distinguishes kinds of tokenizers: per token the characters that
it adds, and whether it ends the word before it (the space; "▁he"; every token of a words tokenizer) or its own (a words
tokenizer). Words are walked by characters, not by tokens, so that every segmentation of a word into pieces finds it.
"""

import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asr.decoding.automata import HotwordAutomaton, WordTrie, build_hotwords, build_trie
from asr.decoding.config import BeamConfig
from asr.decoding.phone_lexicon import PhoneLexicon, phone_tables
from asr.decoding.records import (
    CHARACTER_MODEL,
    HOT_STATE,
    IMPOSSIBLE,
    LETTER,
    NO_MODEL,
    SETTINGS,
    TOKEN,
    TRIE_NODE,
    WORD_MODEL,
    Records,
    Tables,
)
from asr.lm.model import BOS, EOS, SPACE, UNK, NgramModel
from asr.text.tokenizer import BLANK_ID, Tokenizer

MEMORY = 200  # tokens; some 15 s of speech in characters
DECIDE_EVERY = 256  # frames
PIECE_START = "\u2581"  # sentencepiece writes it for the space before a word


@dataclass(frozen=True, slots=True)
class Spelling:
    """Per token v the characters ``characters[start[v] : start[v + 1]]``, numbers into ``alphabet`` (sorted).

    Shapes: start int32 (vocab + 1,), characters int32 (all,), ends_before and ends_after bool (vocab,).
    """

    alphabet: tuple[str, ...]
    start: npt.NDArray[np.int32]
    characters: npt.NDArray[np.int32]
    ends_before: npt.NDArray[np.bool_]
    ends_after: npt.NDArray[np.bool_]

    def words(self) -> list[str]:
        """What each token spells."""
        letters = [self.alphabet[number] for number in self.characters.tolist()]
        return ["".join(letters[one:end]) for one, end in zip(self.start[:-1], self.start[1:], strict=True)]

    def can_spell(self, words: Iterable[str]) -> Iterator[bool]:
        """Of each word, whether tokens spell it."""
        known, tokens, words = set(self.alphabet), {token for token in self.words() if token}, list(words)
        if tokens >= known:  # each character is a token
            if known.issuperset("".join(words)):  # quickly seen
                return iter([True] * len(words))
            return (known.issuperset(word) for word in words)
        return (known.issuperset(word) and _is_spelled(word, tokens) for word in words)


def _is_spelled(word: str, tokens: Collection[str]) -> bool:
    """Whether the word is a row of tokens."""
    ends = {0}
    for stop in range(1, len(word) + 1):
        if any(word[start:stop] in tokens for start in ends):
            ends.add(stop)
    return len(word) in ends


def spelling_of(tokenizer: Tokenizer) -> Spelling:
    """The spelling of ``tokenizer``'s tokens; the blank spells nothing."""
    name = tokenizer.to_dict()["name"]
    texts = ["" if index == BLANK_ID else token for index, token in enumerate(tokenizer.tokens)]
    if name == "sentencepiece":
        ends_before = [text.startswith(PIECE_START) for text in texts]
        texts = [text.removeprefix(PIECE_START) for text in texts]
    elif name == "words":
        ends_before = [text != "" for text in texts]
    else:
        ends_before = [text.isspace() for text in texts]
        texts = ["" if text.isspace() else text for text in texts]
    ends_after = [name == "words" and text != "" for text in texts]
    alphabet = tuple(sorted({character for text in texts for character in text}))
    number = {character: index for index, character in enumerate(alphabet)}
    return Spelling(
        alphabet=alphabet,
        start=np.cumsum([0, *map(len, texts)], dtype=np.int32),
        characters=np.array([number[character] for text in texts for character in text], dtype=np.int32),
        ends_before=np.array(ends_before, dtype=np.bool_),
        ends_after=np.array(ends_after, dtype=np.bool_),
    )


NO_NGRAMS = NgramModel(
    order=1,
    unit="word",
    words=(UNK, BOS, EOS),
    unk=0,
    bos=1,
    eos=2,
    arc_start=np.array([0, 3], dtype=np.int64),
    arc_word=np.arange(3, dtype=np.int32),
    arc_log_prob=np.zeros(3, dtype=np.float32),
    arc_next=np.zeros(3, dtype=np.int32),
    backoff_log_weight=np.zeros(1, dtype=np.float32),
    backoff_state=np.zeros(1, dtype=np.int32),
    start_state=0,
)


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of the trie: per word, its number in the model (``ids``) and what is added to its log-probability."""

    trie: WordTrie
    ids: npt.NDArray[np.int32]
    extra: npt.NDArray[np.float32]


def build_tables(
    spelling: Spelling,
    config: BeamConfig,
    model: NgramModel | None,
    lexicon: Sequence[str] | None,
    hotwords: Mapping[str, float],
    phone_lexicon: PhoneLexicon | None = None,
) -> Tables:
    """All tables, of the dtypes that the search is compiled for.

    ``phone_lexicon``: the log-probabilities are of phones, and these are the pronunciations of the words of ``lexicon``
    (if None, of all that have one). ``model`` is one of words then, or None.
    """
    ngrams = model or NO_NGRAMS
    kind = NO_MODEL if model is None else WORD_MODEL if model.unit == "word" else CHARACTER_MODEL
    hot_words = [word for phrase in hotwords for word in phrase.split()]
    hot = build_hotwords(hotwords, spelling.alphabet)
    if phone_lexicon is None:
        letters, tokens = spelling.characters, _tokens(spelling)
        settings = _settings(config, ngrams, kind, lexicon is not None, hot, tokens, len(spelling.alphabet))
        words = _words(spelling, config, ngrams, kind, lexicon, hot_words)
        trie = _trie(words, _unigram(ngrams), None if lexicon is not None else float(settings["outside_ahead"][0]))
    else:
        chosen = list(phone_lexicon.pronunciations) if lexicon is None else [*lexicon, *hot_words]
        spelled = set(itertools.compress(chosen, spelling.can_spell(chosen)))

        def scores_of(words: Sequence[str]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
            ids = np.array([ngrams.word_id(word) for word in words], dtype=np.int32)
            extra = np.where(ids == ngrams.unk, config.unk_score, 0.0).astype(np.float32)
            extra[[word in hot_words for word in words]] = 0.0
            return ids, extra

        letters, tokens, trie = phone_tables(phone_lexicon, spelled, spelling.alphabet, scores_of, _unigram(ngrams))
        settings = _settings(config, ngrams, kind, True, hot, tokens, len(spelling.alphabet))
        settings["by_phones"] = True
        if config.n_best == 1:  # at equal width WER falls by 5 % of itself, and nobody asks for alternatives
            settings["memory"], settings["decide_every"] = 1, 4
    hot_states = np.zeros(len(hot.credit), dtype=HOT_STATE)
    hot_states["credit"], hot_states["gain"] = hot.credit, hot.gain
    return Tables(
        settings=settings,
        tokens=tokens,
        spelling=letters.astype(np.int64),
        letters=_letters(spelling, config, ngrams, hot),
        trie=trie,
        hot_next=hot.next_state,
        hot_states=hot_states,
        arc_start=ngrams.arc_start,
        arc_word=ngrams.arc_word,
        arc_log_prob=ngrams.arc_log_prob,
        arc_next=ngrams.arc_next,
        backoff_log_weight=ngrams.backoff_log_weight,
        backoff_state=ngrams.backoff_state,
    )


def _tokens(spelling: Spelling) -> Records:
    tokens = np.zeros(len(spelling.ends_before), dtype=TOKEN)
    tokens["start"], tokens["end"] = spelling.start[:-1], spelling.start[1:]
    tokens["column"] = np.arange(len(tokens))
    tokens["ends_before"], tokens["ends_after"] = spelling.ends_before, spelling.ends_after
    return tokens


def _settings(
    config: BeamConfig,
    ngrams: NgramModel,
    kind: int,
    is_closed: bool,
    hot: HotwordAutomaton,
    tokens: Records,
    letters: int,
) -> Records:
    settings = np.zeros(1, dtype=SETTINGS)
    values = {
        "has_trie": kind == WORD_MODEL or is_closed,
        "is_closed": is_closed,
        "has_hotwords": len(hot.gain) > 1,
        "model": kind,
        "letters": letters,
        "hot_start": hot.start,
        "start_state": ngrams.start_state,
        "unk": ngrams.unk,
        "eos": ngrams.eos,
        "unk_score": config.unk_score,
        "outside_ahead": max(float(_unigram(ngrams)[ngrams.unk]) + config.unk_score, IMPOSSIBLE),
        "memory": MEMORY,
        "decide_every": DECIDE_EVERY,
        "blank_skip": math.log(config.blank_skip) if config.blank_skip < 1 else math.inf,
        "token_min_log_prob": config.token_min_log_prob,
    }
    for name, value in values.items():
        settings[name] = value
    return _weighed(settings, config, tokens, hot.credit, hot.gain)


def reweighed(tables: Tables, config: BeamConfig) -> Tables:
    """The same tables with ``lm_weight`` and ``word_score`` of ``config``: nothing else depends on them."""
    hot = tables.hot_states
    return tables._replace(settings=_weighed(tables.settings, config, tables.tokens, hot["credit"], hot["gain"]))


def _weighed(
    settings: Records,
    config: BeamConfig,
    tokens: Records,
    hot_credit: npt.NDArray[np.float64],
    hot_gain: npt.NDArray[np.float64],
) -> Records:
    """``settings`` with the weights of ``config`` and what follows."""
    settings = settings.copy()
    longest = int((tokens["end"] - tokens["start"]).max(initial=0)) + 1  # letters of a token and a word's end
    one = settings[0]
    most_gain = max(config.word_score, 0.0) + longest * max(config.lm_weight * config.unk_score, 0.0)
    settings["most_gain"] = most_gain + float(hot_credit.max()) + longest * max(float(hot_gain.max()), 0.0)
    settings["lm_weight"], settings["word_score"] = config.lm_weight, config.word_score
    is_free = one["model"] == NO_MODEL and not one["is_closed"] and not one["has_hotwords"]
    settings["is_plain"] = is_free and config.word_score == 0.0
    return settings


def _letters(spelling: Spelling, config: BeamConfig, ngrams: NgramModel, hot: HotwordAutomaton) -> Records:
    """The alphabet and the space."""
    symbols = [*spelling.alphabet, SPACE]
    known = set(ngrams.words) if ngrams.unit == "character" else set()
    letters = np.zeros(len(symbols), dtype=LETTER)
    letters["word"] = [ngrams.word_id(one) for one in symbols]
    letters["extra"] = [0.0 if one in known else config.unk_score for one in symbols]
    letters["hot_symbol"] = hot.symbol
    return letters


def _trie(words: _Words, unigram: npt.NDArray[np.float32], unknown_ahead: float | None) -> Records:
    """The trie with what the language model says; where unknown words are allowed, letters may still become one."""
    trie = np.zeros(len(words.trie.word), dtype=TRIE_NODE)
    trie["first_child"], trie["end_child"] = words.trie.first_child[:-1], words.trie.first_child[1:]
    trie["letter"], trie["word"] = words.trie.character, -1
    ends = words.trie.word >= 0
    trie["word"][ends] = words.ids[words.trie.word[ends]]
    trie["extra"][ends] = words.extra[words.trie.word[ends]]
    ahead = words.trie.best_below(np.maximum(unigram[words.ids] + words.extra, IMPOSSIBLE))
    trie["ahead"] = ahead if unknown_ahead is None else np.maximum(ahead, unknown_ahead)
    return trie


def _words(
    spelling: Spelling,
    config: BeamConfig,
    ngrams: NgramModel,
    kind: int,
    lexicon: Sequence[str] | None,
    hot_words: Iterable[str],
) -> _Words:
    """Hotwords first: of equal words the trie keeps the first, and theirs has no ``unk_score``."""
    hot = list(dict.fromkeys(hot_words))
    if lexicon is None and kind != WORD_MODEL:
        return _Words(build_trie([], spelling.alphabet), np.zeros(0, np.int32), np.zeros(0, np.float32))
    if lexicon is None:
        special = {ngrams.unk, ngrams.bos, ngrams.eos}
        numbers = [number for number in range(len(ngrams.words)) if number not in special]
        words = [*hot, *(ngrams.words[number] for number in numbers)]
        ids = [*(ngrams.word_id(word) for word in hot), *numbers]
    else:
        words = [*hot, *lexicon]
        ids = [ngrams.word_id(word) if kind == WORD_MODEL else ngrams.unk for word in words]
    extra = np.where(np.array(ids) == ngrams.unk, config.unk_score, 0.0)
    extra[: len(hot)] = 0.0
    return _Words(build_trie(words, spelling.alphabet), np.array(ids, np.int32), extra.astype(np.float32))


def _unigram(ngrams: NgramModel) -> npt.NDArray[np.float32]:
    """Log-probability of each word alone: the arcs of state 0."""
    return ngrams.arc_log_prob[ngrams.arc_start[0] : ngrams.arc_start[0] + len(ngrams.words)]
