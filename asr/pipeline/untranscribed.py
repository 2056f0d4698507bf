"""The recordings that nobody has transcribed, as utterances to train on, and what is left out of them.

In: a folder or a manifest, and the splits of the run. Out: utterances of trainable length with empty texts; for each
recording or segment that is left out the reason. Nothing of a recording that dev or a test set has a part of is taken,
and no span that is transcribed: a file is recognised by its bytes, whatever its name. Long recordings are cut at the
pauses between the words that the model hears in them.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from asr.audio import AUDIO_EXTENSIONS, MEDIA_EXTENSIONS
from asr.data.annotation.segments import SegmentRules, TimedSegment, make_segments
from asr.data.known_sound import KnownSound
from asr.data.manifest import Utterance, read_manifest, with_unique_ids
from asr.data.recordings import probe_all
from asr.data.records import raise_problems
from asr.errors import AsrError, DataError
from asr.files import files_below

if TYPE_CHECKING:
    from asr.recognition import Recognizer

LONGEST_S = 20.0  # a longer recording is cut
LEAST_S = 0.3
TRAIN = "train"
_RULES = SegmentRules(leave_out="", remove="", join=math.inf, pause=0.7, longest=15.0, pad=0.2)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A recording, or a span of it in seconds, that is not used, and why."""

    audio: str
    reason: str
    start_s: float = 0.0
    end_s: float | None = None


def find_untranscribed(source: Path, known: KnownSound) -> tuple[list[Utterance], list[LeftOut]]:
    """The usable recordings of a folder, or the utterances of a manifest, of any length.

    ``known``: the run's splits; what is taken becomes known as well, so that no sound is taken twice.
    Raises DataError where there is none, listing why each was left out.
    """
    utterances = check_untranscribed(source)
    found: list[Utterance] = []
    left_out: list[LeftOut] = []
    lengths = probe_all(one.audio for one in utterances)
    for one in utterances:
        if (shown := one.audio.encode("utf-8", "backslashreplace").decode()) != one.audio:
            left_out.append(LeftOut(shown, "its name is not UTF-8; rename it"))
            continue
        info = lengths[one.audio]
        if isinstance(info, AsrError):
            left_out.append(LeftOut(one.audio, str(info)))
            continue
        stop_s = min(info.duration_s, one.start_s + (one.duration_s or math.inf))
        one = replace(one, text="", duration_s=round(stop_s - one.start_s, 6))
        if reason := _refusal(one, known):
            left_out.append(LeftOut(one.audio, reason, one.start_s, stop_s))
        else:
            found.append(one)
            known.add("untranscribed", one)
    if not found:
        reasons = [f"{one.audio}: {one.reason}" for one in left_out]
        raise_problems(f"untranscribed={source}: nothing of it can be used", reasons)
    return found, left_out


def check_untranscribed(source: Path) -> Sequence[Utterance]:
    """What is named there, unopened; of a folder the durations are 0. Raises DataError where that is nothing."""
    if not source.exists():
        raise DataError(f"untranscribed={source}: no such folder or manifest; check the path")
    if source.is_file():
        return read_manifest(source)
    if utterances := _of_folder(source):
        return utterances
    raise DataError(f"untranscribed={source}: no recordings (.wav, .flac, .mp3, ...) in the folder")


def _of_folder(folder: Path) -> list[Utterance]:
    """Every recording below the folder, whole; durations are not known yet. Of an audio and a media file (m4a, ...) of
    one stem the audio file, which was probably made from the other, as recipes/folder has it.
    """
    names = [path.relative_to(folder) for path in files_below(folder)]
    names = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    audio = {name.with_suffix("") for name in names if name.suffix.lower() in AUDIO_EXTENSIONS}
    return [
        Utterance(id=name.as_posix(), audio=str((folder / name).absolute()), duration_s=0.0, text="")
        for name in names
        if (kind := name.suffix.lower()) in AUDIO_EXTENSIONS
        or (kind in MEDIA_EXTENSIONS and name.with_suffix("") not in audio)
    ]


def _refusal(utterance: Utterance, known: KnownSound) -> str:
    """Why the utterance is not used, or ""."""
    if utterance.duration_s < LEAST_S:
        return f"shorter than {LEAST_S} s"
    held_out = sorted(known.splits_of(utterance.audio) - {TRAIN, "untranscribed"})
    if held_out:
        return f"{' and '.join(held_out)} has sound of this recording"
    repeating = known.repeating(utterance)
    if "untranscribed" in repeating:
        return "the same sound twice"
    return "transcribed already" if repeating and utterance.duration_s <= LONGEST_S else ""


def cut_long(
    recognizer: "Recognizer",
    utterances: Sequence[Utterance],
    known: KnownSound,
    on_progress: Callable[[int, int], None],
) -> tuple[list[Utterance], list[LeftOut]]:
    """The same sound in utterances of trainable length; what holds no speech is not among them.

    ``recognizer`` finds word times. ``known``: the run's splits, whose spans are left out.
    """
    long = [one for one in utterances if one.duration_s > LONGEST_S]
    cut: dict[str, list[Utterance]] = {}
    left_out: list[LeftOut] = []
    recordings = [Path(one.audio) if one.start_s == 0 and one.channel is None else one for one in long]
    for number, (one, emissions) in enumerate(zip(long, recognizer.emissions(recordings), strict=True), start=1):
        cut[one.id] = []
        if isinstance(emissions, AsrError):
            left_out.append(LeftOut(one.audio, str(emissions)))
        else:
            words = [(word.start_s, word.end_s, word.text) for word in recognizer.decode(emissions).words]
            for piece in _pieces(one, words):
                if TRAIN in known.repeating(piece):
                    stop_s = piece.start_s + piece.duration_s
                    left_out.append(LeftOut(one.audio, "transcribed already", piece.start_s, stop_s))
                else:
                    cut[one.id].append(piece)
        on_progress(number, len(long))
    return with_unique_ids(piece for one in utterances for piece in cut.get(one.id, [one])), left_out


def _pieces(whole: Utterance, words: Sequence[tuple[float, float, str]]) -> Iterator[Utterance]:
    """The utterance cut between words."""
    spoken = [
        TimedSegment(start_s=start_s, end_s=end_s, text=text, speaker=None, tier="") for start_s, end_s, text in words
    ]
    for one in make_segments(spoken, whole.duration_s, _RULES):
        if one.reason is None and one.duration_s >= LEAST_S:
            start_s = round(whole.start_s + one.start_s, 3)
            yield replace(whole, id=f"{whole.id}-{start_s:.2f}", start_s=start_s, duration_s=round(one.duration_s, 3))
