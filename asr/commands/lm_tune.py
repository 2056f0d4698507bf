"""`asr lm tune MODEL DEV --lm FILE`: find lm_weight and word_score on a dev set and store them with the model.

In: a model directory, a manifest it was not trained on, a language model. Out: decoding.json and lm.bin in the model
directory (or in a copy of it, with --out), which every later transcription uses; dev errors of greedy decoding, of the
beam search alone, and with the language model. A language model that does no better than greedy decoding is refused
(exit code 1), and nothing is changed: it would make every transcript worse (NeMo#3221, pyctcdecode#85).
"""

import argparse
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from asr.commands.options import MODEL_HELP, count, naming_options
from asr.commands.parser import Parser
from asr.errors import ModelError, UsageError
from asr.files import sha256_file
from asr.shipped import check_not_shipped, model_directory
from asr.terminal import Progress, table
from asr.text.normalize import NORMALIZERS, get_normalizer
from asr.text.pronunciations import Pronunciations, read_pronunciations

if TYPE_CHECKING:
    from asr.recognition.tuning import DevErrors, TuningResult

SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneOptions:
    """The arguments of `asr lm tune`."""

    model: Path
    manifest: Path
    lm: Path
    pronunciations: Path | None
    out: Path | None
    beam_width: int
    normalizer: str
    dry_run: bool
    device: str


def build_parser() -> argparse.ArgumentParser:
    """The arguments of `asr lm tune`."""
    parser = Parser(
        prog="asr lm tune",
        description="Find the weights of a language model on a dev set and store both in the model directory. "
        "A language model that does no better than greedy decoding is refused.",
    )
    parser.add_argument("model", type=model_directory, metavar="MODEL", help=MODEL_HELP)
    parser.add_argument(
        "manifest", type=Path, metavar="DEV", help="a manifest that was not used in training, with transcripts"
    )
    parser.add_argument(
        "--lm",
        type=Path,
        required=True,
        metavar="FILE",
        help="a language model: the output of `asr lm build`, or any ARPA file",
    )
    parser.add_argument(
        "--pronunciations",
        type=Path,
        metavar="FILE",
        help="a pronouncing dictionary such as cmudict, for a model with phones: the search goes by them",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="store both in a copy of the model, a new folder, and leave MODEL as it is",
    )
    parser.add_argument(
        "--beam-width", type=count, default=32, metavar="N", help="hypotheses kept after each frame (default: 32)"
    )
    parser.add_argument(
        "--normalizer",
        choices=NORMALIZERS,
        default="basic",
        help="normaliser of both texts (default: basic)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the result, store nothing")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: auto)")
    return parser


def run(arguments: list[str]) -> int:
    """Tune; returns 0, or raises an AsrError: ModelError where the language model does not help."""
    options = TuneOptions(**vars(build_parser().parse_args(arguments)))
    if not options.lm.is_file():
        raise UsageError(f"--lm {options.lm}: no such file")
    if options.out is not None and options.out.exists():
        raise UsageError(f"--out {options.out}: exists; give a new folder for the copy of the model")
    if options.out is None and not options.dry_run:
        check_not_shipped(options.model)
    from asr.data.manifest import read_manifest

    utterances = read_manifest(options.manifest)  # what it refuses is said before torch is imported
    from asr.lm import read_lm
    from asr.pretrained import copy_of_model
    from asr.recognition import Recognizer
    from asr.recognition.stored_decoding import store_decoding
    from asr.recognition.tuning import MOST_POINTS, DevSet, tune

    language_model = read_lm(options.lm)
    pronunciations, dictionary = _pronunciations(options.pronunciations, set(language_model.words))
    greedy = {"name": "greedy"}
    recognizer = Recognizer.from_pretrained(options.model, device=options.device, words=False, decoding=greedy)
    if pronunciations is not None and not recognizer.pretrained.phones:
        raise ModelError(
            f"--pronunciations: {options.model} knows no phones; train a model with training.loss.intermediate_lexicon"
            " on its last layer, or tune without"
        )
    normalizer = get_normalizer(options.normalizer)
    with Progress(len(utterances), "running the model", "utterances") as progress:
        dev = DevSet.of(recognizer, utterances, normalizer, progress.update)
    with (
        naming_options(("beam_width", "language_model")),
        Progress(MOST_POINTS, "decoding", "pairs of weights") as progress,
    ):
        result = tune(dev, options.beam_width, language_model, progress.update, pronunciations)
    print(
        f"{len(utterances):,} utterances of {options.manifest};"
        f" the best {SHOWN} of {len(result.points)} pairs of weights"
    )
    _print(result)
    if not result.helps:
        raise ModelError(
            f"{options.lm}: does no better than greedy decoding on {options.manifest} (best:"
            f" {_wer(result, result.best.errors)} WER, greedy: {_wer(result, result.greedy)} WER); it is not stored."
            " Was it built from other texts, or with another spelling, than the model's transcripts?"
        )
    if not options.dry_run:
        facts = result.facts(options.manifest, options.lm)
        if dictionary is not None:
            facts["pronunciations"] = dictionary
        if options.out is None:
            store_decoding(options.model, result.settings, language_model, facts, pronunciations)
        else:
            with copy_of_model(options.model, options.out) as fresh:
                store_decoding(fresh, result.settings, language_model, facts, pronunciations)
        where = options.out or options.model
        print(f"stored: {where}/decoding.json and lm.bin; every transcription with this model now uses them")
        print("note: confidence is uncalibrated with this decoder until `asr calibrate` has been run")
    return 0


def _pronunciations(
    path: Path | None, words: Collection[str]
) -> tuple[Pronunciations | None, dict[str, str | int] | None]:
    """Those of ``words``: the search that is tuned is the one that is stored. And what decoding.json says of them."""
    if path is None:
        return None, None
    found = read_pronunciations(path, "--pronunciations")
    described: dict[str, str | int] = {"name": path.name, "words": len(found), "sha256": sha256_file(path)}
    return {word: several for word, several in found.items() if word in words}, described


def _wer(result: "TuningResult", errors: "DevErrors") -> str:
    return f"{errors.words / result.words:.2%}"


def _print(result: "TuningResult") -> None:
    rows: list[tuple[str, str, str, DevErrors]] = [
        ("greedy", "", "", result.greedy),
        (f"beam {result.settings.beam_width}", "", "", result.beam),
    ]
    rows += [
        ("with the language model", f"{one.lm_weight:.2f}", f"{one.word_score:.2f}", one.errors)
        for one in result.points[:SHOWN]
    ]
    shown = [
        [name, weight, score, _wer(result, errors), f"{errors.characters / result.characters:.2%}"]
        for name, weight, score, errors in rows
    ]
    print(table(shown, ["decoding", "lm_weight", "word_score", "WER", "CER"]))
