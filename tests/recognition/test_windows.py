"""Windows: joined they stand frame for frame where the whole stands, for every subsampling factor and length."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from asr.features import LogMel, LogMelConfig
from asr.models import AcousticModel, BiLstmConfig, SubsamplingConfig
from asr.pretrained import Pretrained
from asr.recognition import windows as windows_module
from asr.recognition.bounds import SpeechLevel
from asr.recognition.reading import Reader, waveform_source
from asr.recognition.windows import (
    Array,
    Emissions,
    LogProbs,
    WindowSizes,
    compute_windows,
    cut_emissions,
    cut_windows,
    stitch,
)
from asr.subsampling import TIME_STRIDES
from asr.text.tokenizer import BLANK_ID, CharacterTokenizer
from tests.recognition.test_pool import make_recognizer

SHIFT_S = 0.01
MELS = 8


class NoMemory(torch.nn.Module):
    """An encoder that sees one frame at a time: then the model's receptive field is that of the convolutions alone."""

    output_size = 6

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        return inputs


def make_model(factor: int, memory: bool) -> AcousticModel:
    torch.manual_seed(factor)
    config = BiLstmConfig(
        num_layers=1, hidden_size=3, subsampling=SubsamplingConfig(factor=factor, channels=3, output_size=6)
    )
    model = AcousticModel(config, MELS, 5)
    if not memory:
        model.encoder = NoMemory()
    return model.eval()


def small_sizes(factor: int, context_s: float = 0.24) -> WindowSizes:
    return WindowSizes.of(SHIFT_S, factor, longest_s=1.2, core_s=(0.4, 0.7), context_s=context_s)


def pieces_of(log_mel: Tensor, size: int) -> list[Array]:
    return [piece.numpy() for piece in log_mel.split(size)]


def by(model: AcousticModel) -> LogProbs:
    """What a ``Pretrained`` of this model computes; the features are not used."""
    features, tokenizer = LogMel(LogMelConfig(sample_rate=4000, n_mels=MELS)), CharacterTokenizer("abcd")
    return Pretrained(features, model, tokenizer, {}).log_probs


@pytest.mark.parametrize("factor", sorted(TIME_STRIDES))
@pytest.mark.parametrize("frames", [1, 2, 7, 96, 119, 120, 121, 122, 123, 167, 168, 169, 240, 241, 350, 1001])
def test_joined_windows_equal_the_whole_where_context_covers_the_receptive_field(factor: int, frames: int) -> None:
    model = make_model(factor, memory=False)
    log_mel = torch.randn(frames, MELS, generator=torch.Generator().manual_seed(frames))
    with torch.inference_mode():
        whole = model(log_mel[None], torch.tensor([frames]))[0][0].numpy()
    windows = list(cut_windows(pieces_of(log_mel, 50), small_sizes(factor)))
    joined = stitch(compute_windows(by(model), windows), 5)
    assert joined.shape == whole.shape
    np.testing.assert_allclose(joined, whole, atol=1e-5)
    assert (len(windows) > 1) == (frames > small_sizes(factor).longest)


