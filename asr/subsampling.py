"""The settings of subsampling (asr/models/encoder.py), which recognition by onnxruntime needs without torch."""

from dataclasses import dataclass

from asr.schema import check

TIME_STRIDES = {1: (1, 1), 2: (2, 1), 3: (3, 1), 4: (2, 2), 6: (3, 2), 8: (2, 2, 2)}


@dataclass(kw_only=True, slots=True)
class SubsamplingConfig:
    """``factor``: frames per output frame, one of 1, 2, 3, 4, 6, 8. ``channels``: maps per convolution.

    ``output_size``: width handed to the encoder. ``dropout`` acts on it.
    """

    factor: int = 4  # log-mel frames per output frame: 1, 2, 3, 4, 6, 8
    channels: int = 32
    output_size: int = 256
    dropout: float = 0.1

    def __post_init__(self) -> None:
        known = ", ".join(map(str, TIME_STRIDES))
        check(self.factor in TIME_STRIDES, f"model.subsampling.factor={self.factor} must be one of {known}")
        for key in ("channels", "output_size"):
            check(getattr(self, key) >= 1, f"model.subsampling.{key}={getattr(self, key)} must be at least 1")
        check(0.0 <= self.dropout < 1.0, f"model.subsampling.dropout={self.dropout} must be in [0, 1)")
