"""Streams: with everything as look-ahead they give what whole recordings give; what is settled never changes."""

import gc
import sys
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from asr.decoding.beam import BeamDecoder
from asr.decoding.config import DecodingConfig
from asr.errors import AudioError, ConfigError
from asr.features import LogMel, LogMelConfig
from asr.models import AcousticModel, SubsamplingConfig, build_model_config
from asr.pretrained import Pretrained
from asr.recognition import Recognizer, StreamEvent
from asr.recognition.bounds import SpeechLevel
from asr.recognition.streaming import _StreamingText
from asr.text.tokenizer import CharacterTokenizer, WordTokenizer
from tests.recognition.test_gate import emissions

RATE = 8000
EVERYTHING = 50.0


def make_recognizer(name: str = "bilstm", features: dict[str, Any] | None = None, **options: Any) -> Recognizer:
    """Random, sharpened weights: long texts that depend on every frame."""
    torch.manual_seed(4)
    values: dict[str, Any] = {"sample_rate": RATE, "n_mels": 16, "normalization": "utterance", "edge_padding_s": 0.1}
    frontend = LogMel(LogMelConfig(**{**values, **(features or {})}))
    frontend.set_normalisation(torch.zeros(16), torch.full((16,), 2.0))
    tokenizer = WordTokenizer.from_texts(["a b c d e f"])
    subsampling = SubsamplingConfig(factor=2, channels=4, output_size=16)
    config = build_model_config({"name": name, "num_layers": 2, "hidden_size": 12, "subsampling": subsampling})
    model = AcousticModel(config, 16, tokenizer.vocab_size)
    with torch.no_grad():
        for weight in (model.head.weight, *model.encoder.parameters()):
            weight.mul_(6)
    pretrained = Pretrained(frontend.eval(), model.eval(), tokenizer, {})
    return Recognizer(pretrained, torch.device("cpu"), **{"speech_gate": False, **options})


