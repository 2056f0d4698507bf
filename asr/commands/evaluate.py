"""`asr evaluate MODEL MANIFEST --out DIR`: transcribe a test set and report the errors and the speed.

In: a model directory and a manifest. Out: results.jsonl, summary.json, breakdown.json and report.md in DIR, as from
`asr score`, and a short table on stdout.
"""

import argparse
from pathlib import Path

from asr.commands.console import print_evaluation, transcribing_progress
from asr.commands.options import (
    MODEL_HELP,
    add_decoding,
    add_device,
    add_scoring,
    decoder_options,
    naming_options,
    scoring_options,
    seconds,
    whole_number,
)
from asr.commands.parser import Parser
from asr.shipped import model_directory


def build_parser() -> argparse.ArgumentParser:
    """The arguments of `asr evaluate`."""
    parser = Parser(
        prog="asr evaluate", description="Transcribe the utterances of a manifest and report WER, CER and speed."
    )
    parser.add_argument("model", type=model_directory, metavar="MODEL", help=MODEL_HELP)
    parser.add_argument(
        "manifest", type=Path, metavar="MANIFEST", help="the manifest to transcribe, such as data/fsdd/test.jsonl"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", required=True, help="folder for the results and the report")
    parser.add_argument(
        "--batch-s", type=seconds, default=60.0, metavar="S", help="most seconds of audio in a batch (default: 60)"
    )
    parser.add_argument(
        "--worst",
        type=whole_number,
        default=10,
        metavar="N",
        help="worst utterances shown with alignment (default: 10)",
    )
    parser.add_argument(
        "--train-text",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="the training manifest, or any text: rare and unseen words are reported separately; may be repeated",
    )
    add_device(parser)
    add_scoring(parser)
    add_decoding(parser.add_argument_group("decoding"), where="results.jsonl")
    return parser


def run(arguments: list[str]) -> int:
    """Evaluate; returns 0, or raises an AsrError."""
    from asr.pipeline.evaluation import EvaluateOptions, evaluate
    from asr.scoring.output import check_gate

    found = build_parser().parse_args(arguments)
    decoder, scoring = decoder_options(found), scoring_options(found)
    options = EvaluateOptions(
        model=found.model,
        manifest=found.manifest,
        out=found.out,
        normalizer=scoring.normalizer,
        decoding=decoder.given(),
        lm_weight=decoder.lm_weight,
        batch_s=found.batch_s,
        worst=found.worst,
        training_texts=tuple(found.train_text),
        device=found.device,
        backend=found.backend,
    )
    with naming_options(options.decoding), transcribing_progress() as on_progress:
        result = evaluate(options, on_progress)
    print_evaluation(result, scoring.print_as)
    check_gate(result.report, scoring.fail_above)
    return 0
