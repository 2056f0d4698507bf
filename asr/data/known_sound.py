"""Which sound is in the splits of a corpus already, however its files are called.

In: the utterances of each split. Out: for another utterance, which splits hold sound of its recording, sound of its own
span, or most of that. For what is held out any common sound counts, for what is transcribed or given twice a share:
cuts with margins and people who speak at once share some. A recording is known by its path, links followed, or by its
bytes: a copy under another name is the same one. Files of one size are compared by SHA-256, so that most are never
read.
"""

import contextlib
import hashlib
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from asr.audio.shards import read_member, shard_place
from asr.data.manifest import Utterance
from asr.errors import AudioError
from asr.files import sha256_file

TOUCH_S = 0.02  # segments of one recording may touch: their times are rounded, to a video's frame at most
SAME_SHARE = 0.5  # an utterance of which more is known is the same one again, cut a little otherwise

Span = tuple[float, float, int | None]  # seconds; the channel


class KnownSound:
    """The sound of ``splits``, by name; ``add`` makes further sound known."""

    def __init__(self, splits: Mapping[str, Iterable[Utterance]]) -> None:
        self._by_size: dict[int, list[str]] = defaultdict(list)
        self._names: dict[str, str] = {}
        self._digest = cache(_digest)
        self._spans: dict[str, dict[str, list[Span]]] = defaultdict(lambda: defaultdict(list))
        for name, utterances in splits.items():
            for utterance in utterances:
                self.add(name, utterance)

    def add(self, split: str, utterance: Utterance) -> None:
        """Make its span known as part of ``split``."""
        stop_s = utterance.start_s + utterance.duration_s
        self._spans[self.recording(utterance.audio)][split].append((utterance.start_s, stop_s, utterance.channel))

    def recording(self, audio: str) -> str:
        """One path for all copies of a recording. Raises OSError where the file cannot be read."""
        place = shard_place(audio)
        real = audio if place else os.path.realpath(audio)
        if real not in self._names:
            of_this_size = self._by_size[place.size if place else os.path.getsize(real)]
            twin = next((one for one in of_this_size if self._digest(one) == self._digest(real)), None)
            if twin is None:
                of_this_size.append(real)
            self._names[real] = twin or real
        return self._names[real]

    def can_read(self, audio: str) -> bool:
        """Whether the recording is there."""
        with contextlib.suppress(OSError, AudioError):
            return bool(self.recording(audio))
        return False

    def splits_of(self, audio: str) -> set[str]:
        """The splits that hold sound of this recording."""
        return set(self._spans.get(self.recording(audio), ()))

    def overlapping(self, utterance: Utterance) -> set[str]:
        """The splits that hold sound of the utterance's own span, be it little: a model must not hear what it is tested
        by.
        """
        return {
            split
            for split, common in self._common(utterance)
            if any(stop_s - start_s > TOUCH_S for start_s, stop_s in common)
        }

    def shares(self, utterance: Utterance) -> dict[str, float]:
        """Which share of the utterance's span each split holds, above 0 to 1."""
        found = {}
        for split, common in self._common(utterance):
            held_s, reached_s = 0.0, -math.inf
            for start_s, stop_s in sorted(common):
                held_s += max(0.0, stop_s - max(start_s, reached_s))
                reached_s = max(reached_s, stop_s)
            found[split] = held_s / utterance.duration_s
        return found

    def repeating(self, utterance: Utterance) -> set[str]:
        """The splits that hold more than ``SAME_SHARE`` of the utterance: it is in them already."""
        return {split for split, share in self.shares(utterance).items() if share > SAME_SHARE}

    def _common(self, utterance: Utterance) -> Iterator[tuple[str, list[tuple[float, float]]]]:
        """Each split that holds sound of the span, with the parts of it, in seconds."""
        start_s, stop_s = utterance.start_s, utterance.start_s + utterance.duration_s
        for split, spans in self._spans.get(self.recording(utterance.audio), {}).items():
            common = [
                (max(start_s, other_s), min(stop_s, other_stop_s))
                for other_s, other_stop_s, channel in spans
                if channel is None or utterance.channel is None or channel == utterance.channel
                if min(stop_s, other_stop_s) > max(start_s, other_s)
            ]
            if common:
                yield split, common


def _digest(audio: str) -> str:
    """SHA-256 of a file, or of a recording in a shard."""
    place = shard_place(audio)
    return hashlib.sha256(read_member(place)).hexdigest() if place else sha256_file(Path(audio))
