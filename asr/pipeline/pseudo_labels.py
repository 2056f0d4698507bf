"""Texts for untranscribed recordings by a model and a language model, and which of them to train on.

In: a model directory, the transcripts of the run, untranscribed utterances. Out: a ``PseudoLabel`` of each: the text,
its confidence (the expected share of right words, calibrated on dev) and how far greedy decoding agrees. Kept is what
is confident and agrees, up to a share of the sound, as by Kahn et al. (arXiv 1909.09116) and Park et al. (2005.09629).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rapidfuzz.distance import Levenshtein

from asr.data.manifest import Utterance
from asr.decoding.greedy import greedy_decode
from asr.errors import AsrError
from asr.files import append_line, read_json_lines, read_json_object, write_json, write_text
from asr.lm.build import BuildOptions, build_lm
from asr.lm.files import write_lm
from asr.lm.text import TextOptions, read_sentences
from asr.lm.trie import to_model
from asr.text.normalize import get_normalizer
from asr.text.tokenizer import CharacterTokenizer

if TYPE_CHECKING:
    from asr.config.typed import RunConfig, SelfTrainingConfig
    from asr.recognition import Recognizer
    from asr.recognition.windows import Emissions

LANGUAGE_MODELS = (("word", 4), ("character", 8))  # tried: unit and order
BEAM_WIDTH = 32
TUNED_S = 300.0  # of dev, for the language model's weights
MIN_AGREEMENT = 0.5  # of the characters: below it, the language model has rewritten what was heard

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudoLabel:
    """What is recognised in an utterance; ``agreement`` of greedy decoding with ``text``, as a share of characters."""

    id: str
    text: str
    confidence: float
    agreement: float
    error: str | None = None


def choose_decoding(model: Path, config: "RunConfig", dev: Sequence[Utterance], folder: Path) -> dict[str, Any]:
    """How ``model`` decodes for pseudo-labels; found once, and kept in ``folder``/decoding.json.

    What the run's configuration says where that is a beam search. Else with the best on dev of n-gram models of the
    training texts, in words and in characters; greedy where none helps.
    """
    stored = folder / "decoding.json"
    if not (found := read_json_object(stored)):
        found = asdict(config.decoding) if config.decoding.name == "beam" else _tuned(model, config, dev, folder)
        write_json(stored, found)
    return found


def _tuned(model: Path, config: "RunConfig", dev: Sequence[Utterance], folder: Path) -> dict[str, Any]:
    from asr.recognition import Recognizer
    from asr.recognition.tuning import DevSet, tune

    greedy = {"name": "greedy"}
    recognizer = Recognizer.from_pretrained(model, device=config.train.training.device, words=False, decoding=greedy)
    heard = DevSet.of(recognizer, _spread(dev), get_normalizer(config.scoring.normalizer))
    units = [one for one in LANGUAGE_MODELS if one[0] == "word" or isinstance(recognizer.tokenizer, CharacterTokenizer)]
    best: dict[str, Any] = greedy
    errors = None
    for unit, order in units:
        options = TextOptions(normalizer=config.train.data.full_normalizer, split_sentences=False, unit=unit)
        sentences = read_sentences(Path(config.train.data.dir) / "train.jsonl", options)
        trie = build_lm(sentences, BuildOptions(order=order, unit=unit)).trie
        result = tune(heard, BEAM_WIDTH, to_model(trie))
        if result.best.errors < (errors or result.greedy):
            errors = result.best.errors
            weights = {"lm_weight": result.best.lm_weight, "word_score": result.best.word_score}
            file = folder / f"{unit}-{order}.bin"
            write_lm(file, trie)
            best = {"name": "beam", "beam_width": BEAM_WIDTH, "language_model": str(file), **weights}
    return best


def _spread(dev: Sequence[Utterance]) -> Sequence[Utterance]:
    """About ``TUNED_S`` of dev, taken at equal distances."""
    step = max(1, round(sum(one.duration_s for one in dev) / TUNED_S))
    return dev[::step]


def make_labels(
    recognizer: "Recognizer", utterances: Sequence[Utterance], path: Path, on_progress: OnProgress
) -> list[PseudoLabel]:
    """The label of each utterance, in order. Each is added to ``path`` as it is made; those there are not made again.

    ``recognizer`` is calibrated.
    """
    known = {row["id"]: PseudoLabel(**row) for row in read_json_lines(path)}
    todo = [one for one in utterances if one.id not in known]
    write_text(path, "".join(f"{json.dumps(asdict(one), ensure_ascii=False)}\n" for one in known.values()))
    for utterance, emissions in zip(todo, recognizer.emissions(todo), strict=True):
        label = _label(recognizer, utterance, emissions)
        append_line(path, json.dumps(asdict(label), ensure_ascii=False))
        known[utterance.id] = label
        on_progress(len(known), len(utterances))
    return [known[one.id] for one in utterances]


def _label(recognizer: "Recognizer", utterance: Utterance, emissions: "Emissions | AsrError") -> PseudoLabel:
    if isinstance(emissions, AsrError):
        return PseudoLabel(id=utterance.id, text="", confidence=0.0, agreement=0.0, error=str(emissions))
    found = recognizer.decode(emissions)
    log_probs = emissions.log_probs
    greedy = greedy_decode(log_probs[None], [len(log_probs)], recognizer.tokenizer)[0].text
    agreement = Levenshtein.normalized_similarity(greedy, found.text)
    confidence = round(found.confidence or 0.0, 4)
    return PseudoLabel(id=utterance.id, text=found.text, confidence=confidence, agreement=round(agreement, 4))


def reasons_against(
    labels: Sequence[PseudoLabel], durations_s: Mapping[str, float], options: "SelfTrainingConfig"
) -> dict[str, str]:
    """Why each label is not trained on, by id; "" where it is."""
    reasons = {one.id: _doubt(one, options) for one in labels}
    heard_s = sum(durations_s[one.id] for one in labels if one.text)
    left_s = options.keep * heard_s
    for one in sorted(labels, key=lambda label: (-label.confidence, label.id)):
        if not reasons[one.id]:
            left_s -= durations_s[one.id]
            if left_s < -1e-6:
                reasons[one.id] = f"not among the most confident {options.keep:.0%} of the sound"
    return reasons


def _doubt(label: PseudoLabel, options: "SelfTrainingConfig") -> str:
    if label.error:
        return label.error
    if not label.text:
        return "nothing recognised"
    if label.confidence < options.min_confidence:
        return f"confidence below {options.min_confidence:g}"
    return "" if label.agreement >= MIN_AGREEMENT else "greedy decoding hears something else"
