"""Which recordings to transcribe next: from files, folders and manifests to a ranked manifest.

In: ``SuggestOptions``: a model, recordings that nobody has transcribed, and manifests of what is transcribed. Out: a
``SuggestResult``: every recording, or segment of a long one, as an utterance without text, the most useful first
(asr/recognition/suggestions.py), and what could not be read. ``write_suggestions`` puts them into a manifest.
"""

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from asr.audio import probe
from asr.data.known_sound import SAME_SHARE, KnownSound
from asr.data.manifest import Scalar, Utterance, read_manifest, with_unique_ids, write_manifest
from asr.data.recordings import duration_or_problem
from asr.errors import AsrError, AudioError, UsageError
from asr.files import finite
from asr.recognition.suggestions import Candidate, Suggestion, rank_untranscribed
from asr.text.normalize import get_normalizer
from asr.transcription.drafts import LEAST_S, draft, speech_spans
from asr.transcription.inputs import STDIN, find_inputs

if TYPE_CHECKING:
    from asr.recognition import Recognizer
    from asr.recognition.windows import Emissions

OnProgress = Callable[[float, float], None]
WHOLE_S = 20.0  # a longer recording is cut into segments


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestOptions:
    """``paths``: recordings, folders (``recursive``: with subfolders) and manifests, whose lines with a text are
    transcribed, as are all of ``transcribed``. ``second``: another model, whose drafts are compared. ``minutes`` of
    audio to choose; None: all.
    """

    model: Path
    paths: Sequence[str]
    transcribed: Sequence[Path] = ()
    second: Path | None = None
    minutes: float | None = None
    recursive: bool = False
    device: str = "auto"
    backend: str = "auto"


@dataclass(slots=True)
class SuggestResult:
    """``suggestions``, the most useful first, and the ``utterances`` by their ids; ``failed``: the messages about those
    that cannot be read; ``notes`` on the rest.
    """

    suggestions: list[Suggestion] = field(default_factory=list)
    utterances: dict[str, Utterance] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_out: int = 0  # transcribed already, or given twice

    @property
    def chosen(self) -> list[Suggestion]:
        """Those within the budget."""
        return [one for one in self.suggestions if one.within_budget]


def suggest(options: SuggestOptions, on_progress: OnProgress = lambda done_s, total_s: None) -> SuggestResult:
    """Draft everything and rank it. ``on_progress(done_s, total_s)``: seconds of audio.

    Raises UsageError where there is nothing to rank, and what reading manifests and models raises.
    """
    result = SuggestResult()
    recordings, known = _read(options, result)
    sound = _known_sound(known, result)
    if recordings := _new(recordings, sound, result):
        _rank(options, recordings, known, sound, result, on_progress)
    if result.left_out:
        result.notes.append(
            f"{result.left_out:,} recordings or segments are transcribed already, or given twice: left out"
        )
    return result


def _rank(
    options: SuggestOptions,
    recordings: Sequence[Utterance],
    known: Sequence[Utterance],
    sound: KnownSound,
    result: SuggestResult,
    on_progress: OnProgress,
) -> None:
    from asr.recognition import Recognizer  # after what is wrong with the arguments is said

    models = [
        Recognizer.from_pretrained(one, device=options.device, backend=options.backend)
        for one in (options.model, options.second)
        if one is not None
    ]
    normalize = get_normalizer(str(models[0].facts.get("normalizer", "basic")))
    found = list(_drafts(models, recordings, sound, result, on_progress))
    utterances = with_unique_ids(utterance for utterance, _, _ in found)
    result.utterances = {utterance.id: utterance for utterance in utterances}
    candidates = [
        Candidate(
            id=utterance.id,
            duration_s=utterance.duration_s,
            text=normalize(texts[0]),
            confidence=confidence,
            second_text=normalize(texts[1]) if len(texts) > 1 else None,
            speaker=utterance.speaker,
        )
        for utterance, (_, texts, confidence) in zip(utterances, found, strict=True)
    ]
    budget_s = math.inf if options.minutes is None else 60 * options.minutes
    result.suggestions = rank_untranscribed(candidates, [(normalize(one.text), one.speaker) for one in known], budget_s)
    _check_budget(options, result)


def write_suggestions(path: Path, result: SuggestResult) -> None:
    """A manifest of what is chosen, in order and without texts; drafts, scores and reasons are further fields."""
    rows = []
    for rank, one in enumerate(result.chosen, start=1):
        utterance, candidate = result.utterances[one.candidate.id], one.candidate
        own: dict[str, Scalar] = {
            "rank": rank,
            "score": finite(one.score, 4),
            "confidence": finite(candidate.confidence, 4),
            "draft": candidate.text,
            "why": "; ".join(one.reasons),
            "rare": " ".join(one.rare),
            "duplicate_of": one.duplicate_of,
        }
        if candidate.second_text is not None:
            own |= {"second_draft": candidate.second_text, "disagreement": finite(candidate.disagreement, 4)}
        rows.append(replace(utterance, extra={**utterance.extra, **own}))
    write_manifest(path, rows)


