"""A comparison of results files: what `asr compare` does between its arguments and its output.

In: ``CompareOptions``: paths of results.jsonl, names for them, a normaliser, fields to compare by. Out: a
``FileComparison`` and, where a folder is given, compare.md and compare.json in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.data.records import json_object
from asr.errors import DataError, UsageError
from asr.scoring.compare import Comparison, SystemResults, compare
from asr.scoring.compare_output import DATA, PAGE, write_comparison
from asr.scoring.differences import Key, PairDifferences, field_key, pair_differences
from asr.scoring.formats import clean_id
from asr.scoring.output import RESULTS, prepare_folder
from asr.scoring.report import score_texts
from asr.scoring.results import read_results, summary_beside
from asr.text.normalize import Normalizer

Fields = Mapping[str, Mapping[str, Any]]  # by utterance id


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions:
    """``systems``: results files by name; ``normalizer``: score all again with it (None: as they were scored).

    ``fields``: compare by these, too, looked up in the results and in ``manifest``; ``most``: utterances on the page.
    """

    systems: Mapping[str, Path]
    normalizer: Normalizer | None = None
    fields: tuple[str, ...] = ()
    manifest: Path | None = None
    out: Path | None = None
    most: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class FileComparison:
    """``differences``: of each pair, in order; ``page``: the Markdown page, where one was written."""

    comparison: Comparison
    differences: tuple[PairDifferences, ...]
    page: Path | None


def compare_files(options: CompareOptions) -> FileComparison:
    """Read, compare and write; raises UsageError, DataError or ScoringError for what does not fit together."""
    if options.out is not None:
        prepare_folder(options.out, *options.systems.values(), names=(PAGE, DATA))
    if options.normalizer is None:  # else all are counted again
        _require_same_alignment(options.systems)
    comparison = compare([_read(name, path, options.normalizer) for name, path in options.systems.items()])
    keys = _keys(comparison, options.fields, options.manifest)
    differences = tuple(pair_differences(comparison, pair, keys) for pair in comparison.pairs)
    page = None
    if options.out is not None:
        sources = {name: str(path) for name, path in options.systems.items()}
        page = write_comparison(options.out, comparison, differences, sources, most=options.most)
    return FileComparison(comparison=comparison, differences=differences, page=page)


def named_results(arguments: Sequence[str]) -> dict[str, Path]:
    """Results files by name, out of ``[NAME=]PATH`` arguments; other names are as short as the paths allow.

    Raises UsageError where a name is given twice, or the same file without names.
    """
    given = [_name_and_path(argument) for argument in arguments]
    unnamed = [path for name, path in given if name is None]
    if len({path.resolve() for path in unnamed}) < len(unnamed):
        raise UsageError("the same results are given twice; if that is meant, give them names: NAME=PATH")
    short = _short_names(unnamed)
    names = [short[path] if name is None else name for name, path in given]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"two systems are called {', '.join(map(repr, twice))}; give them different names: NAME=PATH")
    return {name: path for name, (_, path) in zip(names, given, strict=True)}


def _name_and_path(argument: str) -> tuple[str | None, Path]:
    name, sign, rest = argument.partition("=")
    if sign and name and rest and not Path(argument).exists():
        return name, _file(Path(rest))
    return None, _file(Path(argument))


def _file(path: Path) -> Path:
    return path / RESULTS if path.is_dir() else path


def _short_names(paths: Sequence[Path]) -> dict[Path, str]:
    """The last parts of each path that no other ends in; of a results.jsonl its folder."""
    parts = {path: (path.parent if path.name == RESULTS else path.with_suffix("")).resolve().parts for path in paths}
    for count in range(1, max(map(len, parts.values()), default=0) + 1):
        names = {path: "/".join(one[-count:]) for path, one in parts.items()}
        if len(set(names.values())) == len(paths):
            return names
    return {path: str(path) for path in paths}


def _read(name: str, path: Path, normalizer: Normalizer | None) -> SystemResults:
    results = read_results(path)
    report = results.report
    if normalizer is not None:
        report = score_texts(
            {one.id: one.reference for one in report.utterances},
            {one.id: one.hypothesis for one in report.utterances},
            normalizer=normalizer,
            speakers={one.id: one.speaker for one in report.utterances if one.speaker is not None},
            durations_s={one.id: one.duration_s for one in report.utterances if one.duration_s is not None},
            left_out={key: str(more["left_out"]) for key, more in results.extras.items() if "left_out" in more},
        )
    return SystemResults(name, report, results.extras)


def _require_same_alignment(paths: Mapping[str, Path]) -> None:
    """Counts by sclite's costs can be larger than the fewest; only what is counted alike can be compared.

    Raises UsageError where the summaries next to the results say that they were not.
    """
    found = {name: str(summary_beside(path).get("alignment", "fewest-errors")) for name, path in paths.items()}
    if len(set(found.values())) > 1:
        shown = ", ".join(f"{name} by {alignment}" for name, alignment in found.items())
        raise UsageError(f"the words were aligned differently ({shown}); score all with the same --alignment")


def _keys(comparison: Comparison, names: Sequence[str], manifest: Path | None) -> dict[str, Key]:
    """A key a field; raises UsageError naming a field that no utterance has, and those that exist."""
    extras: list[Fields] = [system.extras for system in comparison.systems]
    if manifest is not None:
        extras.append(_manifest_fields(manifest))
    keys = {name: field_key(extras, name) for name in names}
    for name, key in keys.items():
        if all(key(utterance) is None for utterance in comparison.utterances):
            raise UsageError(
                f"--by {name}: no utterance has this field with a text or number in it. "
                f"Fields: {_field_names(comparison, extras)}"
                + ("" if manifest else "; --manifest FILE looks them up in a manifest")
            )
    return keys


def _manifest_fields(path: Path) -> Fields:
    """The fields of each line by its id; unlike training, a comparison needs none of the manifest's audio."""
    fields: dict[str, dict[str, Any]] = {}
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json_object(line)
        except ValueError as error:
            raise DataError(f"{path}:{number}: {error}") from None
        if "id" not in row:
            raise DataError(f"{path}:{number}: has no id")
        fields[clean_id(str(row["id"]))] = row
    return fields


def _field_names(comparison: Comparison, extras: Sequence[Fields]) -> str:
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
