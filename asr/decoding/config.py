"""The settings of decoding: plain, checked values. ``asr.decoding.build`` reads the files that they name."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from asr.schema import check, check_choice

MAX_BEAM_WIDTH = 16_384


@dataclass(kw_only=True, slots=True)
class BeamConfig:
    """How the prefix beam search searches, and how much each source counts. All scores are natural logarithms.

    ``beam_width``: prefixes kept after each frame. ``n_best``: texts given back, at most. ``lm_weight`` multiplies the
    language model's log-probability; ``word_score`` is added for each word (more than 0: more words);
    ``unk_score`` is added to the language model's <unk> for what it does not know (so ``lm_weight`` multiplies it too).

    Two bounds on the work: a frame whose blank has a probability above ``blank_skip`` adds no token (1.0: no frame
    does), and a token begins no new prefix in a frame where it is ``token_min_log_prob`` below the frame's best
    (-1000: all do).
    """

    beam_width: int = 32  # prefixes kept after each frame
    lm_weight: float = 0.5  # factor of the language model's log-probability; `asr lm tune` finds it
    word_score: float = 0.0  # nats added for each word; `asr lm tune` finds it
    n_best: int = 1  # hypotheses returned
    blank_skip: float = 0.999  # frames with a more probable blank add no token; 1.0: none skipped
    token_min_log_prob: float = -8.0  # tokens this much below their frame's best start no prefix; -1000: no limit
    unk_score: float = -10.0  # nats added to the language model's <unk> for words outside its vocabulary

    def __post_init__(self) -> None:
        check(
            1 <= self.beam_width <= MAX_BEAM_WIDTH,
            f"decoding.beam_width={self.beam_width} must be 1 to {MAX_BEAM_WIDTH}",
        )
        check(self.n_best >= 1, f"decoding.n_best={self.n_best} must be at least 1")
        check(0.5 <= self.blank_skip <= 1, f"decoding.blank_skip={self.blank_skip} must be 0.5 to 1")
        check(0 <= self.lm_weight < math.inf, f"decoding.lm_weight={self.lm_weight} must be 0 or more, and finite")
        check(
            -math.inf < self.token_min_log_prob < 0,
            f"decoding.token_min_log_prob={self.token_min_log_prob} must be less than 0, and finite",
        )
        for name in ("word_score", "unk_score"):
            check(math.isfinite(getattr(self, name)), f"decoding.{name}={getattr(self, name)} must be finite")


@dataclass(kw_only=True, slots=True)
class DecodingConfig(BeamConfig):
    """How log-probabilities become text: ``name`` is "greedy" or "beam"; all other keys are for the beam.

    ``language_model``: path of an ARPA or binary file of `asr lm build`. ``lexicon``: path of a text file, a word a
    line; no other words can be spelled then. ``pronunciations``: path of a pronouncing dictionary (lines ``WORD PHONE
    ...``); words are found by the model's phones then, those of the dictionary alone. ``hotwords``: words or phrases to
    prefer, each with the boost in nats for every occurrence.
    """

    name: str = "greedy"
    language_model: str | None = None  # path of an ARPA or binary file of `asr lm build`
    lexicon: str | None = None  # path of a text file, one word per line; no other words are recognised
    pronunciations: str | None = None  # path of a pronouncing dictionary: only its words, by the model's phones
    hotwords: dict[str, float] | None = None  # e.g. {ann arbor: 6.0}: nats added for each occurrence

    def __post_init__(self) -> None:
        BeamConfig.__post_init__(self)
        check_choice("decoding.name", self.name, ("greedy", "beam"))
        check_hotwords(self.hotwords or {})

    def described(self) -> dict[str, Any]:
        """The settings that bear on the result, as a report names them: of a greedy decoder its name only."""
        if self.name == "greedy":
            return {"name": "greedy"}
        values = {"name": self.name, **{key: value for key, value in asdict(self).items() if key != "name"}}
        if self.language_model is None:
            del values["lm_weight"], values["unk_score"]
        return {key: value for key, value in values.items() if value not in (None, {})}


def check_hotwords(hotwords: object) -> None:
    """Raise ConfigError unless ``hotwords`` maps texts, not empty, to finite numbers."""
    check(isinstance(hotwords, dict), f"decoding.hotwords={hotwords!r} must map words to boosts, such as {{ann: 5.0}}")
    assert isinstance(hotwords, dict)
    for phrase, boost in hotwords.items():
        number = isinstance(boost, (int, float)) and not isinstance(boost, bool) and math.isfinite(boost)
        check(number, f"decoding.hotwords: the boost of {phrase!r} must be a finite number, not {boost!r}")
        check(
            isinstance(phrase, str) and phrase.split() != [],
            f"decoding.hotwords: {phrase!r} must be a word or a phrase",
        )