def _read(options: SuggestOptions, result: SuggestResult) -> tuple[list[Utterance], list[Utterance]]:
    """The utterances without a text, each with an id of its own, and those with one."""
    manifests = [path for path in options.paths if path.endswith(".jsonl") and not os.path.isdir(path)]
    lines = [one for path in manifests for one in read_manifest(path)]
    known = [one for path in options.transcribed for one in read_manifest(path, absent_audio=True)]
    known = [one for one in [*known, *lines] if one.text.strip()]
    found = [one for one in lines if not one.text.strip()]
    if others := [path for path in options.paths if path not in manifests]:
        found += _files(others, options.recursive, result)
    if not found and not result.failed:
        raise UsageError(
            f"{' '.join(manifests)}: every line has a text, so there is nothing to choose from; give recordings, or"
            ' manifests with lines of "text": ""'
        )
    if not known:
        result.notes.append("no transcribed texts are given (--transcribed MANIFEST), so no letters count as rare")
    return found, known


def _known_sound(known: Sequence[Utterance], result: SuggestResult) -> KnownSound:
    """The sound of what is transcribed, as far as it is there; of the rest the texts count alone."""
    sound, absent = KnownSound({}), 0
    for one in known:
        if sound.can_read(one.audio):
            sound.add("transcribed", one)
        else:
            absent += 1
    if absent:
        result.notes.append(f"the recordings of {absent:,} transcribed texts are gone; only the texts count")
    return sound


def _new(recordings: Sequence[Utterance], sound: KnownSound, result: SuggestResult) -> list[Utterance]:
    """Those that are neither transcribed nor given before; of long ones (parts of) segments may still be."""
    found = []
    for one in recordings:
        long, there = one.duration_s > WHOLE_S, sound.can_read(one.audio)
        shares = sound.shares(one) if there else {}  # recognition says that it is gone
        left_s = one.duration_s * (1 - max(shares.values(), default=0.0))
        if left_s < LEAST_S if long else _is_known(shares):
            result.left_out += 1
            continue
        found.append(one)
        if there:
            sound.add("long" if long else "given", one)
    return found


def _is_known(shares: Mapping[str, float]) -> bool:
    return any(share > SAME_SHARE for split, share in shares.items() if split != "long")


def _files(paths: Sequence[str], recursive: bool, result: SuggestResult) -> Iterator[Utterance]:
    """Every recording, whole; those that cannot be opened go to ``result.failed``."""
    if STDIN in paths:
        raise UsageError("'-': what comes from a pipe cannot be transcribed later; give files, folders or manifests")
    inputs, problems, note = find_inputs(paths, Path(), recursive=recursive)
    result.failed += [one.message for one in problems]
    result.notes += [] if note is None else [note]
    for one in inputs:
        length_s = duration_or_problem(os.path.abspath(one.path))
        if isinstance(length_s, str):
            result.failed.append(length_s)
        else:
            name = one.relative.with_suffix("").as_posix()
            yield Utterance(id=name, audio=os.path.abspath(one.path), duration_s=round(length_s, 6), text="")


def _drafts(
    models: "Sequence[Recognizer]",
    recordings: Sequence[Utterance],
    sound: KnownSound,
    result: SuggestResult,
    on_progress: OnProgress,
) -> Iterator[tuple[Utterance, list[str], float | None]]:
    """Each recording, or segment of a long one, with the models' texts and the confidence of the first."""
    sources = [_source(one) for one in recordings]
    total_s, done_s = sum(one.duration_s for one in recordings), 0.0
    heard = zip(*(model.emissions(sources) for model in models), strict=True)
    for one, emitted in zip(recordings, heard, strict=True):
        good = [each for each in emitted if not isinstance(each, AsrError)]
        if len(good) < len(emitted):
            result.failed.append(next(str(each) for each in emitted if isinstance(each, AsrError)))
        elif one.duration_s > WHOLE_S and (spans := speech_spans(good[0])):
            yield from _segments(models, one, good, spans, sound, result)
        else:
            whole = [model.decode(emissions) for model, emissions in zip(models, good, strict=True)]
            yield one, [each.text for each in whole], whole[0].confidence
        done_s += one.duration_s
        on_progress(done_s, total_s)


def _source(one: Utterance) -> "Utterance | Path":
    """What to read: a file as a stream where the utterance is all of it, as it may be hours long."""
    if one.start_s == 0 and one.channel is None and one.duration_s > WHOLE_S:
        with contextlib.suppress(AudioError):  # recognition will say it
            return Path(one.audio) if probe(one.audio).duration_s - one.duration_s < 0.02 else one
    return one


def _segments(
    models: "Sequence[Recognizer]",
    one: Utterance,
    emitted: "Sequence[Emissions]",
    spans: Sequence[tuple[float, float]],
    sound: KnownSound,
    result: SuggestResult,
) -> Iterator[tuple[Utterance, list[str], float | None]]:
    """The segments of its speech, cut as for the correction page, that are not transcribed."""
    for start_s, stop_s in spans:
        at_s = round(one.start_s + start_s, 3)
        segment = replace(one, id=f"{one.id}-{at_s:.2f}", start_s=at_s, duration_s=round(stop_s - start_s, 3))
        if _is_known(sound.shares(segment)):
            result.left_out += 1
            continue
        sound.add("given", segment)
        own = [draft(model, emissions, (start_s, stop_s)) for model, emissions in zip(models, emitted, strict=True)]
        yield segment, [each.text for each in own], own[0].confidence


def _check_budget(options: SuggestOptions, result: SuggestResult) -> None:
    if result.suggestions and not result.chosen:
        least_s = min(one.duration_s for one in result.utterances.values())
        raise UsageError(
            f"--minutes {options.minutes:g}: the shortest recording or segment has {least_s:.1f} s; give more"
        )
