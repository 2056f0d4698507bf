"""`asr lm build|perplexity|tune|info|mix|convert`: build and examine n-gram language models.

In: a sub-verb and its arguments. Out: what that sub-verb writes, prints and returns. `tune` needs a recogniser too and
is a module of its own, asr/commands/lm_tune.py.
"""

import argparse
import difflib
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from asr.commands.parser import Parser
from asr.errors import DataError, UsageError
from asr.files import check_output_file
from asr.terminal import Progress, styled, table
from asr.text.normalize import NORMALIZERS, get_normalizer

if TYPE_CHECKING:
    from asr.lm.build import BuildOptions, BuiltModel
    from asr.lm.text import TextOptions

_LM = "a language model: .arpa, .arpa.gz or binary"
_OUT = "output: .arpa, .arpa.gz, else binary (fastest to load)"
_TEXTS = "text files (plain or .gz), .jsonl manifests, or folders of these"

_EXAMPLES = """\
examples:
  asr lm build books/ train.jsonl --order 4 --prune 0 0 1 --out lm.bin
  asr lm perplexity lm.bin dev.jsonl
  asr lm mix transcripts.arpa books.arpa --dev dev.jsonl --out lm.bin

`asr lm SUBVERB --help` describes each."""

_BUILD_EPILOG = """\
The model is an interpolated modified Kneser-Ney model (Chen and Goodman 1998), as KenLM's lmplz makes it. Words outside
the vocabulary are counted as <unk>. 10 million words and order 4 take 1.2 GB of memory and a minute or two on one core.

examples:
  asr lm build books/ train.jsonl --out lm.bin                       a 4-gram model of all texts
  asr lm build books/ --order 3 --prune 0 0 1 --out lm.arpa.gz       without trigrams seen only once
  asr lm build train.jsonl --unit character --order 8 --out lm.bin   a character model
  asr lm build books/ --split-hyphens --replace mr=mister --replace mrs=missus --out lm.bin
"""

_MIX_EPILOG = """\
Build one model from a small text of the task and one from a large text of the language, and mix them with weights
fitted to the dev set (never to the test set).

example:
  asr lm build train.jsonl --out small.bin
  asr lm build books/ --out large.bin
  asr lm mix small.bin large.bin --dev dev.jsonl --out lm.bin
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextArguments:
    """How the texts are read, before the model's unit is known."""

    normalizer: str
    split_sentences: bool
    split_hyphens: bool
    replace: list[str]

    @classmethod
    def of(cls, parsed: argparse.Namespace) -> "TextArguments":
        """Those that ``add_text_arguments`` added."""
        return cls(**{name: getattr(parsed, name) for name in cls.__slots__})

    def options(self, unit: str) -> "TextOptions":
        """Raises UsageError on a --replace without `=`."""
        from asr.lm.text import TextOptions

        normalize = get_normalizer(self.normalizer)
        replacements: dict[str, str] = {}
        for pair in self.replace:
            word, sign, text = pair.partition("=")
            if not sign or not normalize(word):
                raise UsageError(f"--replace {pair}: must be WORD=TEXT, such as mr=mister")
            replacements[normalize(word)] = normalize(text)
        return TextOptions(
            normalizer=self.normalizer,
            split_sentences=self.split_sentences,
            split_hyphens=self.split_hyphens,
            replacements=replacements,
            unit=unit,
        )


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
    return SUBVERBS[subverb][1](arguments[1:])


def _help() -> str:
    width = max(map(len, SUBVERBS))
    lines = "\n".join(f"  {styled(verb.ljust(width), 'bold')}  {line}" for verb, (line, _) in SUBVERBS.items())
    return f"usage: asr lm SUBVERB ...\n\nN-gram language models, of words or characters.\n\n{lines}\n\n{_EXAMPLES}"


