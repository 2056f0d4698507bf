"""`asr lm build|perplexity|info|mix|convert`: make and examine n-gram language models.

In: a sub-verb and its words. Out: what that sub-verb prints and returns; each is a module of its own beside this one,
imported only when it is called for.
"""

import difflib
import importlib

from asr.errors import UsageError
from asr.terminal import styled

SUBVERBS: dict[str, str] = {
    "build": "build a model from texts (interpolated modified Kneser-Ney)",
    "perplexity": "say how well a model predicts texts, and how many of their words it knows",
    "info": "say what is in a model",
    "mix": "interpolate models into one, with weights fitted to a text",
    "convert": "write a model in another format: .arpa, .arpa.gz, or binary",
}

_EXAMPLES = """\
examples:
  asr lm build books/ train.jsonl --order 4 --prune 0 0 1 --out lm.bin
  asr lm perplexity lm.bin dev.jsonl
  asr lm mix transcripts.arpa books.arpa --dev dev.jsonl --out lm.bin

`asr lm SUBVERB --help` tells more."""


def run(arguments: list[str]) -> int:
    """Run a sub-verb and return its exit code; 2 without one."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if arguments else 2
    subverb = arguments[0]
    if subverb not in SUBVERBS:
        close = difflib.get_close_matches(subverb, SUBVERBS, n=1)
        hint = f"; did you mean `asr lm {close[0]}`?" if close else "."
        raise UsageError(f"unknown sub-verb {subverb!r}{hint} They are: {', '.join(SUBVERBS)}; see `asr lm --help`")
    module = importlib.import_module(f"asr.commands.lm_{subverb}")
    return int(module.run(arguments[1:]))


def _help() -> str:
    width = max(map(len, SUBVERBS))
    lines = "\n".join(f"  {styled(verb.ljust(width), 'bold')}  {line}" for verb, line in SUBVERBS.items())
    return f"usage: asr lm SUBVERB ...\n\nN-gram language models, of words or characters.\n\n{lines}\n\n{_EXAMPLES}"
