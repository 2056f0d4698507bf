"""`asr lm tune MODEL DEV --lm FILE`: find lm_weight and word_score on dev and keep them beside the model.

In: a model directory, a manifest it was not trained on, a language model. Out: decoding.json and lm.bin in the model
directory, which every later transcription uses; dev errors greedy, by beam search alone, and with the language model. A
language model that does no better than greedy decoding is refused (exit code 1), and nothing is changed: it would make
every transcript worse (NeMo#3221, pyctcdecode#85).
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from asr.commands.options import count
from asr.errors import ModelError, UsageError
from asr.recognition.tuning import Dev, Tuned, tune
from asr.text.normalize import NORMALIZERS, get_normalizer

if TYPE_CHECKING:
    pass


SHOWN = 5


def build_parser() -> argparse.ArgumentParser:
    """The arguments of `asr lm tune`."""
    parser = argparse.ArgumentParser(
        prog="asr lm tune",
        description="Find on a dev set how much a language model should count, and keep that beside the model. "
        "One that does no better than greedy decoding is refused.",
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model directory, such as runs/an4/model")
    parser.add_argument("manifest", type=Path, metavar="DEV", help="recordings not trained on, with their text")
    parser.add_argument("--lm", type=Path, required=True, metavar="FILE", help="of `asr lm build`, or any ARPA file")
    parser.add_argument(
        "--beam-width", type=count, default=32, metavar="N", help="texts kept in the race (default: 32)"
    )
    parser.add_argument(
        "--normalizer", choices=NORMALIZERS, default="basic", help="what counts as the same text (default: basic)"
    )
    parser.add_argument("--dry-run", action="store_true", help="tell what would be kept, and keep nothing")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: auto)")
    return parser


def run(arguments: list[str]) -> int:
    """Tune; returns 0, or raises an AsrError: ModelError where the language model does not help."""
    options = build_parser().parse_args(arguments)
    if not options.lm.is_file():
        raise UsageError(f"--lm {options.lm}: no such file")
    from asr.data.manifest import read_manifest

    utterances = read_manifest(options.manifest)  # the cheap refusals come before torch is imported
    from asr.decoding.config import DecodingConfig
    from asr.lm import read_lm
    from asr.recognition import Recognizer
    from asr.recognition.stored_decoding import store_decoding

    language_model = read_lm(options.lm)
    recognizer = Recognizer.from_pretrained(
        options.model, device=options.device, words=False, decoding={"name": "greedy"}
    )
    dev = Dev.of(recognizer, utterances, get_normalizer(options.normalizer))
    settings = DecodingConfig(name="beam", beam_width=options.beam_width)
    found = tune(dev, settings, language_model)
    _print(found, dev, options)
    if found.best.errors >= found.greedy:
        raise ModelError(
            f"{options.lm}: does no better than greedy decoding on {options.manifest} (best:"
            f" {dev.shown(found.best.errors)}, greedy: {dev.shown(found.greedy)}); it is not kept. Was it made from"
            " other texts, or spelled in another way, than the model's transcripts?"
        )
    if not options.dry_run:
        best = replace(settings, lm_weight=found.best.lm_weight, word_score=found.best.word_score)
        store_decoding(options.model, best, language_model, found.facts(dev, options))
        print(f"kept: {options.model}/decoding.json and lm.bin; every transcription with this model now uses them")
        print("note: confidence is uncalibrated with this decoder until `asr calibrate` has been run")
    return 0


def _print(found: Tuned, dev: Dev, options: argparse.Namespace) -> None:
    from asr.recognition.tuning import DevErrors
    from asr.terminal import table

    rows: list[tuple[str, str, str, DevErrors]] = [
        ("greedy", "", "", found.greedy),
        (f"beam {options.beam_width}", "", "", found.beam),
    ]
    rows += [
        ("with the language model", f"{one.lm_weight:.2f}", f"{one.word_score:.2f}", one.errors)
        for one in found.points[:SHOWN]
    ]
    shown = [
        [name, weight, score, f"{errors.words / dev.words:.2%}", f"{errors.characters / dev.characters:.2%}"]
        for name, weight, score, errors in rows
    ]
    print(
        f"{len(dev.references):,} utterances of {options.manifest};"
        f" the best {SHOWN} of {len(found.points)} pairs of weights"
    )
    print(table(shown, ["decoding", "lm_weight", "word_score", "WER", "CER"]))