def make_sound(seconds: float, seed: int, rate: int = RATE) -> np.ndarray:
    generator = np.random.default_rng(seed)
    level = np.repeat(generator.uniform(0, 0.5, int(seconds * 20) + 1), rate // 20)[: int(seconds * rate)]
    return (level * np.cumsum(generator.standard_normal(level.size)) / 50).clip(-1, 1).astype(np.float32)


def events_of(recognizer: Recognizer, sound: np.ndarray, block: int = 800, **options: Any) -> list[StreamEvent]:
    stream = recognizer.stream(**options)
    fed = [stream.feed(sound[start : start + block]) for start in range(0, len(sound), block)]
    return [event for events in (*fed, stream.finish()) for event in events]


def text_of(events: list[StreamEvent]) -> str:
    return " ".join(event.text for event in events if event.kind == "segment")


@pytest.mark.parametrize("seconds", [0.02, 0.4, 3.0, 9.0])
@pytest.mark.parametrize("gate", [False, True])
def test_with_the_whole_recording_as_look_ahead_the_result_is_that_of_the_whole(seconds: float, gate: bool) -> None:
    recognizer, sound = make_recognizer(speech_gate=gate), make_sound(seconds, 7)
    expected = recognizer.transcribe(sound, sample_rate=RATE)
    events = events_of(recognizer, sound, chunk_s=0.3, look_ahead_s=EVERYTHING)
    assert text_of(events) == expected.text
    words = [word for event in events if event.kind == "words" for word in event.words]
    assert [word.text for word in words] == [word.text for word in expected.words]
    for one, other in zip(words, expected.words, strict=True):
        assert (one.start_s, one.end_s) == pytest.approx((other.start_s, other.end_s), abs=1e-6)
        assert one.confidence == pytest.approx(other.confidence, abs=1e-3)
    assert gate or seconds < 1 or len(expected.words) > 5


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_one_direction_without_look_ahead_equals_the_whole(name: str) -> None:
    recognizer = make_recognizer(name, {"normalization": "global", "level_db": None})
    sound = make_sound(5.0, 3)
    events = events_of(recognizer, sound, chunk_s=0.2, pause_s=20.0)
    assert text_of(events) == recognizer.transcribe(sound, sample_rate=RATE).text
    assert len([event for event in events if event.kind == "words"]) > 5, "they settled along the way"
    stream, behind_s = recognizer.stream(chunk_s=0.2), []
    for start in range(0, len(sound), 400):
        stream.feed(sound[start : start + 400])
        behind_s.append(stream.heard_s - stream._sound._outputs * recognizer.frame_s)
    assert max(behind_s) < 0.2 + 0.1, "a chunk is computed when its own sound is there"


@pytest.mark.parametrize("name", ["greedy", "beam"])
def test_neither_blocks_nor_their_sample_type_change_an_event(name: str) -> None:
    decoder: dict[str, Any] = {} if name == "greedy" else {"decoder": make_beam()}
    recognizer, sound = make_recognizer(**decoder), np.round(make_sound(4.0, 5) * 32000).astype(np.int16)
    expected = events_of(recognizer, sound.astype(np.float32) / 32768, 10**6, chunk_s=0.4, look_ahead_s=0.3)
    assert len(expected) > 8
    for block in (97, 3200):
        assert events_of(recognizer, sound, block, chunk_s=0.4, look_ahead_s=0.3) == expected


@pytest.mark.parametrize("block", [5, 8, 9])
def test_short_blocks_of_several_channels_are_samples_by_channels(block: int) -> None:
    recognizer, sound = make_recognizer(), make_sound(1.003, 5)
    both = np.stack([sound * 2, np.zeros_like(sound)], axis=1)  # whose mean is the sound
    assert events_of(recognizer, both, block) == events_of(recognizer, sound) != []


def make_beam() -> BeamDecoder:
    return BeamDecoder(WordTokenizer.from_texts(["a b c d e f"]), DecodingConfig(name="beam", beam_width=8))


class Sound:
    """Emissions that come a few frames at a time, as from a model; a second of sound is 25 frames."""

    frame_s, edge_s, rate, columns = 0.04, 0.0, 100, 6

    def __init__(self) -> None:
        self.samples = 0

    def speech_level(self, start_s: float, stop_s: float) -> SpeechLevel:
        return SpeechLevel(np.zeros(0, np.float32), 0.01)

    def forget(self, before_s: float) -> None:
        pass


@pytest.mark.parametrize("decoder", ["greedy", "beam"])
@pytest.mark.parametrize("frames", [1, 3, 7])
def test_words_settle_when_the_next_begins_and_segments_end_at_pauses(decoder: str, frames: int) -> None:
    tokenizer = CharacterTokenizer("abcd ")
    letters = {letter: tokenizer.encode(letter)[0] for letter in "abcd "}
    path = [letters.get(letter, 0) for letter in "____aa_b_ _cc_d__ _a__b___" + 30 * "_" + "_c_ _d_dd__" + 30 * "_"]
    recognizer = make_recognizer()
    recognizer.tokenizer = tokenizer
    if decoder == "beam":
        recognizer.decoder = BeamDecoder(tokenizer, DecodingConfig(name="beam", beam_width=4))
    sound = Sound()
    live, events = _StreamingText(recognizer, sound, pause_s=1.0), []  # type: ignore[arg-type]
    log_probs, settled_at = emissions(path, 0.999, vocab=6), None
    for start in range(0, len(path), frames):
        part = log_probs[start : start + frames]
        sound.samples += 4 * len(part)
        found = live.add(part)
        events += found
        if any(event.kind == "words" for event in found) and settled_at is None:
            settled_at = start + len(part)
    events += live.add(log_probs[:0], last=True)
    assert [event.text for event in events if event.kind == "segment"] == ["ab cd ab", "c dd"]
    assert settled_at is not None and 10 <= settled_at < 10 + frames, "with the space behind it"
    words = [word for event in events if event.kind == "words" for word in event.words]
    assert [word.text for word in words] == ["ab", "cd", "ab", "c", "dd"]
    assert [word for event in events if event.kind == "segment" for word in event.words] == words
    times = [time for word in words for time in (word.start_s, word.end_s)]
    assert times == sorted(times) and times[0] >= 0 and times[-1] <= len(path) * 0.04
    for word, first, last in zip(words, (4, 11, 19, 57, 61), (7, 14, 22, 57, 64), strict=True):
        assert word.start_s < (last + 1) * 0.04 and word.end_s > (first - 6) * 0.04, "where its letters are"


def test_samples_at_another_rate_are_resampled_as_those_of_a_whole() -> None:
    recognizer, sound = make_recognizer(), np.diff(make_sound(3.0, 8, 16000), prepend=0)
    events = events_of(recognizer, sound, 500, look_ahead_s=EVERYTHING, sample_rate=16000)
    assert text_of(events) == recognizer.transcribe(sound, sample_rate=16000).text != ""


def test_without_word_times_the_text_is_the_same() -> None:
    sound = make_sound(4.0, 5)
    timed = events_of(make_recognizer(), sound, chunk_s=0.4, look_ahead_s=0.3)
    plain = events_of(make_recognizer(words=False), sound, chunk_s=0.4, look_ahead_s=0.3)
    assert text_of(plain) == text_of(timed) and not any(event.words for event in plain)
    assert [one.text for one in plain if one.kind == "words"] == [one.text for one in timed if one.kind == "words"]


@pytest.mark.parametrize(("decoder", "gate"), [("greedy", True), ("beam", False)])
def test_a_long_stream_takes_no_more_memory_than_a_short_one(
    monkeypatch: pytest.MonkeyPatch, decoder: str, gate: bool
) -> None:
    """Of a sound that repeats: tokens without a pause (which the gate takes for no speech), then silence."""
    for name in ("features.streaming.HEARD_S", "recognition.streaming.LEVEL_S", "recognition.streaming.MAX_WINDOW_S"):
        monkeypatch.setattr(f"asr.{name}", 1.0)
    beam: dict[str, Any] = {"decoder": make_beam()} if decoder == "beam" else {}
    recognizer = make_recognizer(speech_gate=gate, **beam)
    stream = recognizer.stream(chunk_s=0.5, look_ahead_s=0.5)
    turn = np.concatenate((make_sound(4.0, 7), np.zeros(2 * RATE, np.float32)))
    most, segments = [], 0
    for _ in range(8):
        held = []
        for start in range(0, len(turn), RATE):
            segments += sum(event.kind == "segment" for event in stream.feed(turn[start : start + RATE]))
            held.append(bytes_held(stream))
        most.append(max(held))
    assert max(most[6:]) < max(most[:2]) + 1000, "the first 12 s and those after 36 s"
    assert gate or segments >= 16


def bytes_held(root: object) -> int:
    """Of all objects that ``root`` leads to, the model and the code left out."""
    waiting, seen, total = [root], set(), 0
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, (type, ModuleType, FunctionType, torch.nn.Module)):
            continue
        seen.add(id(one))
        total += sys.getsizeof(one) + (one.nbytes if isinstance(one, torch.Tensor) else 0)
        waiting += [one.base] if isinstance(one, np.ndarray) else gc.get_referents(one)
    return total