def run_build(arguments: list[str]) -> int:
    """Build, write, and describe the model; returns 0."""
    parsed = build_parser().parse_args(arguments)
    texts: list[Path] = parsed.texts
    out: Path = parsed.out
    options = _build_options(parsed)
    from asr.lm.build import build_lm
    from asr.lm.files import write_lm
    from asr.lm.text import find_texts

    check_output_file(out, [*find_texts(texts), *([parsed.limit_words] if parsed.limit_words else [])])
    built = build_lm(_sentences(texts, TextArguments.of(parsed).options(options.unit)), options)
    write_lm(out, built.trie)
    _describe(built)
    print(f"Written to {out} ({_megabytes(out)})")
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The arguments of `asr lm build`."""
    parser = _parser(
        "build", "Build an n-gram language model from texts with one sentence or paragraph per line.", _BUILD_EPILOG
    )
    parser.add_argument("texts", type=Path, nargs="+", metavar="TEXT", help=_TEXTS)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=_OUT)
    parser.add_argument("--order", type=int, default=4, metavar="N", help="units in the longest n-grams (default: 4)")
    parser.add_argument(
        "--unit", choices=("word", "character"), default="word", help="unit of the n-grams (default: word)"
    )
    group = parser.add_argument_group("vocabulary and pruning")
    group.add_argument("--vocab-size", type=int, metavar="N", help="keep the N most frequent words (default: all)")
    group.add_argument(
        "--min-count", type=int, default=1, metavar="N", help="keep words seen at least N times (default: 1)"
    )
    group.add_argument(
        "--limit-words", type=Path, metavar="FILE", help="the vocabulary: exactly the words in this file"
    )
    group.add_argument(
        "--prune",
        type=int,
        nargs="+",
        default=[],
        metavar="N",
        help="drop n-grams seen at most N times: one number per order, the last one for all higher orders (e.g. 0 0 1)",
    )
    group.add_argument(
        "--prune-entropy",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="drop n-grams whose removal raises perplexity by less than this share (e.g. 1e-8; default: 0, drop none)",
    )
    add_text_arguments(parser)
    return parser


def _build_options(parsed: argparse.Namespace) -> "BuildOptions":
    from asr.lm.build import BuildOptions
    from asr.lm.text import read_word_list

    return BuildOptions(
        order=parsed.order,
        unit=parsed.unit,
        cutoffs=tuple(parsed.prune),
        prune_entropy=parsed.prune_entropy,
        limit=None if parsed.limit_words is None else read_word_list(parsed.limit_words),
        vocab_size=parsed.vocab_size,
        min_count=parsed.min_count,
    )


def _describe(built: "BuiltModel") -> None:
    words = built.tokens - built.sentences
    print(f"{words:,} {built.trie.unit}s in {built.sentences:,} sentences; {built.unknown:,} outside the vocabulary")
    if built.trie.unit == "word" and (with_digits := _with_digits(built.trie.words)):
        print(
            f"{len(with_digits):,} of the {len(built.trie.words) - 3:,} different words hold digits"
            f" ({', '.join(with_digits[:3])}{', ...' * (len(with_digits) > 3)}); no model writes them that was trained"
            " on numbers in letters: write them so in these texts, too"
        )
    rows = []
    for order, (counted, discounts) in enumerate(zip(built.counted, built.discounts, strict=True), start=1):
        kept = built.trie.counts[order - 1] if order <= len(built.trie.counts) else 0
        shown = ", ".join(f"{value:.3f}" for value in discounts.values)
        rows.append((order, f"{counted:,}", f"{kept:,}", shown, discounts.source))
    print(table(rows, ("order", "n-grams in text", "in model", "discounts (1, 2, 3+)", "estimated as")))


def _with_digits(words: Sequence[str]) -> list[str]:
    """Those with a digit or another number (½), the shortest first."""
    numbers = {character for character in set("".join(words)) if unicodedata.category(character).startswith("N")}
    return sorted((one for one in words if not numbers.isdisjoint(one)), key=len)


def run_perplexity(arguments: list[str]) -> int:
    """Measure and print perplexity with and without unknown words, and their rate; returns 0."""
    description = (
        "Report a language model's perplexity on texts, as KenLM's `query` does: each sentence's end counts, and an "
        "unknown word counts as <unk>."
    )
    epilog = "Give the same --normalizer and other text options as when the model was built."
    parser = _parser("perplexity", description, epilog)
    parser.add_argument("model", type=Path, metavar="LM", help=_LM)
    parser.add_argument("texts", type=Path, nargs="+", metavar="TEXT", help=_TEXTS)
    add_text_arguments(parser)
    parsed = parser.parse_args(arguments)
    from asr.lm.files import read_lm
    from asr.lm.query import measure

    model = read_lm(parsed.model)
    result = measure(model, _sentences(parsed.texts, TextArguments.of(parsed).options(model.unit)))
    if not result.tokens:
        raise DataError(f"{', '.join(map(str, parsed.texts))}: no words to compute perplexity on")
    rows = [
        ("perplexity, unknown words included", f"{result.including_unknown:,.4f}"),
        ("perplexity of the known words", f"{result.excluding_unknown:,.4f}"),
        (f"unknown {model.unit}s", f"{result.unknown:,} ({result.unknown_rate:.2%})"),
        (f"{model.unit}s", f"{result.tokens - result.sentences:,}"),
        ("sentences", f"{result.sentences:,}"),
    ]
    print(table(rows))
    return 0


def run_info(arguments: list[str]) -> int:
    """Print order, unit, words, n-grams of each order and states; returns 0."""
    parser = _parser("info", "Print order, vocabulary and size of a language model.")
    parser.add_argument("model", type=Path, metavar="LM", help=_LM)
    parsed = parser.parse_args(arguments)
    from asr.lm.files import read_lm
    from asr.lm.trie import ngram_counts

    model = read_lm(parsed.model)
    rows = [
        ("order", model.order),
        ("unit", model.unit),
        ("vocabulary", f"{len(model.words):,} with <unk>, <s> and </s>"),
        *((f"{order}-grams", f"{count:,}") for order, count in enumerate(ngram_counts(model), start=1)),
        ("states", f"{len(model.backoff_state):,}"),
        ("in memory", f"{model.nbytes / 1e6:,.1f} MB"),
    ]
    print(table([(name, str(value)) for name, value in rows]))
    return 0


def run_mix(arguments: list[str]) -> int:
    """Mix, write, and print the weights; returns 0."""
    parser = _parser("mix", "Interpolate language models linearly into one.", _MIX_EPILOG)
    parser.add_argument(
        "models", type=Path, nargs="+", metavar="LM", help="two or more language models: .arpa, .arpa.gz or binary"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=_OUT)
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--weights", type=float, nargs="+", metavar="W", help="one weight per model; scaled to sum to 1")
    group.add_argument(
        "--dev", type=Path, nargs="+", metavar="TEXT", help="fit the weights to these texts, such as the dev set"
    )
    add_text_arguments(parser)
    parsed = parser.parse_args(arguments)
    if len(parsed.models) < 2:
        raise UsageError("asr lm mix needs two or more models")
    if parsed.weights is not None:
        _check_weights(parsed.weights, len(parsed.models))
    from asr.lm.files import read_trie, write_lm
    from asr.lm.mix import fit_weights, mix
    from asr.lm.text import find_texts

    check_output_file(parsed.out, [*parsed.models, *find_texts(parsed.dev or [])])
    tries = [read_trie(path) for path in parsed.models]
    if parsed.weights is not None:
        weights = [weight / sum(parsed.weights) for weight in parsed.weights]
    else:
        weights = fit_weights(tries, _sentences(parsed.dev, TextArguments.of(parsed).options(tries[0].unit)))
    mixed = mix(tries, weights)
    write_lm(parsed.out, mixed)
    for path, weight in zip(parsed.models, weights, strict=True):
        print(f"{weight:.4f}  {path}")
    counts = ", ".join(f"{count:,}" for count in mixed.counts)
    print(f"Written to {parsed.out} ({counts} n-grams, {_megabytes(parsed.out)})")
    return 0


def _check_weights(weights: list[float], models: int) -> None:
    if len(weights) != models:
        raise UsageError(f"--weights has {len(weights)} number(s) for {models} models; give one per model")
    if not all(weight > 0 for weight in weights) or sum(weights) == float("inf"):
        raise UsageError(f"--weights must all be above 0, and their sum finite, not {' '.join(map(str, weights))}")


def run_convert(arguments: list[str]) -> int:
    """Read and write; returns 0."""
    parser = _parser(
        "convert", "Write a language model in another format; binary loads fastest, ARPA is read by every other tool."
    )
    parser.add_argument("model", type=Path, metavar="LM", help=_LM)
    parser.add_argument("out", type=Path, metavar="OUT", help=_OUT)
    parsed = parser.parse_args(arguments)
    from asr.lm.files import read_trie, write_lm

    check_output_file(parsed.out, [parsed.model])
    write_lm(parsed.out, read_trie(parsed.model))
    print(f"Written to {parsed.out} ({_megabytes(parsed.out)})")
    return 0


def run_tune(arguments: list[str]) -> int:
    """`asr lm tune`; returns its exit code."""
    from asr.commands import lm_tune

    return lm_tune.run(arguments)


SUBVERBS: dict[str, tuple[str, Callable[[list[str]], int]]] = {
    "build": ("build a model from texts (interpolated modified Kneser-Ney)", run_build),
    "perplexity": ("measure perplexity and unknown words on texts", run_perplexity),
    "tune": ("find the weights of a model on a dev set and store both with a recogniser", run_tune),
    "info": ("print order, vocabulary and size of a model", run_info),
    "mix": ("interpolate models into one, with weights fitted to a text", run_mix),
    "convert": ("write a model in another format: .arpa, .arpa.gz, or binary", run_convert),
}


def add_text_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that say how a line of text becomes sentences."""
    group = parser.add_argument_group("how the texts are read")
    group.add_argument(
        "--normalizer",
        default="letters",
        metavar="NAME",
        help=f"normalisation of the texts: {', '.join(NORMALIZERS)} or letters-LANGUAGE, as the acoustic model's"
        " data.normalizer (default: letters)",
    )
    group.add_argument(
        "--split-sentences",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="cut lines at . ! ? before a capital letter (default: on; text without punctuation stays as it is)",
    )
    group.add_argument("--split-hyphens", action="store_true", help='make "well-known" two words, as LibriSpeech does')
    group.add_argument(
        "--replace",
        action="append",
        default=[],
        metavar="WORD=TEXT",
        help="replace WORD by TEXT after normalising, e.g. mr=mister; may be given several times",
    )


def _sentences(paths: Sequence[Path], options: "TextOptions") -> Iterator[list[str]]:
    """All sentences of all files and folders; progress goes to stderr, a step a file, sized by its bytes."""
    from asr.lm.text import find_texts, read_sentences

    files = find_texts(paths)
    with Progress(sum(file.stat().st_size for file in files) / 1e6, "reading", "MB") as progress:
        for file in files:
            yield from read_sentences(file, options)
            progress.update(file.stat().st_size / 1e6)


def _parser(subverb: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    return Parser(
        prog=f"asr lm {subverb}",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter if "\n" in epilog else argparse.HelpFormatter,
    )


def _megabytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:,.1f} MB"
