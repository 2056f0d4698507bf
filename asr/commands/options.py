"""Arguments that several verbs share: types for argparse, decoding options, scoring options.

In: arguments as text. Out: checked values, `DecoderOptions` and `ScoringOptions`, or a usage error that names the
argument; and the report of a scoring on stdout, which `asr score` and `asr evaluate` print alike.
"""

import argparse
import contextlib
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from asr.errors import ConfigError, ModelError, UsageError
from asr.onnx import BACKENDS
from asr.text.normalize import NORMALIZERS, Normalizer, get_normalizer
from asr.transcription import FORMATS
from asr.transcription.options import DEFAULT_BOOST, NONE, DecoderOptions

if TYPE_CHECKING:
    from asr.scoring import ScoreReport


def number(text: str) -> float:
    """A finite number, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def seconds(text: str) -> float:
    """More than 0 seconds, for argparse."""
    value = number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} must be more than 0 seconds")
    return value


def count(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def whole_number(text: str) -> int:
    """A whole number, 0 included, for argparse."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def formats(text: str, *more: str) -> tuple[str, ...]:
    """Names of transcript formats, or of ``more``, with commas between, for argparse."""
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in (*FORMATS, *more)]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown) or text!r}; choose from {', '.join(FORMATS)}")
    return tuple(dict.fromkeys(names))


def channel(text: str) -> int | None:
    """A channel from 0, or None for ``mix``, for argparse."""
    if text == "mix":
        return None
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is neither a channel number (0, 1, ...) nor mix")
    return int(text)


MODEL_HELP = "a model directory, such as runs/fsdd/model, or english, which comes with the package"


def add_device(group: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """Add --device and --backend."""
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: auto)")
    group.add_argument(
        "--backend",
        choices=BACKENDS,
        default="auto",
        help="what runs the acoustic model; auto: onnx on the CPU where onnx and onnxruntime are installed and the "
        "model has an ONNX form, which starts sooner and gives the same texts; else torch (default: auto)",
    )


def add_decoding(group: "argparse._ArgumentGroup", *, where: str) -> None:
    """Add the decoding options to a parser's group; ``where``: the output that holds the n-best hypotheses."""
    group.add_argument(
        "--decoder",
        choices=("greedy", "beam"),
        help="default: as tuned (asr lm tune), else beam if another option needs it, else greedy",
    )
    group.add_argument("--beam-width", type=count, metavar="N", help="hypotheses kept after each frame")
    group.add_argument(
        "--lm", type=Path, metavar="FILE", help="language model, binary or ARPA; none: decode without one"
    )
    group.add_argument("--lm-weight", type=number, metavar="X", help="weight of the language model")
    group.add_argument(
        "--word-score", type=number, metavar="X", help="score added per word, in nats; above 0: more words"
    )
    group.add_argument(
        "--lexicon", type=Path, metavar="FILE", help="file of allowed words, one per line; no others are recognised"
    )
    group.add_argument(
        "--pronunciations", type=Path, metavar="FILE",
        help="pronouncing dictionary, for a model with phones; only its words are recognised; none: by letters",
    )  # fmt: skip
    group.add_argument(
        "--hotword", type=hotword, action="append", default=[], metavar="WORD[:BOOST]",
        help=f"prefer a word or phrase; may be repeated (default boost, in nats: {DEFAULT_BOOST})",
    )  # fmt: skip
    group.add_argument(
        "--n-best", type=count, default=1, metavar="N", help=f"hypotheses per recording, in {where} (default: 1)"
    )


def decoder_options(found: argparse.Namespace) -> DecoderOptions:
    """The parsed decoding options. Raises UsageError for options that do not go together."""
    decoder = DecoderOptions(
        name=found.decoder,
        beam_width=found.beam_width,
        language_model=found.lm,
        lm_weight=found.lm_weight,
        word_score=found.word_score,
        lexicon=found.lexicon,
        pronunciations=found.pronunciations,
        hotwords=tuple(found.hotword),
        n_best=found.n_best,
    )
    _check(decoder)
    return decoder


def _option(key: str) -> str:
    """The option for a key of ``DecodingConfig``."""
    return {"name": "--decoder", "language_model": "--lm", "hotwords": "--hotword"}.get(
        key, f"--{key.replace('_', '-')}"
    )


@contextlib.contextmanager
def naming_options(keys: Iterable[str]) -> Iterator[None]:
    """Errors about these keys of ``DecodingConfig``, which were given as options, name the options."""
    try:
        yield
    except (ConfigError, ModelError) as error:
        text = str(error)
        for key in keys:
            text = re.sub(rf"\bdecoding\.{key}=", f"{_option(key)} ", text)
            text = re.sub(rf"\bdecoding\.{key}\b", _option(key), text)
        raise type(error)(text) from error.__cause__


