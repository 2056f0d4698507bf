"""Windows of a recording of any length, computed in batches, and their output joined again.

In: normalised features in pieces, in order. Out: ``Window``s of at most ``MAX_WINDOW_S``: a core, with context on both
sides that the model sees and whose output is discarded; then ``Emissions``, from which a decoder makes text and an
aligner word times. Cores follow each other on the grid of output frames, so that the joined output has the frames of
the whole recording's. They are cut where it is quietest. A recording that fits into one window is one window: it gives
what it gives without this module. Emissions are small (10 MB for an hour of characters), so one set can be decoded many
times.

Context, measured with benchmarks/long_audio.py: see CONTEXT_S.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from asr.features import FeaturesConfig
from asr.recognition.bounds import SpeechLevel
from asr.text.tokenizer import BLANK_ID

MAX_WINDOW_S = 56.0  # longer than the utterances of common corpora: evaluation sets are not cut
MIN_CORE_S, MAX_CORE_S = 24.0, 40.0
CONTEXT_S = 8.0
QUIET_S = 0.3  # a cut is in the middle of the quietest stretch of this length
Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class WindowSizes:
    """Lengths in log-mel frames, each a multiple of ``factor``, the log-mel frames per output frame."""

    factor: int
    longest: int
    min_core: int
    max_core: int
    context: int
    quiet: int

    @classmethod
    def of(
        cls,
        frame_shift_s: float,
        factor: int,
        *,
        longest_s: float = MAX_WINDOW_S,
        core_s: tuple[float, float] = (MIN_CORE_S, MAX_CORE_S),
        context_s: float = CONTEXT_S,
    ) -> "WindowSizes":
        """Sizes for a model. ``longest_s`` must hold the longest core and both contexts."""

        def frames(seconds: float) -> int:
            return max(1, round(seconds / frame_shift_s / factor)) * factor

        context = frames(context_s) if context_s else 0
        min_core, max_core = frames(core_s[0]), frames(core_s[1])
        longest = max(frames(longest_s), max_core + 2 * context)
        return cls(factor, longest, min_core, max_core, context, max(1, round(QUIET_S / frame_shift_s)))


@dataclass(frozen=True, slots=True)
class Window:
    """``log_mel`` ``(frames, n_mels)``; of the model's output ``keep`` frames are kept from ``skip`` on."""

    log_mel: Array
    skip: int
    keep: int


def cut_windows(pieces: Iterable[Array], sizes: WindowSizes) -> Iterator[Window]:
    """Windows over the joined ``pieces`` ``(frames, n_mels)``, with at most one window and one piece held at a time."""
    held: Array | None = None
    front = 0  # frames of context before the core in `held`
    for piece in pieces:
        held = piece if held is None else np.concatenate((held, piece))
        while len(held) > max(sizes.longest, front + sizes.max_core + sizes.context):
            cut = front + _quietest(held[front:], sizes)
            yield _window(held[: cut + sizes.context].copy(), front, cut, sizes)
            start = max(0, cut - sizes.context)
            held, front = held[start:].copy(), cut - start
    if held is not None and len(held):
        yield _window(held, front, len(held), sizes)


