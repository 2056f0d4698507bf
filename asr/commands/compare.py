"""`asr compare A B [C...]`: is one system better than another on the same test set, and in what?

In: results.jsonl files, or folders that hold one, as `asr evaluate` and `asr score` write them. Out: rates with
intervals, a verdict a pair and the tests on stdout; with --out compare.md and compare.json, which also tell what
differs by word, speaker, length, any field, and utterance.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.commands.options import whole_number
from asr.errors import DataError, UsageError
from asr.text.normalize import NORMALIZERS, get_normalizer

if TYPE_CHECKING:
    from asr.scoring.compare import Comparison, Key, System

_RESULTS = "results.jsonl"


def build_parser() -> argparse.ArgumentParser:
    """The arguments of `asr compare`."""
    parser = argparse.ArgumentParser(
        prog="asr compare",
        description="Say which of several systems is better on the same utterances, how surely, and where they differ.",
        epilog="Other systems' output is first scored: `asr score REFERENCES HYPOTHESES --out DIR`. The verdict rests "
        "on a paired bootstrap of the WER, over speakers where at least 6 are known.",
    )
    parser.add_argument(
        "results", nargs="+", metavar="[NAME=]RESULTS", help="a results.jsonl, or a folder that holds one"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write compare.md and compare.json there")
    parser.add_argument(
        "--normalizer", choices=NORMALIZERS, help="score all anew with it (default: as they were scored)"
    )
    parser.add_argument(
        "--by",
        action="append",
        default=[],
        metavar="FIELD",
        help="compare by this field, too; may be given several times",
    )
    parser.add_argument(
        "--manifest", type=Path, metavar="MANIFEST", help="where fields are looked up that the results do not hold"
    )
    parser.add_argument(
        "--most", type=whole_number, default=10, metavar="N", help="utterances shown with alignments (default: 10)"
    )
    return parser


def run(arguments: list[str]) -> int:
    """Compare; returns 0, or raises an AsrError saying what does not fit together."""
    options = build_parser().parse_args(arguments)
    if len(options.results) < 2:
        raise UsageError("asr compare needs the results of two systems: asr compare A B")
    from asr.scoring.compare import compare
    from asr.scoring.compare_output import DATA, PAGE, write_comparison
    from asr.scoring.output import prepare_folder

    paths = named_paths(options.results)
    if options.out is not None:
        prepare_folder(options.out, *paths.values(), names=(PAGE, DATA))
    if options.normalizer is None:  # else all are counted anew
        _require_same_alignment(paths)
    comparison = compare([_read(name, path, options.normalizer) for name, path in paths.items()])
    keys = _keys(comparison, options.by, options.manifest)
    _print(comparison, keys)
    if options.out is not None:
        sources = {name: str(path) for name, path in paths.items()}
        print(f"report: {write_comparison(options.out, comparison, keys, sources, most=options.most)}")
    else:
        print("--out DIR writes what differs, by word, speaker, length and utterance")
    return 0


def named_paths(words: list[str]) -> dict[str, Path]:
    """The systems' names and their results files; names are as short as tells them apart.

    Raises UsageError where a name is given twice, or the same file without names.
    """
    given = [_parted(word) for word in words]
    unnamed = [path for name, path in given if name is None]
    if len({path.resolve() for path in unnamed}) < len(unnamed):
        raise UsageError("the same results are given twice; name them apart if that is meant: NAME=PATH")
    short = _short_names(unnamed)
    names = [short[path] if name is None else name for name, path in given]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"two systems are called {', '.join(map(repr, twice))}; name them apart: NAME=PATH")
    return {name: path for name, (_, path) in zip(names, given, strict=True)}


def _parted(word: str) -> tuple[str | None, Path]:
    """A name, if one is given, and the results file."""
    name, sign, rest = word.partition("=")
    if sign and name and rest and not Path(word).exists():
        return name, _file(Path(rest))
    return None, _file(Path(word))


def _file(path: Path) -> Path:
    return path / _RESULTS if path.is_dir() else path


def _short_names(paths: list[Path]) -> dict[Path, str]:
    """The last parts of each path that no other ends in; of a results.jsonl its folder."""
    parts = {path: (path.parent if path.name == _RESULTS else path.with_suffix("")).resolve().parts for path in paths}
    for count in range(1, max(map(len, parts.values()), default=0) + 1):
        names = {path: "/".join(one[-count:]) for path, one in parts.items()}
        if len(set(names.values())) == len(paths):
            return names
    return {path: str(path) for path in paths}


def _read(name: str, path: Path, normalizer: str | None) -> "System":
    from asr.scoring import read_results, score_texts
    from asr.scoring.compare import System

    results = read_results(path)
    report = results.report
    if normalizer is not None:
        report = score_texts(
            {one.id: one.reference for one in report.utterances},
            {one.id: one.hypothesis for one in report.utterances},
            normalizer=get_normalizer(normalizer),
            speakers={one.id: one.speaker for one in report.utterances if one.speaker is not None},
            durations_s={one.id: one.duration_s for one in report.utterances if one.duration_s is not None},
        )
    return System(name, report, results.extras)


def _require_same_alignment(paths: Mapping[str, Path]) -> None:
    """Counts by sclite's costs can be larger than the fewest; only what is counted alike can be compared.

    Raises UsageError where the summaries beside the results say that they were not.
    """
    from asr.scoring.results import summary_beside

    found = {name: str(summary_beside(path).get("alignment", "fewest-errors")) for name, path in paths.items()}
    if len(set(found.values())) > 1:
        shown = ", ".join(f"{name} by {alignment}" for name, alignment in found.items())
        raise UsageError(f"the words were aligned differently ({shown}); score all with the same --alignment")


def _keys(comparison: "Comparison", fields: list[str], manifest: Path | None) -> dict[str, "Key"]:
    """A key a field; raises UsageError naming a field that no utterance has, and those that there are."""
    from asr.scoring.compare import field_key

    extras: list[Mapping[str, Mapping[str, Any]]] = [system.extras for system in comparison.systems]
    if manifest is not None:
        extras.append(_manifest_fields(manifest))
    keys = {name: field_key(extras, name) for name in fields}
    for name, key in keys.items():
        if all(key(utterance) is None for utterance in comparison.utterances):
            raise UsageError(
                f"--by {name}: no utterance has this field with a text or number in it. "
                f"Fields: {_known(comparison, extras)}"
                + ("" if manifest else "; --manifest FILE looks them up in a manifest")
            )
    return keys


def _manifest_fields(path: Path) -> dict[str, dict[str, Any]]:
    """The fields of each line by its id; unlike training, a comparison needs no audio beside the manifest."""
    from asr.data.records import json_object
    from asr.scoring.formats import clean_id

    fields: dict[str, dict[str, Any]] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                row = json_object(line)
                fields[clean_id(str(row["id"]))] = row
            except ValueError as error:
                raise DataError(f"{path}:{number}: {error}") from None
            except KeyError:
                raise DataError(f"{path}:{number}: has no id") from None
    return fields


def _known(comparison: "Comparison", extras: list[Mapping[str, Mapping[str, Any]]]) -> str:
    own = ("speaker", "duration_s")
    names: dict[str, None] = {
        name: None for name in own if any(getattr(one, name) is not None for one in comparison.utterances)
    }
    for source in extras:
        for fields in source.values():
            inner = fields.get("fields")
            for name, value in {**fields, **(inner if isinstance(inner, dict) else {})}.items():
                if isinstance(value, (str, int, float)):
                    names[name] = None
    return ", ".join(names) or "none"


def _print(comparison: "Comparison", keys: dict[str, "Key"]) -> None:
    from asr.scoring.compare import difference_by
    from asr.scoring.compare_output import (
        SYSTEM_HEADER,
        group_header,
        group_row,
        rows_of_tests,
        scope_sentence,
        settling_sentence,
        system_rows,
        verdict_sentence,
    )
    from asr.scoring.markdown import counted
    from asr.terminal import styled, table

    label = comparison.systems[0].report.normalizer
    print(f"{counted(len(comparison.utterances), 'utterance')}, compared as {label}")
    print(table(system_rows(comparison), SYSTEM_HEADER))
    for pair in comparison.pairs:
        print(f"\n{styled(verdict_sentence(comparison, pair), 'bold')}.")
        if more := settling_sentence(comparison, pair):
            print(f"{more}.")
        print(table([[f"  {name}", *rest] for name, *rest in rows_of_tests(pair)], ("  test", "p", "saw", "")))
        for name, key in keys.items():
            groups = difference_by(comparison, pair.first, pair.second, key)
            print(table([group_row(group) for group in groups], group_header(pair, name)))
    if note := scope_sentence(comparison):
        print(f"note: {note}")
