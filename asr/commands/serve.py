"""``asr serve [MODEL...]``: a server of transcriptions that programs written for OpenAI's API can use unchanged.

In: model directories, and limits. Out: the address on stderr; then requests are answered until Ctrl-C or SIGTERM, after
which those that run are ended.
"""

import argparse
import importlib.util
import logging
import os
import sys
from pathlib import Path

from asr.commands.options import add_decoding, add_device, count, decoder_options, seconds, whole_number
from asr.commands.parser import Parser
from asr.errors import UsageError
from asr.server.options import ServeOptions, named_models

KEY = "ASR_API_KEY"
_NEEDS = ("fastapi", "uvicorn", "websockets", "python_multipart", "prometheus_client")


def build_parser() -> argparse.ArgumentParser:
    """The arguments of ``asr serve``; the defaults are those of ``ServeOptions``."""
    default = ServeOptions(models={})
    parser = Parser(
        prog="asr serve",
        description="Serve transcription over HTTP, in the form of OpenAI's API. Needs the extra [server].",
        epilog=f"The environment variable {KEY} is the API key where --api-key is not given.",
    )
    parser.add_argument(
        "models", nargs="*", metavar="[NAME=]MODEL",
        help="model directories, by the name that clients ask for; the first is the default (default: english)",
    )  # fmt: skip
    parser.add_argument(
        "--corpus", type=Path, metavar="DIR",
        help="draft the recordings in DIR with the first model, to be corrected in a browser at /corpus",
    )  # fmt: skip
    network = parser.add_argument_group("network")
    network.add_argument("--host", default=default.host, help="address to listen on (default: %(default)s)")
    network.add_argument("--port", type=_port, default=default.port, help="0: a free one (default: %(default)s)")
    network.add_argument("--api-key", metavar="KEY", help="what clients must send (default: none is asked for)")
    network.add_argument(
        "--cors", action="append", default=[], metavar="ORIGIN",
        help="let pages of this origin ask (https://example.org, or * for all); may be repeated",
    )  # fmt: skip
    limits = parser.add_argument_group("limits")
    for name, kind, unit, text in (
        ("max-upload-mb", seconds, "MB", "largest upload"),
        ("max-audio-s", seconds, "S", "longest recording, and longest session of live sound"),
        ("max-uploads", count, "N", "uploads at a time"),
        ("max-queue", count, "N", "recordings that wait or are computed"),
        ("max-live", count, "N", "sessions of live sound that are open"),
        ("stall-s", seconds, "S", "give up a client that sends or reads nothing for so long"),
        ("timeout-s", seconds, "S", "longest time from the upload to the answer"),
        ("grace-s", seconds, "S", "time for running requests once told to stop"),
    ):
        value = getattr(default, name.replace("-", "_"))
        limits.add_argument(f"--{name}", type=kind, default=value, metavar=unit, help=f"{text} (default: {value:g})")
    add_decoding(parser.add_argument_group("decoding"), where="response_format=transcript")
    parser.add_argument(
        "--no-speech-gate", dest="speech_gate", action="store_false", help="decode silence and noise too"
    )
    machine = parser.add_argument_group("performance")
    machine.add_argument("--workers", type=count, metavar="N", help="threads for each model (default: one per core)")
    add_device(machine)
    machine.add_argument("--verbose", action="store_true", help="log requests and what was ignored in them")
    return parser


def _port(text: str) -> int:
    port = whole_number(text)
    if port > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; ports end at 65535")
    return port


def run(arguments: list[str]) -> int:
    """Serve until told to stop; returns 0."""
    found = vars(build_parser().parse_args(arguments))
    missing = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"asr serve needs {', '.join(missing)}, which come with the extra: pip install 'asr-bilstm[server]'"
        )
    names = {name for name in ServeOptions.__dataclass_fields__ if name in found}
    options = ServeOptions(
        **{name: found[name] for name in names - {"models", "api_key", "decoder"}},
        models=named_models(found["models"]),
        api_key=found["api_key"] or os.environ.get(KEY) or None,
        origins=tuple(found["cors"]),
        decoder=decoder_options(argparse.Namespace(**found)),
    )
    logging.basicConfig(
        level=logging.INFO if found["verbose"] else logging.WARNING, format="%(asctime)s %(name)s: %(message)s"
    )
    from asr.server.serve import serve

    def ready(address: str) -> None:
        print(f"asr: serving {', '.join(options.models)} on {address}; Ctrl-C stops", file=sys.stderr, flush=True)
        if options.corpus is not None:
            print(f"asr: correct the drafts of {options.corpus} at {address}/corpus", file=sys.stderr, flush=True)

    serve(options, ready)
    return 0