def _window(log_mel: Array, front: int, stop: int, sizes: WindowSizes) -> Window:
    skip = front // sizes.factor
    return Window(log_mel, skip, -(-stop // sizes.factor) - skip)


def _quietest(log_mel: Array, sizes: WindowSizes) -> int:
    """Where to end a core that begins with ``log_mel``: the middle of the quietest stretch, on the output grid."""
    level = log_mel[sizes.min_core : sizes.max_core].mean(axis=1)
    quiet = min(sizes.quiet, len(level))
    mean = sliding_window_view(level, quiet).mean(axis=1)
    middle = sizes.min_core + int(mean.argmin()) + quiet // 2
    return round(middle / sizes.factor) * sizes.factor


@dataclass(frozen=True, slots=True, eq=False)
class Emissions:
    """``log_probs`` float32 ``(frames, vocab)``, natural logarithms, of one whole recording of ``duration_s``.

    Frame ``t`` is centred on ``t * frame_s - edge_s`` seconds into the recording: ``edge_s`` is the silence that the
    model was given in front, negative where the first window begins with the recording (Kaldi's features). ``level``:
    where speech is, for word times; None where none are wanted. ``phones`` ``(frames, phones)``: those of the model's
    phones, where it has any.
    """

    log_probs: Array
    frame_s: float
    edge_s: float
    duration_s: float
    level: SpeechLevel | None = None
    phones: Array | None = None


def without_phones(columns: Array, vocab_size: int) -> tuple[Array, Array | None]:
    """``(frames, vocab + phones)`` parted; None where there are no phones."""
    if columns.shape[1] == vocab_size:
        return columns, None
    return np.ascontiguousarray(columns[:, :vocab_size]), np.ascontiguousarray(columns[:, vocab_size:])


def frame_seconds(features: FeaturesConfig, factor: int) -> float:
    """From one output frame to the next, exactly: hop length times ``factor`` over the rate."""
    return features.hop_length * factor / features.sample_rate


LogProbs = Callable[[Array, NDArray[np.int64]], Array]  # ``log_probs`` of a Pretrained or an OnnxPretrained


def compute_windows(log_probs_of: LogProbs, windows: Sequence[Window]) -> list[Array]:
    """One batch through the model -> for each window the kept frames ``(frames, columns)``: tokens, then phones.

    ``log_probs_of``: normalised frames ``(batch, frames, n_mels)``, padded, and their numbers ``(batch,)`` to
    log-probabilities ``(batch, frames', columns)``.
    """
    frames = np.array([len(window.log_mel) for window in windows])
    log_mel = np.zeros((len(windows), frames.max(), windows[0].log_mel.shape[1]), np.float32)
    for row, window in zip(log_mel, windows, strict=True):
        row[: len(window.log_mel)] = window.log_mel
    kept = zip(windows, log_probs_of(log_mel, frames), strict=True)
    return [row[window.skip : window.skip + window.keep].copy() for window, row in kept]


def stitch(parts: list[Array], columns: int) -> Array:
    """The kept frames of all windows, in order, as one ``(frames, columns)``; ``parts`` is emptied, as it would else be
    held twice (10 MB of an hour) while the text is decoded.
    """
    whole = np.concatenate(parts) if parts else np.zeros((0, columns), np.float32)
    parts.clear()
    return whole


PART_S = 600.0  # a longer recording is decoded in parts of about this length
PAUSE_S = 1.0  # without a token: where it may be cut


def cut_emissions(emissions: Emissions, ended: bool = True) -> list[tuple[float, Emissions]]:
    """A long recording in parts, each with the second at which it begins; cut in pauses, so that no word is.

    ``ended=False``: the recording goes on, and a pause at its end may, too. Its middle is not known yet and it is not
    cut, so that the cuts are those of the whole whenever one looks. The search for word times takes 2 MB a minute while
    it runs: for a part instead of ten hours.
    """
    frame_s, edge_s, frames = emissions.frame_s, emissions.edge_s, len(emissions.log_probs)
    cuts = [0]
    for start, stop in _runs(emissions.log_probs.argmax(axis=1) == BLANK_ID if frames else np.zeros(0, bool)):
        middle = (start + stop) // 2
        long_pause = (stop - start) * frame_s >= PAUSE_S and (ended or stop < frames)
        if long_pause and (middle - cuts[-1]) * frame_s >= PART_S and (frames - middle) * frame_s >= PART_S / 2:
            cuts.append(middle)
    starts_s = [0.0, *(cut * frame_s - edge_s for cut in cuts[1:])]
    stops = zip([*cuts[1:], frames], [*starts_s[1:], emissions.duration_s], strict=True)
    return [
        (
            start_s,
            replace(
                emissions,
                log_probs=emissions.log_probs[first:stop],
                edge_s=edge_s if first == 0 else 0.0,
                duration_s=stop_s - start_s,
                level=None if emissions.level is None else emissions.level.part(start_s, stop_s),
                phones=None if emissions.phones is None else emissions.phones[first:stop],
            ),
        )
        for first, start_s, (stop, stop_s) in zip(cuts, starts_s, stops, strict=True)
    ]


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The first index of each run of True, and the one behind its last."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]
