"""Chunks with carried states equal the whole: with all that follows as look-ahead, and in one direction with none."""

import pytest
import torch
from torch import Tensor

from asr.errors import ConfigError
from asr.models import AcousticModel, ModelStream
from asr.models.streaming import CONTEXT
from tests.models.family import FAMILY, N_MELS, make_model

RECURRENT = [form for form in FAMILY if form not in ("transformer", "conformer")]
ONE_WAY = ["rnn", "gru", "lstm", "lnlstm one way", "minlstm one way"]


def in_chunks(model: AcousticModel, log_mel: Tensor, chunk: int, look_ahead: int | None) -> Tensor:
    """Chunk after chunk of so many output frames; look-ahead None: all that follows. What is not yet there is NaN."""
    stream, factor = ModelStream(model), model.subsampling.factor
    total = int(model.output_lengths(torch.tensor([len(log_mel)]))[0])
    parts, done = [], 0
    while done < total:
        context = min(done, CONTEXT)
        held = log_mel[(done - context) * factor :]
        ahead = total - done - chunk if look_ahead is None else look_ahead
        missing = stream.frames_needed(done + chunk + max(ahead, 0)) > len(log_mel)
        if ahead < 0 or (look_ahead is not None and missing):
            parts.append(torch.from_numpy(stream.chunk(held.numpy(), context, None)))
            break
        if look_ahead is not None:
            needed = stream.frames_needed(done + chunk + ahead) - (done - context) * factor
            held = held.clone()
            held[needed:] = torch.nan  # the frames needed must be enough
        parts.append(torch.from_numpy(stream.chunk(held.numpy(), context, chunk, ahead)))
        done += chunk
    return torch.cat(parts)


def make_input(frames: int = 83) -> Tensor:
    return torch.randn(frames, N_MELS, generator=torch.Generator().manual_seed(3))


def whole(model: AcousticModel, log_mel: Tensor) -> Tensor:
    with torch.inference_mode():
        log_probs: Tensor = model(log_mel[None], torch.tensor([len(log_mel)]))[0][0]
        return log_probs


@pytest.mark.parametrize("form", RECURRENT)
@pytest.mark.parametrize("factor", [1, 3, 4, 8])
def test_with_all_that_follows_as_look_ahead_chunks_equal_the_whole(form: str, factor: int) -> None:
    model, log_mel = make_model(form, factor), make_input()
    torch.testing.assert_close(in_chunks(model, log_mel, 4, None), whole(model, log_mel), atol=1e-5, rtol=0)


@pytest.mark.parametrize("form", ONE_WAY)
@pytest.mark.parametrize("factor", [1, 3, 4, 8])
def test_one_direction_needs_no_look_ahead(form: str, factor: int) -> None:
    model, log_mel = make_model(form, factor), make_input()
    assert not ModelStream(model).looks_ahead
    torch.testing.assert_close(in_chunks(model, log_mel, 4, 0), whole(model, log_mel), atol=1e-5, rtol=0)


def test_a_longer_look_ahead_comes_closer_to_the_whole() -> None:
    model, log_mel = make_model("bilstm", 2), make_input(200)
    expected = whole(model, log_mel)
    far = [float((in_chunks(model, log_mel, 4, ahead) - expected).abs().mean()) for ahead in (0, 4, 16)]
    assert far[0] > 1.5 * far[1] > 7 * far[2] and ModelStream(model).looks_ahead


@pytest.mark.parametrize("form", ["transformer", "conformer"])
def test_encoders_of_whole_recordings_are_refused(form: str) -> None:
    with pytest.raises(ConfigError, match=f"model={form} looks at whole recordings"):
        ModelStream(make_model(form))