@pytest.mark.parametrize("factor", sorted(TIME_STRIDES))
def test_cores_lie_end_to_end_on_the_grid_and_windows_stay_bounded(factor: int) -> None:
    sizes = small_sizes(factor)
    log_mel = torch.arange(900.0)[:, None].repeat(1, MELS)  # each frame says where it is
    start = 0
    for window in cut_windows(pieces_of(log_mel, 333), sizes):
        assert len(window.log_mel) <= sizes.longest
        assert window.log_mel[0, 0] % factor == 0
        assert int(window.log_mel[window.skip * factor, 0]) == start * factor
        start += window.keep
    assert start == -(-900 // factor)


def test_a_cut_lies_in_the_pause() -> None:
    log_mel = np.zeros((300, MELS), np.float32)
    log_mel[55:65] = -5.0  # a pause within the first core's 40 to 70 frames
    sizes = WindowSizes.of(SHIFT_S, 4, longest_s=1.2, core_s=(0.4, 0.7), context_s=0.24)
    first = next(cut_windows([log_mel], sizes))
    assert 55 <= first.keep * 4 <= 65


def test_more_context_brings_the_seams_of_a_model_with_memory_nearer_to_the_whole() -> None:
    model = make_model(4, memory=True)
    log_mel = torch.randn(1000, MELS, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        whole = model(log_mel[None], torch.tensor([1000]))[0][0].numpy()
    apart = []
    for context_s in (0.0, 0.16, 0.8):
        windows = list(cut_windows([log_mel.numpy()], small_sizes(4, context_s)))
        apart.append(float(np.abs(stitch(compute_windows(by(model), windows), 5) - whole).max()))
    assert apart[0] > apart[1] > apart[2] and apart[2] < 1e-2


def test_a_pause_that_may_go_on_is_cut_only_when_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blank from 10 s to 16 s: the cut is its middle, 13 s, however much of it was there at first."""
    monkeypatch.setattr(windows_module, "PART_S", 4.0)
    tokens = np.ones(200, int)
    tokens[100:160] = BLANK_ID
    whole = Emissions(np.log(np.eye(2, dtype=np.float32)[tokens] + 1e-3), 0.1, 0.0, 20.0)
    for seconds, expected in ((15.0, []), (16.0, []), (17.0, [13.0]), (20.0, [13.0])):
        part = replace(whole, log_probs=whole.log_probs[: round(10 * seconds)], duration_s=seconds)
        assert [start_s for start_s, _ in cut_emissions(part, ended=False)[1:]] == pytest.approx(expected)
    assert [start_s for start_s, _ in cut_emissions(whole)[1:]] == pytest.approx([13.0])


@pytest.mark.parametrize("normalization", ["global", "utterance", "none"])
@pytest.mark.parametrize("edge_padding_s", [0.0, 0.1])
def test_a_long_recording_read_in_blocks_equals_the_whole(normalization: str, edge_padding_s: float) -> None:
    features = LogMel(
        LogMelConfig(sample_rate=4000, n_mels=MELS, normalization=normalization, edge_padding_s=edge_padding_s)
    ).eval()
    model = make_model(3, memory=False)
    waveform = np.random.default_rng(1).standard_normal(4000 * 130 + 13).astype(np.float32) * 0.1
    with torch.inference_mode():
        whole = model(*features(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)])))[0][0].numpy()
    reader = Reader(waveform_source(waveform, 4000), features, WindowSizes.of(SHIFT_S, 3), gate=False)
    windows = list(reader.windows())
    assert len(windows) > 2 and reader.samples == len(waveform)
    np.testing.assert_allclose(stitch(compute_windows(by(model), windows), 5), whole, atol=1e-4)


def test_a_recording_of_one_window_is_the_plain_path_to_the_bit() -> None:
    features = LogMel(LogMelConfig(sample_rate=4000, n_mels=MELS, normalization="utterance")).eval()
    model = make_model(4, memory=True)
    waveform = np.random.default_rng(2).standard_normal(4000 * 55).astype(np.float32) * 0.1
    with torch.inference_mode():
        plain = model(*features(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)])))[0][0].numpy()
    reader = Reader(waveform_source(waveform, 4000), features, WindowSizes.of(SHIFT_S, 4), gate=False)
    (window,) = reader.windows()
    assert np.array_equal(compute_windows(by(model), [window])[0], plain)


def spoken(frame_s: float = 0.04, minutes: float = 3.0) -> Emissions:
    """Words of the letters 1 to 3 with the space 4 behind each, one every 0.8 s for 8 s, then 2 s of nothing."""
    frames = round(minutes * 60 / frame_s)
    tokens, generator = np.zeros(frames, int), np.random.default_rng(1)
    for start in range(10, frames - 260, 250):
        for word in range(10):
            place = start + 20 * word
            tokens[place : place + 9 : 3], tokens[place + 12] = generator.integers(1, 4, 3), 4
    log_probs = np.full((frames, 5), np.log(0.01), np.float32)
    log_probs[np.arange(frames), tokens] = np.log(0.96)
    level = np.repeat(np.where(tokens > 0, 5.0, 0.1), 4).astype(np.float32)
    return Emissions(log_probs, frame_s, 0.1, frames * frame_s - 0.2, SpeechLevel(level, 0.01, -0.1))


def test_a_recording_decoded_in_parts_has_the_words_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    recognizer, emissions = make_recognizer(), spoken()
    recognizer.tokenizer = CharacterTokenizer("abc ")
    whole = recognizer.decode(emissions)
    assert len(cut_emissions(emissions)) == 1 and len(whole.words) > 150
    monkeypatch.setattr(windows_module, "PART_S", 25.0)
    parts = cut_emissions(emissions)
    assert len(parts) == 6 and sum(len(part.log_probs) for _, part in parts) == len(emissions.log_probs)
    assert parts[-1][0] + parts[-1][1].duration_s == pytest.approx(emissions.duration_s)
    joined = recognizer.decode(emissions)
    assert joined.text == whole.text and joined.score == pytest.approx(whole.score)
    assert joined.duration_s == pytest.approx(whole.duration_s) and joined.confidence == pytest.approx(whole.confidence)
    for one, other in zip(joined.words, whole.words, strict=True):
        assert one.text == other.text and one.confidence == pytest.approx(other.confidence)
        assert (one.start_s, one.end_s) == pytest.approx((other.start_s, other.end_s), abs=0.05)
