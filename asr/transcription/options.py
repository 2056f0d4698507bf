"""The options of a transcription job and of its decoder, as typed values.

In: values, from a command line or a request. Out: `TranscribeOptions` and `DecoderOptions`.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.errors import UsageError
from asr.transcription.cues import DEFAULT_LIMITS, CueLimits

if TYPE_CHECKING:
    from asr.recognition.hypothesis import Channel

NONE = Path("none")
DEFAULT_BOOST = 5.0  # nats added for a hotword


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderOptions:
    """How to decode; None leaves the default. The name is "beam" where only a beam search can do what is asked."""

    name: str | None = None  # "greedy" or "beam"
    beam_width: int | None = None
    language_model: Path | None = None  # Path("none"): without one, whatever the model directory holds
    lm_weight: float | None = None
    word_score: float | None = None
    lexicon: Path | None = None
    pronunciations: Path | None = None  # Path("none"): by letters, whatever the model directory holds
    hotwords: tuple[tuple[str, float], ...] = ()
    n_best: int = 1

    def given(self) -> dict[str, Any]:
        """The keys of `asr.decoding.DecodingConfig` that were asked for, with their values."""
        values: dict[str, Any] = {
            "beam_width": self.beam_width,
            "language_model": None if self.language_model in (None, NONE) else str(self.language_model),
            "lm_weight": self.lm_weight,
            "word_score": self.word_score,
            "lexicon": None if self.lexicon is None else str(self.lexicon),
            "pronunciations": None if self.pronunciations in (None, NONE) else str(self.pronunciations),
            "hotwords": dict(self.hotwords) or None,
            "n_best": self.n_best if self.n_best > 1 else None,
        }
        given = {key: value for key, value in values.items() if value is not None}
        if self.language_model == NONE:
            given["language_model"] = None
        if self.pronunciations == NONE:
            given["pronunciations"] = None
        name = self.name or ("beam" if given else None)
        return given if name is None else {"name": name, **given}


def check_lm_weight(lm_weight: float | None, language_model: str | None) -> None:
    """Raise UsageError where a weight was asked for and, all read, there is no ``language_model`` to weigh."""
    if lm_weight is not None and language_model is None:
        raise UsageError("--lm-weight: the model directory holds no language model; give one with --lm FILE")


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscribeOptions:
    """How a job transcribes, and where to; ``formats`` in the order given, without repetitions.

    Without ``output_dir`` and ``beside`` no files are written, and the job's observer receives the texts.
    """

    model: Path
    formats: tuple[str, ...] = ("txt",)
    output_dir: Path | None = None
    beside: bool = False  # each file next to its recording
    skip_existing: bool = False
    overwrite: bool = False
    keep_tiers: bool = False  # of the TextGrid or eaf beside a recording, in eaf and textgrid
    channel: "Channel" = None  # None: the mean of all channels; "split": each by itself
    track: int | None = None  # of a container's audio tracks, from 0; None: the best
    cue_limits: CueLimits = DEFAULT_LIMITS
    words: bool = True
    speech_gate: bool = True
    batch_s: float = 60.0
    workers: int | None = None
    device: str = "auto"
    backend: str = "auto"  # auto, torch, onnx or onnx-int8
    engine: str = "local"  # or ray: on a cluster
    decoder: DecoderOptions = DecoderOptions()

    @property
    def to_files(self) -> bool:
        """Whether transcripts are written to files."""
        return self.beside or self.output_dir is not None

    def settings(self) -> dict[str, Any]:
        """What a transcript depends on besides the recording and the model; for json and for skip_existing."""
        usual = asdict(DEFAULT_LIMITS)
        limits = {key: value for key, value in asdict(self.cue_limits).items() if value != usual[key]}
        return {
            "decoding": self.decoder.given(),
            "channel": self.channel,
            "words": self.words,
            "speech_gate": self.speech_gate,
            "backend": self.backend,
            # only where given: transcripts of earlier versions stay up to date
            **({} if self.track is None else {"track": self.track}),
            **({"cue_limits": limits} if limits else {}),
        }
