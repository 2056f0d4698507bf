"""What results.jsonl holds beyond the texts: where an utterance is, how noisy it is, which words are right.

In: utterances of a manifest and the recogniser's metadata of each (words, n-best, confidence), as JSON values. Out: the
same with the manifest's fields, measures of the sound and outcomes, so that reports need neither manifest, audio nor
normaliser.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.errors import AudioError
from asr.text.normalize import Normalizer

if TYPE_CHECKING:
    from asr.data.manifest import Utterance


_RATE_HZ = 16_000
MEASURED_S = 60.0  # of a longer utterance its middle is measured: noise changes slowly, and the cost stays bounded


def describe_utterances(
    utterances: "Sequence[Utterance]", metadata: Mapping[str, dict[str, Any]], normalizer: Normalizer
) -> dict[str, dict[str, Any]]:
    """By id: ``audio``, ``start_s``, ``fields``, ``snr_db``, ``speech_s``; and the ``metadata`` with outcomes."""
    from asr.terminal import Progress

    described = {}
    with Progress(len(utterances), "measuring noise", "utterances") as progress:
        for utterance in utterances:
            more = metadata[utterance.id]
            described[utterance.id] = (
                _place(utterance) | _sound(utterance) | add_outcomes(more, utterance.text, normalizer)
            )
            progress.update()
    return described


def count_training_words(paths: Sequence[Path], normalizer: Normalizer) -> dict[str, int] | None:
    """How often each normalised word is in the texts (manifests, text files, folders of them); None without any."""
    if not paths:
        return None
    from asr.lm.text import TextOptions, find_texts, read_sentences

    plain = TextOptions(normalizer="none", split_sentences=False)
    counts: Counter[str] = Counter()
    for path in find_texts(paths):
        for words in read_sentences(path, plain):
            counts.update(normalizer(" ".join(words)).split())
    return dict(counts)


def _place(utterance: "Utterance") -> dict[str, Any]:
    channel = {} if utterance.channel is None else {"channel": utterance.channel}
    place = {"audio": utterance.audio, "start_s": utterance.start_s} | channel
    return place | {"fields": dict(utterance.extra)}


def _sound(utterance: "Utterance") -> dict[str, Any]:
    """Noise and speech, as far as they can be measured; ``speech_s`` only where the whole utterance was measured."""
    from asr.audio import load_audio
    from asr.audio.noise import measure_sound

    measured_s = min(utterance.duration_s, MEASURED_S)
    start_s = utterance.start_s + (utterance.duration_s - measured_s) / 2
    try:
        waveform = load_audio(
            utterance.audio,
            sample_rate=_RATE_HZ,
            start_s=start_s,
            duration_s=measured_s,
            channel=utterance.channel,
        )
    except AudioError:  # the recogniser has read it: a file that was removed since is no reason to lose the report
        return {}
    found = measure_sound(waveform, _RATE_HZ)
    speech_s = found.speech_s if measured_s == utterance.duration_s else None
    values = {"snr_db": (found.snr_db, 1), "speech_s": (speech_s, 3)}
    return {key: round(value, digits) for key, (value, digits) in values.items() if value is not None}


def add_outcomes(metadata: Mapping[str, Any], reference: str, normalizer: Normalizer) -> dict[str, Any]:
    """``right`` for each of the words (null: nothing is left of it once normalised), ``word_errors`` for the n-best.

    Words and n-best without texts, as another tool may write them, stay as they are.
    """
    from asr.scoring.confidence import words_correct
    from asr.scoring.counts import count_word_errors

    described = dict(metadata)
    words, n_best = metadata.get("words", []), metadata.get("n_best", [])
    if words and _have_texts(words):
        outcomes = words_correct([word["text"] for word in words], reference, normalizer)
        described["words"] = [word | {"right": right} for word, right in zip(words, outcomes, strict=True)]
    if n_best and _have_texts(n_best):
        compared = normalizer(reference)
        described["n_best"] = [
            one | {"word_errors": asdict(count_word_errors(compared, normalizer(one["text"])))} for one in n_best
        ]
    return described


def _have_texts(metadata: Sequence[Mapping[str, Any]]) -> bool:
    return all(isinstance(one.get("text"), str) for one in metadata)
