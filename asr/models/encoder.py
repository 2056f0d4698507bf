"""What every encoder's configuration says, recurrent or not: depth, width, dropout, the subsampling before it."""

from dataclasses import dataclass, field

from asr.models.subsampling import SubsamplingConfig
from asr.schema import check


@dataclass(kw_only=True, slots=True)
class EncoderConfig:
    """``dropout`` acts inside; ``input_dropout`` before the first layer, ``output_dropout`` after the last."""

    name: str = ""
    num_layers: int = 3
    hidden_size: int = 320
    dropout: float = 0.2
    input_dropout: float = 0.0
    output_dropout: float = 0.0
    subsampling: SubsamplingConfig = field(default_factory=SubsamplingConfig)

    def __post_init__(self) -> None:
        # a model directory from elsewhere must not keep the machine busy building layers before its weights are seen
        check(1 <= self.num_layers <= 64, f"model.num_layers={self.num_layers} must be 1 to 64")
        check(self.hidden_size >= 1, f"model.hidden_size={self.hidden_size} must be at least 1")
        for key in ("dropout", "input_dropout", "output_dropout"):
            share = getattr(self, key)
            check(0.0 <= share < 1.0, f"model.{key}={share} must be in [0, 1)")
