"""``asr export MODEL``: the acoustic model as an ONNX file, for onnxruntime here or in any other program.

In: a model directory. Out: one file, in float32 or with int8 weights, whose metadata holds the tokens and the settings
of the features; by default in the model directory, where transcription finds it.
"""

import argparse
from pathlib import Path

from asr.commands.options import MODEL_HELP
from asr.commands.parser import Parser
from asr.errors import UsageError
from asr.onnx import FILES
from asr.shipped import find_starter, model_directory


def build_parser() -> argparse.ArgumentParser:
    """The arguments of ``asr export``."""
    parser = Parser(
        prog="asr export",
        description="Write the acoustic model as an ONNX file: features in, log-probabilities out. In MODEL it is what "
        "`asr transcribe` uses from then on (--backend). Needs pip install 'asr-bilstm[onnx]'.",
    )
    parser.add_argument("model", type=model_directory, metavar="MODEL", help=MODEL_HELP)
    parser.add_argument(
        "--format", choices=tuple(FILES), default="onnx", help="float32, or LSTM weights as int8 (default: onnx)"
    )
    names = " or ".join(FILES.values())
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"the file (default: {names} in MODEL)")
    return parser


def run(arguments: list[str]) -> int:
    """Export; returns 0, or raises an AsrError."""
    found = build_parser().parse_args(arguments)
    if found.out is None and found.model == find_starter():
        raise UsageError(
            f"{found.model}: the model that comes with this package is never changed; give --out FILE.onnx"
        )
    out: Path = found.out or found.model / FILES[found.format]
    from asr.files import atomic_path
    from asr.onnx.export import export_model

    content = export_model(found.model, int8=found.format == "onnx-int8")
    with atomic_path(out) as temporary:
        temporary.write_bytes(content)
    print(f"Written to {out} ({len(content) / 1e6:.1f} MB)")
    return 0
