"""What decoding finds: clipping, silence, offset, bandwidth, equal sound. Signals are made with a known answer."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.audio import resample
from asr.data.manifest import Utterance
from asr.data.quality import Finding
from asr.data.quality.check import check_utterances
from asr.data.quality.sound import SoundStatistics, analyse, analyse_all, flat_tops
from asr.data.quality.splits import check_splits
from asr.errors import AudioError

RATE = 16_000


def noise(seconds: float = 3.0, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """Noise that falls off like speech: 6 dB an octave."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=round(seconds * rate)))
    spectrum[1:] /= np.maximum(1, np.arange(1, len(spectrum)) / len(spectrum) * 30)
    waveform = np.fft.irfft(spectrum)
    scaled: np.ndarray = (0.1 * waveform / waveform.std()).astype(np.float32)
    return scaled


def stored(folder: Path, name: str, waveform: np.ndarray, rate: int = RATE, text: str = "") -> Utterance:
    soundfile.write(folder / name, waveform, rate)
    return Utterance(
        id=name, audio=str(folder / name), duration_s=len(waveform) / rate, text=text or f"words of {name}"
    )


def found(utterances: list[Utterance]) -> list[Finding]:
    return check_utterances(utterances, None, analyse_all(utterances))


def test_nothing_is_said_of_clean_sound(tmp_path: Path) -> None:
    assert found([stored(tmp_path, f"{n}.wav", noise(seed=n)) for n in range(6)]) == []


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda w: np.clip(8 * w, -1, 1), "clipped"),
        (lambda w: 0.3 * np.clip(8 * w, -1, 1), "clipped"),  # clipped, then made softer
        (lambda w: 0 * w, "silent"),
        (lambda w: w + 0.1, "offset (DC)"),
        (lambda w: np.concatenate([w[:1_600], np.zeros(32_000)]), "mostly silence"),
        (lambda w: resample(resample(w, RATE, 8_000), 8_000, RATE), "narrow band"),
    ],
)
def test_one_error_of_sound_gives_one_finding(tmp_path: Path, change, kind: str) -> None:  # type: ignore[no-untyped-def]
    utterance = stored(tmp_path, "a.wav", change(noise()))

    assert [(one.kind, one.where) for one in found([utterance])] == [(kind, "a.wav")]


def test_flat_tops_are_runs_of_three_at_the_top_of_each_polarity() -> None:
    waveform = np.array([0, 1, 1, 1, 0, -0.5, -0.5, -0.5, -0.5, 0, 1, 1, 0], np.float32)

    assert flat_tops(waveform) == (7, 2)  # three above, four below; the pair is no run


@pytest.mark.parametrize("cut_hz", [3_400, 4_000, 6_000])
def test_the_bandwidth_is_where_a_low_pass_cut(tmp_path: Path, cut_hz: int) -> None:
    spectrum = np.fft.rfft(noise())
    spectrum[np.fft.rfftfreq(3 * RATE, 1 / RATE) > cut_hz] = 0
    utterance = stored(tmp_path, "a.wav", np.fft.irfft(spectrum))

    assert abs(analyse(utterance).bandwidth_hz - cut_hz) <= 500


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_sound_up_to_half_the_rate_has_the_whole_bandwidth(tmp_path: Path, rate: int) -> None:
    assert analyse(stored(tmp_path, "a.wav", noise(rate=rate), rate)).bandwidth_hz == rate / 2


def test_clipping_of_one_channel_is_found_although_the_mix_hides_it(tmp_path: Path) -> None:
    stereo = np.stack([np.clip(8 * noise(), -1, 1), noise(seed=1)], axis=1)
    utterance = stored(tmp_path, "a.wav", stereo)
    utterance = replace(utterance, duration_s=3.0)

    assert [one.kind for one in found([utterance])] == ["clipped"]
    assert found([replace(utterance, channel=1)]) == []


def test_rates_and_channels_and_bandwidths_that_mix_are_reported(tmp_path: Path) -> None:
    wide = [stored(tmp_path, f"w{n}.wav", noise(seed=n)) for n in range(10)]
    narrow = [stored(tmp_path, f"n{n}.wav", noise(rate=8_000, seed=50 + n), 8_000) for n in range(10)]

    kinds = {one.kind for one in found([*wide, *narrow])}

    assert kinds == {"mixed sample rates", "mixed bandwidths"}


def test_the_same_sound_is_found_under_another_name_and_format(tmp_path: Path) -> None:
    samples = np.round(noise() * 32_767).astype(np.int16)
    first = stored(tmp_path, "a.wav", samples, text="one text")
    same = stored(tmp_path, "b.flac", samples, text="one text")
    other = stored(tmp_path, "c.wav", noise(seed=1), text="one text")

    twice = [one for one in found([first, same, other]) if one.kind == "same sound twice"]
    two_texts = [one for one in found([first, replace(same, text="another")]) if "two texts" in one.kind]

    assert [one.ids for one in twice] == [("b.flac",)]
    assert [one.ids for one in two_texts] == [("a.wav", "b.flac")]


def test_the_same_sound_in_two_splits_is_an_error_of_the_first(tmp_path: Path) -> None:
    train, test = [stored(tmp_path, "a.wav", noise())], [stored(tmp_path, "b.wav", noise())]

    findings = check_splits({"train": train, "test": test}, {"train": analyse_all(train), "test": analyse_all(test)})

    assert [(one.severity, one.kind, one.ids) for one in findings] == [
        ("error", "same sound in two splits", ("a.wav",))
    ]


def test_another_bandwidth_between_splits_is_reported(tmp_path: Path) -> None:
    spectrum = np.fft.rfft(noise(seed=1))
    spectrum[np.fft.rfftfreq(3 * RATE, 1 / RATE) > 6_000] = 0
    train = [stored(tmp_path, "a.wav", noise())]
    test = [stored(tmp_path, "b.wav", np.fft.irfft(spectrum))]

    findings = check_splits({"train": train, "test": test}, {"train": analyse_all(train), "test": analyse_all(test)})

    assert [one.kind for one in findings] == ["other bandwidth between splits"]
    assert "train up to 8,000 Hz (1); test up to 6,000 Hz (1)" in findings[0].message


def test_sound_that_breaks_off_is_an_error_and_the_rest_is_analysed(tmp_path: Path) -> None:
    good, bad = stored(tmp_path, "a.wav", noise()), stored(tmp_path, "b.wav", noise(seed=1))
    beyond = replace(bad, start_s=4.0)

    sounds = analyse_all([good, beyond])

    assert isinstance(sounds["a.wav"], SoundStatistics) and isinstance(sounds["b.wav"], AudioError)


def test_the_errors_of_many_recordings_do_not_keep_their_sound(tmp_path: Path) -> None:
    samples = noise()
    samples[-1] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    bad = replace(stored(tmp_path, "b.wav", noise()), audio=str(tmp_path / "a.wav"))
    many = [replace(bad, id=str(number)) for number in range(20)]
    analyse_all([bad])

    tracemalloc.start()
    try:
        sounds = analyse_all(many)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert all(isinstance(one, AudioError) for one in sounds.values()) and held < 4 * len(samples)
