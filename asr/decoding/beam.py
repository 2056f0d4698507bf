"""Prefix beam search with language model, lexicon and hotwords: log-probabilities to the best texts.

In: log-probabilities of whole recordings, of any length. Out: per recording a ``DecodedText`` with its n-best list.
What cannot be decoded with (a language model in other letters, NaN) is refused with its remedy. Importing this module
imports numba; the compiled search is kept on disk between runs.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from asr.decoding.config import BeamConfig, check_hotwords
from asr.decoding.greedy import Alternative, DecodedText, tidy_text
from asr.decoding.phone_lexicon import PhoneLexicon
from asr.decoding.prefixes import Tree, new_tree, new_work_space, plant, spell, with_room
from asr.decoding.records import NODE, Records
from asr.decoding.search import ENDING, advance, finish_prefixes, new_beam
from asr.decoding.tables import Spelling, build_tables, reweighed, spelling_of
from asr.errors import ConfigError, ModelError
from asr.lm.model import NgramModel
from asr.text.tokenizer import Tokenizer

LEAST_SHARE = 0.05  # of a language model's or lexicon's words that the tokens must be able to spell
SETTLED = 6.0  # nats behind the best prefix, at which another one is given up so that text can settle
RECENT = 6  # tokens
LARGEST_LOG_PROB = 0.01  # a probability of 1.0 in single precision, and then some


def check_log_probs(log_probs: npt.NDArray[np.float32], vocab_size: int) -> None:
    """Raise ModelError unless ``log_probs`` is ``(frames, vocab)``, every frame's best finite and at most about 0."""
    if log_probs.ndim != 2 or log_probs.shape[1] != vocab_size:
        raise ModelError(
            f"decoding: log-probabilities must be (frames, {vocab_size}) for this vocabulary, not {log_probs.shape}"
        )
    best = log_probs.max(axis=1)
    for wrong, what in (
        (np.isnan(best), "not a number (NaN); the model's weights or its input are damaged"),
        (best == -np.inf, "-inf for every token; at least one must be possible"),
        (best > LARGEST_LOG_PROB, "above 0; give log-probabilities (log_softmax), not logits or probabilities"),
    ):
        if wrong.any():
            raise ModelError(f"decoding: the log-probability at frame {int(wrong.argmax())} is {what}")


def check_sources(
    spelling: Spelling, model: NgramModel | None, lexicon: Sequence[str] | None, hotwords: Mapping[str, float]
) -> None:
    """Raise ConfigError when the model's tokens cannot spell what the others are about."""
    if model is not None and model.unit == "word":
        _check_share(spelling, [word for number, word in enumerate(model.words) if number not in _special(model)])
    elif model is not None and not set(spelling.alphabet) & set(model.words):
        raise ConfigError(
            f"decoding.language_model: it has none of the model's characters {_shown(spelling.alphabet)}"
            f"{_case_hint(spelling, model.words)}"
        )
    if lexicon is not None and not any(spelling.can_spell(lexicon)):
        raise ConfigError(
            f"decoding.lexicon: the model's tokens spell none of its {len(lexicon):,} words"
            f"{_case_hint(spelling, lexicon)}"
        )
    for phrase in hotwords:
        unknown = sorted({one for word in phrase.split() for one in word} - set(spelling.alphabet))
        if unknown or not all(spelling.can_spell(phrase.split())):
            lacks = f"the model has no {_shown(unknown)}" if unknown else "no tokens of the model spell it"
            raise ConfigError(
                f"decoding.hotwords: {phrase!r} cannot be spelled: {lacks}"
                f"{_case_hint(spelling, phrase.split(), 'write it so')}"
            )


