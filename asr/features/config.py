"""The settings of features, without the code that computes them: nothing here imports torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from asr.schema import build_named, check, check_choice

NORMALIZATIONS = ("global", "utterance", "none")
WINDOWS = ("povey", "hanning", "hamming", "blackman", "rectangular")  # Kaldi's
MINIMUM_FLOOR = 1e-37  # float32 holds no smaller normal number, and the log of 0 would make every output NaN
Count = TypeVar("Count")  # an int, or a tensor of them


@dataclass(kw_only=True, slots=True)
class FeaturesConfig:
    """``window_s`` and ``frame_shift_s`` in seconds; ``f_max_hz`` None means half the sample rate.

    ``normalization``: "global" (mean and standard deviation per mel bin, learned from training data), "utterance" (each
    recording's own mean is subtracted first, which removes the channel; then the global scale), or "none".
    ``level_db``: first each recording's constant offset is removed and its speech set to this level, in dB of full
    scale (``asr.features.level``), so that neither changes a word; None: as recorded. ``edge_padding_s`` of silence is
    put before and after each recording: closely trimmed ones leave CTC too few frames to spell in.
    """

    sample_rate: int = 16000  # everything is resampled to it
    window_s: float = 0.025
    frame_shift_s: float = 0.010
    n_mels: int = 80
    f_min_hz: float = 20.0
    f_max_hz: float | None = None  # null: half the sample rate
    normalization: str = "global"  # global | utterance | none
    level_db: float | None = -35.0  # each recording's level, after its DC offset is removed; null: as recorded
    edge_padding_s: float = 0.0  # silence put before and after each recording, where trimming leaves CTC too few frames

    def __post_init__(self) -> None:
        check(4000 <= self.sample_rate <= 384_000, f"features.sample_rate={self.sample_rate} must be 4000 to 384000")
        check(self.frame_shift_s > 0, f"features.frame_shift_s={self.frame_shift_s} must be above 0")
        check(self.window_s >= self.frame_shift_s, "features.window_s must be at least features.frame_shift_s")
        check(
            self.hop_length >= 1,
            f"features.frame_shift_s={self.frame_shift_s} is less than one sample at {self.sample_rate} Hz",
        )
        check(1 <= self.n_mels <= 256, f"features.n_mels={self.n_mels} must be 1 to 256")
        good = 0 <= self.f_min_hz < self.top_hz <= self.sample_rate / 2
        check(
            good,
            f"features.f_min_hz={self.f_min_hz} and f_max_hz={self.top_hz} must satisfy"
            " 0 <= f_min < f_max <= sample_rate / 2",
        )
        check(0 <= self.edge_padding_s <= 10, f"features.edge_padding_s={self.edge_padding_s} must be 0 to 10")
        check(
            self.level_db is None or -80 <= self.level_db <= 0,
            f"features.level_db={self.level_db} must be -80 to 0 dB of full scale, or null",
        )
        check_choice("features.normalization", self.normalization, NORMALIZATIONS)

    @property
    def top_hz(self) -> float:
        """``f_max_hz``, or half the sample rate."""
        return self.sample_rate / 2 if self.f_max_hz is None else self.f_max_hz

    @property
    def hop_length(self) -> int:
        """Samples from one frame to the next."""
        return round(self.frame_shift_s * self.sample_rate)

    @property
    def window_length(self) -> int:
        """Samples under the window."""
        return round(self.window_s * self.sample_rate)

    @property
    def n_fft(self) -> int:
        """The power of two that holds the window."""
        return 1 << (self.window_length - 1).bit_length()

    @property
    def edge_samples(self) -> int:
        """Samples of silence before and after each recording: a whole number of frame shifts."""
        return round(self.edge_padding_s / self.frame_shift_s) * self.hop_length

    @property
    def reads(self) -> tuple[int, int]:
        """Frame t reads samples ``t * hop_length - edge_samples`` plus these two (first, one after the last)."""
        raise NotImplementedError

    def whole_frames(self, samples: Count) -> Count:
        """Frames that fit into recordings of so many samples, more than 0; a recording has one at least."""
        raise NotImplementedError

    @property
    def first_frame_s(self) -> float:
        """The moment of the recording, in seconds, that frame 0 is centred on; negative with edge padding."""
        return (sum(self.reads) / 2 - self.edge_samples) / self.sample_rate


@dataclass(kw_only=True, slots=True)
class LogMelConfig(FeaturesConfig):
    """See ``FeaturesConfig``. Power below ``log_floor`` counts as ``log_floor``. With edge padding frame 0 is centred
    on ``-edge_padding_s``.
    """

    name: str = "log_mel"
    log_floor: float = 1e-8  # power below this counts as this

    def __post_init__(self) -> None:
        FeaturesConfig.__post_init__(self)
        check(self.log_floor >= MINIMUM_FLOOR, f"features.log_floor={self.log_floor} must be at least {MINIMUM_FLOOR}")

    @property
    def reads(self) -> tuple[int, int]:
        """Half a transform before the grid and half a one after it."""
        return -(self.n_fft // 2), self.n_fft // 2

    def whole_frames(self, samples: Any) -> Any:
        """``1 + (samples + 2 * edge_samples) // hop_length``."""
        return (samples + 2 * self.edge_samples) // self.hop_length + 1


@dataclass(kw_only=True, slots=True)
class KaldiFbankConfig(FeaturesConfig):
    """See ``FeaturesConfig``; Kaldi's names for its keys are ``--num-mel-bins``, ``--frame-length``,
    ``--frame-shift`` (in milliseconds there), ``--low-freq`` and ``--high-freq``.

    ``window_type``, ``preemphasis`` (``--preemphasis-coefficient``, 0 for none) and ``remove_dc_offset`` are Kaldi's.
    Frame 0 is centred half a window after the start of the recording (less the edge padding).
    """

    name: str = "kaldi"
    window_type: str = "povey"  # povey | hanning | hamming | blackman | rectangular
    preemphasis: float = 0.97
    remove_dc_offset: bool = True

    def __post_init__(self) -> None:
        FeaturesConfig.__post_init__(self)
        check_choice("features.window_type", self.window_type, WINDOWS)
        check(0 <= self.preemphasis <= 1, f"features.preemphasis={self.preemphasis} must be in [0, 1]")
        check(self.n_mels > 3, f"features.n_mels={self.n_mels} must be above 3 with features=kaldi")

    @property
    def hop_length(self) -> int:
        """Samples from one frame to the next; Kaldi rounds down."""
        return int(self.sample_rate * (self.frame_shift_s * 1000) * 0.001)

    @property
    def window_length(self) -> int:
        """Samples under the window; Kaldi rounds down."""
        return int(self.sample_rate * (self.window_s * 1000) * 0.001)

    @property
    def reads(self) -> tuple[int, int]:
        """A window that begins on the grid."""
        return 0, self.window_length

    def whole_frames(self, samples: Any) -> Any:
        """The windows that fit, ``1 + (samples + 2 * edge_samples - window_length) // hop_length``."""
        return (samples + 2 * self.edge_samples - self.window_length) // self.hop_length + 1


AnyFeaturesConfig = LogMelConfig | KaldiFbankConfig


def build_features_config(values: Mapping[str, Any]) -> AnyFeaturesConfig:
    """The config of ``values["name"]``, log-mel without one (model directories of earlier versions have none).

    Raises ConfigError for an unknown name, key or value.
    """
    choices: tuple[type[AnyFeaturesConfig], ...] = (LogMelConfig, KaldiFbankConfig)
    return build_named(choices, values, "features")
