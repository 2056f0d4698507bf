"""Audio and images for a page: the recording, its spectrogram, and the CTC posteriors of a model.

In: utterances, and a model directory if posteriors are wanted. Out: a ``Clip`` each, small: Ogg Opus, a log-mel image
in 8 bits, the likeliest tokens per frame in 8 bits. A page stays below ``CLIP_BYTES`` per clip on average.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from asr.audio.encode import encode_clip
from asr.data.manifest import Utterance
from asr.data.recordings import load_utterance
from asr.errors import AudioError
from asr.pages.data import Clip, Picture, Posteriors
from asr.pages.payload import clip_size
from asr.terminal import Progress

if TYPE_CHECKING:
    from asr.features import Features
    from asr.recognition import Recognizer

CLIP_BYTES = 100_000
RANGE_DB = 60.0  # levels further below the loudest are drawn as silence
COLUMN_S, MOST_COLUMNS = 0.02, 600
TOP_TOKENS = 3
LEAST_PROBABILITY = 0.02
TICKS_HZ = (250, 500, 1000, 2000, 4000, 8000)

Waveform = NDArray[np.float32]


def make_clips(
    utterances: Sequence[Utterance], *, audio: bool, model: Path | None, device: str = "auto"
) -> tuple[dict[str, Clip], list[str]]:
    """Clips by id, and notes on those left out: recordings that cannot be read or are too long for the page."""
    features, recognizer = _features_and_model(model, device)
    clips: dict[str, Clip] = {}
    unread: list[str] = []
    left = CLIP_BYTES * len(utterances)
    too_large = 0
    with Progress(len(utterances), "clips", "utterances") as progress:
        for utterance in utterances:
            progress.update()
            try:
                waveform = load_utterance(utterance, features.config.sample_rate)
            except AudioError as error:
                unread.append(str(error))
                continue
            clip = _clip(waveform, features, recognizer, audio)
            if clip_size(clip) > left:
                too_large += 1
                continue
            left -= clip_size(clip)
            clips[utterance.id] = clip
    notes = [f"{len(unread)} recordings could not be read; the first: {unread[0]}"] if unread else []
    if too_large:
        notes.append(f"{too_large} long recordings are left out to keep the page small; --audio link includes them.")
    return clips, notes


def _features_and_model(model: Path | None, device: str) -> "tuple[Features, Recognizer | None]":
    """The model's own features; without a model the default ones."""
    if model is None:
        from asr.features import LogMel, LogMelConfig

        return LogMel(LogMelConfig(n_mels=64)), None
    from asr.recognition import Recognizer

    recognizer = Recognizer.from_pretrained(model, device=device, words=False, backend="torch")
    return recognizer.features, recognizer


def _clip(waveform: Waveform, features: "Features", recognizer: "Recognizer | None", audio: bool) -> Clip:
    posteriors = None
    if recognizer is not None:
        for emissions in recognizer.emissions([waveform], workers=1):
            if isinstance(emissions, Exception):
                raise emissions
            posteriors = posteriors_of(
                emissions.log_probs, recognizer.tokenizer.tokens, -emissions.edge_s, emissions.frame_s
            )
    return Clip(
        audio=encode_clip(waveform, features.config.sample_rate) if audio else None,
        picture=picture_of(waveform, features),
        posteriors=posteriors,
    )


def picture_of(waveform: Waveform, features: "Features") -> Picture:
    """Log-mel in 8 bits: the loudest is 255, ``RANGE_DB`` below it 0; a column is the maximum of its frames."""
    import torch

    config = features.config
    with torch.inference_mode():
        batch = torch.from_numpy(waveform)[None].to(features.mean.device)
        lengths = torch.tensor([len(waveform)], device=batch.device)
        log_mel, _ = features.unnormalised(features.levelled(batch, lengths), lengths)
    edge = config.edge_samples // config.hop_length
    frames = log_mel[0].cpu().numpy()
    frames = frames[edge : len(frames) - edge] if edge else frames  # (frames, mels)
    shift_s = config.hop_length / config.sample_rate
    pooled = max(1, round(COLUMN_S / shift_s), -(-len(frames) // MOST_COLUMNS))
    columns = np.maximum.reduceat(frames, np.arange(0, len(frames), pooled), axis=0)
    span = RANGE_DB / 10 * np.log(10)
    levels = np.clip((columns - columns.max()) / span + 1, 0, 1) * 255
    first_s = (pooled - 1) / 2 * shift_s
    return Picture(np.rint(levels).astype(np.uint8).T.copy(), first_s, pooled * shift_s, _ticks(config))


def posteriors_of(log_probs: NDArray[np.float32], tokens: Sequence[str], first_s: float, frame_s: float) -> Posteriors:
    """``(frames, vocab)`` natural logs, blank 0 -> the likeliest tokens of each frame."""
    probabilities = np.exp(log_probs)
    best = min(TOP_TOKENS, probabilities.shape[1] - 1)
    places = np.argsort(-probabilities[:, 1:], axis=1, kind="stable")[:, :best] + 1  # (frames, best)
    values = np.take_along_axis(probabilities, places, axis=1)
    kept = values >= LEAST_PROBABILITY
    weight = np.bincount(places[kept], values[kept], minlength=len(tokens))
    used = sorted(np.flatnonzero(weight).tolist(), key=lambda token: (-weight[token], token))[:255]
    ranks = np.zeros(len(tokens), np.uint8)
    ranks[used] = np.arange(1, len(used) + 1)
    shown = np.where(kept, ranks[places], 0).astype(np.uint8)
    return Posteriors(
        tokens=[tokens[token] for token in used],
        ranks=shown,
        levels=np.where(shown, np.rint(255 * values), 0).astype(np.uint8),
        blank=np.rint(255 * probabilities[:, 0]).astype(np.uint8),
        first_s=first_s,
        frame_s=frame_s,
    )


def _ticks(config: Any) -> list[tuple[float, float]]:
    """The mel rows of round frequencies."""
    from librosa import mel_frequencies

    top = config.f_max_hz if config.f_max_hz is not None else config.sample_rate / 2
    centres = mel_frequencies(n_mels=config.n_mels + 2, fmin=config.f_min_hz, fmax=top)[1:-1]
    rows = np.arange(config.n_mels)
    return [(hz, float(np.interp(hz, centres, rows))) for hz in TICKS_HZ if centres[0] < hz < centres[-1]]