def check_phone_lexicon(
    phone_lexicon: PhoneLexicon,
    spelling: Spelling,
    model: NgramModel | None,
    lexicon: Sequence[str] | None,
    hotwords: Mapping[str, float],
) -> None:
    """Raise ConfigError where a search by phones cannot find what the others are about."""
    if model is not None and model.unit != "word":
        raise ConfigError(
            "decoding.pronunciations: needs a language model of words, and this one is of characters; build one with"
            " --unit word, or decode without pronunciations"
        )
    words = [*(lexicon or ()), *(word for phrase in hotwords for word in phrase.split())]
    if lacking := phone_lexicon.lacking(words):
        raise ConfigError(
            f"decoding.pronunciations: it has no pronunciation in the model's phones of {', '.join(lacking[:10])}; add"
            " lines WORD PHONE ..., or decode without pronunciations"
        )
    usable, _ = phone_lexicon.spoken
    if not usable:
        raise ConfigError(
            "decoding.pronunciations: no word of it is in the model's phones,"
            f" {' '.join(phone_lexicon.phones[1:])}; give a dictionary that uses them"
        )
    if not any(spelling.can_spell(usable if lexicon is None else lexicon)):
        raise ConfigError(
            f"decoding.pronunciations: the model's characters {_shown(spelling.alphabet)} spell no word of it, which is"
            " read in lower case; decode without pronunciations"
        )


def _check_share(spelling: Spelling, words: Sequence[str]) -> None:
    if spelling.ends_after.any():  # a words tokenizer: a model of few words may well have a large language model
        enough = any(word in set(words) for word in spelling.words())
    else:
        enough = sum(spelling.can_spell(words)) >= max(LEAST_SHARE * len(words), 1)
    if not enough:
        raise ConfigError(
            f"decoding.language_model: the model's tokens spell almost none of its {len(words):,} words"
            f"{_case_hint(spelling, words)}"
        )


def _special(model: NgramModel) -> set[int]:
    return {model.unk, model.bos, model.eos}


def _case_hint(spelling: Spelling, words: Sequence[str], again: str = "build it again") -> str:
    """What to do: ``again``, in the other case if that is the error, as it most often is."""
    before = sum(spelling.can_spell(words))
    for case, change in (("lower", str.lower), ("upper", str.upper)):
        if sum(spelling.can_spell(map(change, words))) > 2 * before:
            return f", because the model writes {case} case; put the text into {case} case and {again}"
    return f"; the text must be normalised like the model's training transcripts: change it and {again}"


def _shown(characters: Sequence[str]) -> str:
    shown = "".join(characters[:40])
    return repr(shown if len(characters) <= 40 else f"{shown}...")


SMALLEST_TREE = 4096


@dataclass(frozen=True, slots=True)
class _Labelling:
    """One prefix at the end, and the logarithms that rank it."""

    node: int
    score: float
    ctc_score: float
    lm_score: float
    text: int  # equal for those that read the same