def _check(decoder: DecoderOptions) -> None:
    beam = {key for key in decoder.given() if key != "name"}
    if decoder.name == "greedy" and beam:
        options = ", ".join(sorted(map(_option, beam)))
        raise UsageError(f"--decoder greedy does not use {options}; leave out one or the other")
    if decoder.lm_weight is not None and decoder.lm_weight < 0:
        raise UsageError(f"--lm-weight {decoder.lm_weight} must be 0 or more")
    if decoder.lm_weight is not None and decoder.language_model == NONE:
        raise UsageError("--lm-weight needs a language model, and --lm none excludes it; leave out one or the other")
    files = {"--lm": decoder.language_model, "--lexicon": decoder.lexicon, "--pronunciations": decoder.pronunciations}
    for name, path in files.items():
        if path not in (None, NONE) and not path.is_file():
            raise UsageError(f"{name} {path}: no such file")


def hotword(text: str) -> tuple[str, float]:
    """``WORD[:BOOST]``, for argparse."""
    word, colon, boost = text.rpartition(":")
    if not colon:
        word, boost = text, str(DEFAULT_BOOST)
    if not word.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not a word")
    return " ".join(word.split()), number(boost)


PrintForm = Literal["table", "line", "json", "csv"]
PRINT_FORMS: tuple[PrintForm, ...] = ("table", "line", "json", "csv")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringOptions:
    """What `asr score` and `asr evaluate` share; ``fail_above``: a WER in percent, None for no limit."""

    normalizer: Normalizer
    print_as: PrintForm = "table"
    fail_above: float | None = None


def add_scoring(parser: argparse.ArgumentParser) -> None:
    """Add --normalizer, --replacements, --glm, --print and --fail-above."""
    parser.add_argument(
        "--normalizer", choices=NORMALIZERS, default="basic", help="normaliser of both texts (default: basic)"
    )
    parser.add_argument(
        "--replacements",
        type=Path,
        metavar="FILE",
        help="replacements of letters in both texts, before the normaliser, as asr prepare takes them",
    )
    parser.add_argument(
        "--glm",
        type=Path,
        metavar="FILE",
        help="more replacements in both texts, after the normaliser: OLD => NEW on each line, or two tab-separated "
        "columns",
    )
    parser.add_argument(
        "--print",
        dest="print_as",
        choices=PRINT_FORMS,
        default="table",
        help="output format on stdout; line: wer=8.44 low=6.10 high=11.02 cer=3.10 s=12 ... (default: table)",
    )
    add_gate(parser)


def add_gate(parser: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """Add --fail-above; ``asr.scoring.output.check_gate`` applies it."""
    parser.add_argument(
        "--fail-above", type=_percent, metavar="WER", help="exit with code 1 if the WER in percent is above this"
    )


def scoring_options(found: argparse.Namespace) -> ScoringOptions:
    """The options of ``add_scoring``; raises DataError where the replacements have errors."""
    normalizer = get_normalizer(found.normalizer)
    if found.replacements is not None:
        from asr.text.respelling import read_respelling, respelled

        normalizer = respelled(normalizer, read_respelling(found.replacements))
    if found.glm is not None:
        from asr.text.normalize import with_replacements

        normalizer = with_replacements(normalizer, found.glm)
    return ScoringOptions(normalizer=normalizer, print_as=found.print_as, fail_above=found.fail_above)


def print_report(
    report: "ScoreReport",
    print_as: PrintForm,
    *,
    lead: str,
    notes: Sequence[str] = (),
    figures: Mapping[str, Any] | None = None,
    page: Path | None = None,
) -> None:
    """The result on stdout, notes after it; where stdout is for scripts, notes and path go to stderr."""
    from asr.scoring.output import RENDERERS, SUMMARY_HEADER, summary_notes, summary_rows
    from asr.terminal import table

    aside = sys.stdout if print_as == "table" else sys.stderr
    if print_as == "table":
        print(lead)
        print(table(summary_rows(report), SUMMARY_HEADER))
    else:
        print(RENDERERS[print_as](report, figures or {}))
    for note in [*summary_notes(report), *notes]:
        print(f"note: {note}", file=aside)
    if page is not None:
        print(f"report: {page}", file=aside)


def _percent(text: str) -> float:
    value = number(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} must be at least 0 percent")
    return value
