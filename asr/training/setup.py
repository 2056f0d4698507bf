"""What comes before step 1: check the data, learn the tokens, measure the features, make the model.

In: settings. Out: a ``Setup`` for the training loop. Errors in the data are found here, and the message lists them.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asr.ctc import frames_needed
from asr.data.batching import Request
from asr.data.cache import AudioCache
from asr.data.dataset import SpeechDataset, load_batches
from asr.data.manifest import Utterance, read_manifest
from asr.data.passes import cached_pass, durations_of, lazy_map, select, with_texts
from asr.errors import ConfigError, DataError, TextError
from asr.features import Features, NormalisationStatistics, WaveformAugment, build_features
from asr.models import AcousticModel
from asr.pretrained import from_pretrained
from asr.seeds import derive_seed, numpy_generator
from asr.text.normalize import get_normalizer
from asr.text.tokenizer import Tokenizer, TokenizerConfig, build_tokenizer, tokenizer_from_dict
from asr.training.config import TrainingConfig, TrainSettings
from asr.training.intermediate import IntermediateTargets, intermediate_targets, kept_phones, read_lexicon
from asr.training.transfer import choose_tokenizer, take_over

CACHE_NAME = "decoded-audio.cache"
STEPS_FROM_SCRATCH = 2000
STEPS_NEW_HEAD = 400  # from another model with new tokens; ten words in another alphabet took 30
FROM_SCRATCH = (
    "From scratch CTC outputs blanks only for the first 300 steps or more, and takes about"
    f" {STEPS_FROM_SCRATCH} until it writes words"  # recipes/digits 1,900, an4 5,300, librispeech 9,700 in all
)
LISTED = 10  # errors listed in a message before it only counts them


@dataclass(slots=True)
class Setup:
    """What the loop needs: models on the CPU, and the data of both splits.

    ``dropped``: utterances left out, and why; ``note``: what was taken over from another model; ``intermediate``: the
    targets of the intermediate loss, where they are not the model's.
    """

    features: Features
    model: AcousticModel
    tokenizer: Tokenizer
    train: SpeechDataset
    dev: SpeechDataset
    dropped: list[str]
    note: str | None = None
    intermediate: IntermediateTargets | None = None


def prepare_setup(settings: TrainSettings, tokenizer: Tokenizer | None = None) -> Setup:
    """Read and check the data, learn the tokens (unless given), make the model.

    Raises DataError, TextError, ConfigError.
    """
    train = read_split(settings, "train")
    dev = read_split(settings, "dev")
    starts_from = settings.training.init_from if tokenizer is None else None  # a resumed run has weights of its own
    earlier = from_pretrained(starts_from) if starts_from else None
    if tokenizer is None:
        tokenizer = _learned_tokenizer(train, settings.tokenizer, earlier.tokenizer if earlier else None)
    features = build_features(settings.features)
    torch.manual_seed(derive_seed(settings.seed, "weights"))
    loss = settings.training.loss
    pronunciations = read_lexicon(loss)
    phones = kept_phones(loss, settings.model.num_layers, pronunciations)
    model = AcousticModel(settings.model, settings.features.n_mels, tokenizer.vocab_size, phones)
    note = take_over(model, tokenizer, earlier, settings) if earlier else None
    train, dropped = _drop_unspellable(train, tokenizer, features, model, settings)
    rate = settings.features.sample_rate
    cache = AudioCache(Path(settings.data.cache_dir or settings.data.dir) / CACHE_NAME, settings.data.cache_mb)
    cache.start_over_if_stale(itertools.chain(train, dev), rate)
    change = WaveformAugment(settings.augment, rate, cache.load_file)
    return Setup(
        features,
        model,
        tokenizer,
        SpeechDataset(train, lazy_map(partial(_spell, tokenizer), train), rate, settings.seed, change, cache.load),
        SpeechDataset(dev, [[] for _ in dev], rate, settings.seed, load=cache.load),
        dropped,
        note,
        intermediate_targets(loss, lazy_map(attrgetter("text"), train), pronunciations),
    )


def _spell(tokenizer: Tokenizer, utterance: Utterance) -> list[int]:
    return tokenizer.encode(utterance.text)


def _learned_tokenizer(train: Sequence[Utterance], config: TokenizerConfig, earlier: Tokenizer | None) -> Tokenizer:
    """The tokens of the texts, or those of ``earlier`` where they spell them. Raises DataError, TextError."""
    texts = lazy_map(attrgetter("text"), train)
    depends = [asdict(config), config.listed_units(), earlier.to_dict() if earlier else None]

    def learn() -> dict[str, Any]:
        fresh = choose_tokenizer(earlier, config, texts) if earlier else build_tokenizer(config, texts)
        return fresh.to_dict()

    return tokenizer_from_dict(cached_pass(train, "tokens", depends, learn))


def epochs_for(steps: int, steps_per_epoch: float, at_least: int = 0) -> int:
    """The number of epochs that makes so many steps."""
    return max(at_least, math.ceil(steps / max(steps_per_epoch, 1e-9)))


def with_enough_epochs(training: TrainingConfig, steps_per_epoch: int) -> tuple[TrainingConfig, str | None]:
    """``training`` with as many epochs as ``least_steps`` needs; a message where that changes them, or where the run
    has too few steps to learn anything.
    """
    epochs = epochs_for(training.least_steps or 0, steps_per_epoch, training.epochs)
    if epochs > training.epochs:
        changed = (
            f"{epochs} epochs instead of training.epochs={training.epochs}, for training.least_steps="
            f"{training.least_steps}: an epoch of this data has {steps_per_epoch} step{'s' * (steps_per_epoch > 1)}"
            f" (training.least_steps=null: {training.epochs} epochs)"
        )
        return replace(training, epochs=epochs), changed
    steps = min(epochs * steps_per_epoch, training.max_steps or epochs * steps_per_epoch)
    if training.init_from or steps >= STEPS_FROM_SCRATCH / 2:
        return training, None
    needed = epochs_for(STEPS_FROM_SCRATCH, steps_per_epoch)
    return training, (
        f"this run has only {steps} steps ({steps_per_epoch} an epoch). {FROM_SCRATCH}: training.epochs={needed}, or a"
        " lower data.batching.batch_s; or start from a trained model (training.init_from)"
    )


def learn_normalisation(setup: Setup, settings: TrainSettings) -> None:
    """Mean and standard deviation of the features over up to ``training.normalisation_hours`` of training audio."""
    statistics = NormalisationStatistics(setup.features)
    train = setup.train
    plain = SpeechDataset(train.utterances, train.targets, train.sample_rate, settings.seed, load=train.load)
    for batch in load_batches(plain, list(_sample(plain.utterances, settings)), settings.data.workers):
        statistics.add(batch.waveforms, batch.lengths)
    statistics.store()


def _sample(utterances: Sequence[Utterance], settings: TrainSettings) -> Iterator[list[Request]]:
    wanted_s, durations_s = settings.training.normalisation_hours * 3600, durations_of(utterances)
    for index in numpy_generator(settings.seed, "normalisation").permutation(len(utterances)):
        if wanted_s <= 0:
            return
        wanted_s -= durations_s[index]
        yield [Request(int(index), 0, 1.0)]


def read_split(settings: TrainSettings, split: str) -> Sequence[Utterance]:
    """The utterances of ``split`` in ``data.dir`` with their texts normalised. Raises ConfigError or DataError."""
    if not settings.data.dir:
        raise ConfigError("config: data.dir is not set; give the folder that 'asr prepare' wrote (data.dir=FOLDER)")
    normalize = get_normalizer(settings.data.full_normalizer)
    manifest = Path(settings.data.dir) / f"{split}.jsonl"
    if split == "dev" and manifest.with_name("train.jsonl").is_file() and not manifest.exists():
        raise DataError(
            f"{manifest}: absent; training chooses its best epoch on a dev set. Prepare the corpus with one"
            " (prepare.dev above 0), or write that manifest by hand"
        )
    normal = with_texts(read_manifest(manifest), normalize)
    if split != "train":
        return normal
    without_text = lazy_map(lambda one: None if one.text else one.id, normal)
    empty = cached_pass(normal, "empty", None, lambda: [one for one in without_text if one is not None])
    if empty:
        raise DataError(
            f"{settings.data.dir}/{split}.jsonl: {len(empty)} utterances have no text once normalised by"
            f" '{normalize.label}': {_some(empty)}; remove them or correct their transcripts"
        )
    return normal


def _drop_unspellable(
    utterances: Sequence[Utterance],
    tokenizer: Tokenizer,
    features: Features,
    model: AcousticModel,
    settings: TrainSettings,
) -> tuple[Sequence[Utterance], list[str]]:
    """The utterances that CTC can spell at the fastest speed, and what the others lack.

    Raises DataError where texts have characters outside the vocabulary, or (by the settings) too few frames.
    """
    fastest, rate = settings.augment.fastest, settings.features.sample_rate

    def needed(utterance: Utterance) -> int | str:
        try:
            return frames_needed(tokenizer.encode(utterance.text))
        except TextError as error:
            return f"{utterance.id}: {error}"

    def find() -> dict[str, Any]:
        samples = torch.from_numpy((durations_of(utterances) / fastest * rate).astype(np.int64) - 1)
        frames = model.output_lengths(features.frame_lengths(samples)).numpy()
        found: dict[str, Any] = {"unknown": [], "short": [], "places": []}
        for place, (needs, available) in enumerate(zip(lazy_map(needed, utterances), frames, strict=True)):
            if isinstance(needs, str):
                found["unknown"].append(needs)
            elif available < max(1, needs):
                one = utterances[place]
                found["places"].append(place)
                found["short"].append(f"{one.id} (needs {needs} frames for {one.text!r}, has {available})")
        return found

    depends = [tokenizer.to_dict(), fastest, asdict(settings.features), asdict(settings.model)]
    found = cached_pass(utterances, "spelled", depends, find)
    unknown, short = found["unknown"], found["short"]
    if unknown:
        raise DataError(f"train: {len(unknown)} transcripts cannot be spelled: {_some(unknown)}")
    if short and (settings.data.unspellable == "error" or len(short) == len(utterances)):
        raise DataError(
            f"train: {len(short)} utterances are too short for their text at {fastest}x speed"
            f" and 1/{model.subsampling.factor} of the"
            f" frames: {_some(short)}; set data.unspellable=drop to leave them out, or lower model.subsampling.factor"
        )
    if short:
        utterances = select(utterances, np.delete(np.arange(len(utterances)), found["places"]))
    return utterances, short


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return "; ".join(names[:LISTED]) + more