class BeamDecoder:
    """Decodes as ``config`` says, where given with a language model, a closed ``lexicon`` and ``hotwords``.

    ``language_model`` may count words or characters. ``lexicon``: no other words can be spelled. ``hotwords``: each
    word or phrase earns its boost (nats) every time it occurs as whole words. ``phone_lexicon``: the search reads the
    log-probabilities of the model's phones, and finds the words of this lexicon alone. The decoder keeps nothing
    between calls, so one may be used by several threads at once; the search releases the GIL.

    Raises ConfigError when a language model or lexicon shares nothing with the tokens, or a hotword cannot be spelled.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        config: BeamConfig,
        language_model: NgramModel | None = None,
        lexicon: Sequence[str] | None = None,
        hotwords: Mapping[str, float] | None = None,
        phone_lexicon: PhoneLexicon | None = None,
    ) -> None:
        hotwords = dict(hotwords or {})
        check_hotwords(hotwords)
        spelling = spelling_of(tokenizer)
        check_sources(spelling, language_model, lexicon, hotwords)
        if phone_lexicon is not None:
            check_phone_lexicon(phone_lexicon, spelling, language_model, lexicon, hotwords)
        self.tokenizer = tokenizer
        self.config = config
        self.reads_phones = phone_lexicon is not None
        self.columns = len(
            tokenizer.tokens if phone_lexicon is None else phone_lexicon.phones
        )  # of the log-probabilities
        self._alphabet = spelling.alphabet
        self._tables = build_tables(spelling, config, language_model, lexicon, hotwords, phone_lexicon)

    def reweighted(self, lm_weight: float, word_score: float) -> "BeamDecoder":
        """A decoder that differs in these weights only. It shares this one's tables, so it costs nothing to make."""
        other = copy.copy(self)
        other.config = replace(self.config, lm_weight=lm_weight, word_score=word_score)
        other._tables = reweighed(self._tables, other.config)
        return other

    def __call__(self, log_probs: npt.ArrayLike, lengths: npt.ArrayLike, tokenizer: Tokenizer) -> list[DecodedText]:
        """One ``DecodedText`` per utterance from ``log_probs`` ``(batch, frames, vocab)``, by phones ``(batch, frames,
        phones)``, and ``lengths`` ``(batch,)``.

        Raises ConfigError when ``tokenizer`` has other tokens than the decoder was made for, ModelError when
        log-probabilities are not numbers.
        """
        if tokenizer is not self.tokenizer and tokenizer.tokens != self.tokenizer.tokens:
            raise ConfigError("decoding: the beam search was made for another model's tokens; make one for this model")
        rows = np.asarray(log_probs, dtype=np.float32)
        return [self.decode(row[:length]) for row, length in zip(rows, np.asarray(lengths), strict=True)]

    def decode(self, log_probs: npt.NDArray[np.float32]) -> DecodedText:
        """The same for one utterance, ``(frames, vocab)``."""
        return self.result(*self._search(log_probs))

    def _search(self, log_probs: npt.NDArray[np.float32]) -> tuple[Tree, Records]:
        search = self.begin()
        search.advance(log_probs)
        return search.tree, search.beam

    def begin(self) -> "BeamSearch":
        """Begin to decode one recording that comes in parts."""
        return BeamSearch(self)

    def result(self, tree: Tree, beam: Records) -> DecodedText:
        """What the prefixes at the end of a recording mean."""
        groups = self._texts(tree, beam) or self._unfinished(tree, beam)
        if not groups:
            return DecodedText(text="", score=-math.inf)
        n_best = tuple(self._alternative(tree, group) for group in groups[: self.config.n_best])
        tokens = self.spelled(tree, groups[0][0].node)
        return DecodedText(text=n_best[0].text, score=n_best[0].score, tokens=tokens, n_best=n_best)

    def spelled(self, tree: Tree, node: int) -> tuple[int, ...]:
        """The tokenizer's tokens of a prefix; by phones, of the words that have ended."""
        tokens = spell(tree.nodes, node)
        if not self.reads_phones:
            return tokens
        ended = self._tables.tokens[[token for token in tokens if token >= self.columns]]
        letters = self._tables.spelling
        words = ["".join(self._alphabet[one] for one in letters[word["start"] : word["end"]]) for word in ended]
        return tuple(self.tokenizer.encode(" ".join(words)))

    def _texts(self, tree: Tree, beam: Records) -> list[list[_Labelling]]:
        """The beam's labellings that may end here, those of one text together, the likeliest text first."""
        groups: dict[int, list[_Labelling]] = {}
        for one in sorted(self._endings(tree, beam), key=lambda one: -one.score):
            if one.score > -math.inf:
                groups.setdefault(one.text, []).append(one)
        return sorted(groups.values(), key=lambda group: -_log_sum([one.score for one in group]))

    def _endings(self, tree: Tree, beam: Records) -> list[_Labelling]:
        endings = np.empty(len(beam), dtype=ENDING)
        finish_prefixes(self._tables, tree.nodes, beam, endings, np.empty(1, dtype=NODE))
        columns = beam["node"], endings["score"], beam["total"], endings["lm_score"], endings["text"]
        return [_Labelling(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]

    def _alternative(self, tree: Tree, group: Sequence[_Labelling]) -> Alternative:
        """Several labellings may read the same (pieces; doubled spaces): the text has the probability of them all."""
        return Alternative(
            text=tidy_text(self.tokenizer, self.spelled(tree, group[0].node)),
            score=_log_sum([one.score for one in group]),
            ctc_score=_log_sum([one.ctc_score for one in group]),
            lm_score=group[0].lm_score,
        )

    def _unfinished(self, tree: Tree, beam: Records) -> list[list[_Labelling]]:
        """All prefixes end in mid-word and the lexicon is closed: the best one, up to its last whole word."""
        if not len(beam):  # nothing that the lexicon allows has any probability, nor has silence
            return []
        best = int(np.argmax(beam["total"] + beam["worth"]))
        whole = beam[best : best + 1].copy()
        while tree.nodes[whole["node"][0]]["is_open"]:
            whole["node"] = tree.nodes[whole["node"][0]]["parent"]
        return [self._endings(tree, whole)]


class BeamSearch:
    """The search through one recording, which may come in parts: they give what the whole gives."""

    def __init__(self, decoder: BeamDecoder) -> None:
        width = decoder.config.beam_width
        self.decoder = decoder
        self._tree = new_tree(max(SMALLEST_TREE, 1 << (8 * width - 1).bit_length()))
        settings = decoder._tables.settings[0]
        plant(self._tree, int(settings["start_state"]), int(settings["hot_start"]))
        self._beam, self._size = new_beam(width), 1
        self._space = new_work_space(width, decoder.columns)
        self._rows = np.zeros((0, decoder.columns), np.float32)  # since the past was decided last

    def advance(self, log_probs: npt.NDArray[np.float32]) -> None:
        """The next ``(frames, vocab)``. Raises ModelError when they are not log-probabilities."""
        log_probs = np.ascontiguousarray(log_probs, dtype=np.float32)
        check_log_probs(log_probs, self.decoder.columns)
        frame = len(self._rows)
        rows = np.concatenate((self._rows, log_probs)) if frame else log_probs
        while True:
            frame, self._size = advance(
                self.decoder._tables, rows, frame, self._tree, self._beam, self._size, self._space
            )
            if frame == len(rows):
                break
            self._tree = with_room(self._tree, self._beam, self._size)
        every = int(self.decoder._tables.settings[0]["decide_every"])
        self._rows = rows[len(rows) // every * every :].copy()

    def tokens(self) -> tuple[int, ...]:
        """Those of the best prefix so far."""
        beam = self._beam[: self._size]
        if not self._size:
            return ()
        return self.decoder.spelled(self._tree, int(beam["node"][np.argmax(beam["total"] + beam["worth"])]))

    def settled(self) -> int:
        """How many tokens every prefix begins with that may still win: nothing that follows changes them.

        The others are given up: those ``SETTLED`` behind the best, and those that end in the same ``RECENT`` tokens as
        a better one, at the same place in the words, the language model and the hotwords; see ``decide_past``.
        """
        beam, nodes = self._beam[: self._size], self._tree.nodes
        if not self._size:
            return 0
        scores = beam["total"] + beam["worth"]
        good: dict[tuple[int, ...], int] = {}
        for slot in np.argsort(-scores, kind="stable").tolist():
            if scores[slot] > scores.max() - SETTLED:
                good.setdefault(self._future(int(beam["node"][slot])), int(beam["node"][slot]))
        left = set(good.values())
        while len(left) > 1:  # a child has a larger number than its parent
            youngest = max(left)
            left.remove(youngest)
            left.add(int(nodes[youngest]["parent"]))
        (shared,) = left
        self._keep([self._descends(int(node), shared) for node in beam["node"]])
        return len(self.decoder.spelled(self._tree, shared))

    def _future(self, node: int) -> tuple[int, ...]:
        """What the worth of all that can follow a prefix depends on."""
        nodes = self._tree.nodes
        place = [int(nodes[node][name]) for name in ("lm_state", "trie_node", "is_open", "hot_state")]
        recent: list[int] = []
        while node and len(recent) < RECENT:
            recent.append(int(nodes[node]["token"]))
            node = int(nodes[node]["parent"])
        return (*place, *recent)

    def _descends(self, node: int, ancestor: int) -> bool:
        while node > ancestor:
            node = int(self._tree.nodes[node]["parent"])
        return node == ancestor

    def _keep(self, wanted: Sequence[bool]) -> None:
        """Only those prefixes of the beam."""
        beam, nodes = self._beam[: self._size], self._tree.nodes
        nodes["slot"][beam["node"]] = -1
        kept = beam[np.array(wanted)].copy()
        self._size = len(kept)
        self._beam[: self._size] = kept
        nodes["slot"][kept["node"]] = np.arange(self._size)

    def finish(self) -> DecodedText:
        """The text, where the recording ends here; the search may still go on."""
        return self.decoder.result(self.tree, self.beam)

    @property
    def tree(self) -> Tree:
        """Every prefix that one of the beam descends from."""
        return self._tree

    @property
    def beam(self) -> Records:
        """The prefixes so far."""
        return self._beam[: self._size]


def _log_sum(values: Sequence[float]) -> float:
    return float(np.logaddexp.reduce(values)) if len(values) > 1 else values[0]