@pytest.mark.parametrize(("unit", "frames"), [("a_b_ " + 12 * "_", 10), ("a_b_ " + 12 * "_", 500), ("a_b_ ", 10)])
def test_a_segment_without_a_pause_ends_at_a_shorter_one(
    monkeypatch: pytest.MonkeyPatch, unit: str, frames: int
) -> None:
    """Beyond 4 s the pause of 1 s shrinks, to nothing at 8 s: 12 frames of 0.04 s are enough from 6.08 s on."""
    monkeypatch.setattr("asr.recognition.streaming.MAX_WINDOW_S", 4.0)
    tokenizer, recognizer, sound = CharacterTokenizer("abcd "), make_recognizer(), Sound()
    recognizer.tokenizer = tokenizer
    live, events = _StreamingText(recognizer, sound, pause_s=1.0), []  # type: ignore[arg-type]
    path = [tokenizer.encode(letter)[0] if letter != "_" else 0 for letter in unit * 60]
    log_probs = emissions(path, 0.999, vocab=6)
    for start in range(0, len(path), frames):
        sound.samples += 4 * len(log_probs[start : start + frames])
        events += live.add(log_probs[start : start + frames])
    events += live.add(log_probs[:0], last=True)
    segments = [event for event in events if event.kind == "segment"]
    assert " ".join(one.text for one in segments).split() == ["ab"] * 60
    lengths = np.diff([one.start_s for one in segments])
    assert len(lengths) >= 1 and lengths.min() > 6 and lengths.max() < 8 + 10 * 0.04
    if len(unit) > 5:
        assert lengths.max() < 6.08 + 2 * len(unit) * 0.04


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chunk_s": 0.0}, "chunk_s=0.0 must be more than 0 to 56 seconds"),
        ({"chunk_s": float("nan")}, "chunk_s=nan must be"),
        ({"look_ahead_s": -0.5}, "look_ahead_s=-0.5 must be 0 to 56 seconds"),
        ({"pause_s": 99}, "pause_s=99 must be"),
        ({"sample_rate": 100}, "sample_rate=100 must be a whole number of Hz"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_recognizer().stream(**options)


def test_misuse_is_refused_in_one_sentence() -> None:
    with pytest.raises(ConfigError, match="model=transformer looks at whole recordings"):
        make_recognizer("transformer").stream()
    stream = make_recognizer().stream()
    with pytest.raises(AudioError, match="NaN"):
        stream.feed(np.full(10, np.nan))
    assert stream.feed([]) == [] and stream.finish() == [] and stream.finish() == []
    with pytest.raises(ConfigError, match="another one"):
        stream.feed(np.zeros(10, np.float32))
