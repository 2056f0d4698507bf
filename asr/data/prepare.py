"""Running a recipe's ``prepare.py``: a corpus folder in, ``train.jsonl``, ``dev.jsonl`` and ``test.jsonl`` out.

In: a recipe folder, the corpus, the folder to write, options as typed values or as words from a command line. Out:
the manifests, and a summary text. Why: ``asr prepare`` and ``asr run`` share it, and a new corpus is then one new
folder with ``prepare(corpus, out, *, options) -> str`` (and perhaps ``download``) and no change to the library.

Options of a recipe, checked against the signature of its ``prepare``.

In: a function whose keyword-only arguments are the options, and values that come typed (YAML) or as words (a command
line). Out: values of the types that the signature names. Why: a recipe states its options once, in plain Python, and a
wrong name or value is answered with the list of right ones.

Cutting a corpus into train, dev and test so that no speaker is in two of them.

In: utterances. Out: ``Splits``. Why: an error measured on speakers the model was trained on says little about new ones
(six of six FSDD speakers are in both parts of its published split). The order in which speakers are dealt out depends
on the seed and their names alone, through SHA-256, so that an added speaker hardly moves the others about.
"""

import hashlib
import importlib
import importlib.machinery
import importlib.util
import inspect
import os
import sys
import types
import typing
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asr.data.manifest import Utterance, write_manifest
from asr.errors import AsrError, ConfigError, DataError

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def check_options(where: str, function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """``options`` with each value as the type that ``function``'s keyword-only arguments name.

    Understood are bool, int, float, str, Path, Literal, and each of them ``| None``.

    Raises:
        ConfigError: on an unknown name or a value that does not fit; ``where`` opens the message.
    """
    known = {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    unknown = [name for name in options if name not in known]
    if unknown:
        listing = ", ".join(f"{name}={parameter.default}" for name, parameter in known.items()) or "none"
        raise ConfigError(f"{where} has no option {', '.join(unknown)}. Its options: {listing}.")
    hints = typing.get_type_hints(function)
    return {name: _convert(f"{where}: {name}={value}", value, hints[name]) for name, value in options.items()}


def accepts_none(hint: Any) -> bool:
    """Whether a type hint allows None."""
    return type(None) in _alternatives(hint)


def _alternatives(hint: Any) -> tuple[Any, ...]:
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if is_union else (hint,)


def _convert(what: str, value: Any, hint: Any) -> Any:
    """``value`` read as one of the types in ``hint``; None is tried first, as every word is also a ``str``."""
    if accepts_none(hint) and (value is None or str(value).lower() in {"none", "null"}):
        return None
    choices: list[str] = []
    for kind in _alternatives(hint):
        if typing.get_origin(kind) is typing.Literal:
            choices += [str(choice) for choice in typing.get_args(kind)]
            matches = [choice for choice in typing.get_args(kind) if str(choice) == str(value)]
            if matches:
                return matches[0]
        elif kind is not type(None):
            parsed = _parse(value, kind)
            if parsed is not None:
                return parsed
    names = " or ".join(getattr(kind, "__name__", str(kind)) for kind in _alternatives(hint) if kind is not type(None))
    remedy = f"choose one of {', '.join(choices)}" if choices else f"it must be of type {names}"
    raise ConfigError(f"{what} does not fit; {remedy}.")


def _parse(value: Any, kind: Any) -> Any:
    """``value`` as a bool, int, float, str or Path; None if it cannot be read as one."""
    if kind is bool:
        return value if isinstance(value, bool) else _TRUTH.get(str(value).lower())
    if isinstance(value, bool):
        return None
    if kind in (str, Path):
        return kind(value) if isinstance(value, str | int | float | Path) else None
    if kind in (int, float):
        try:
            return kind(value) if isinstance(value, str) or kind(value) == value else None
        except (TypeError, ValueError, OverflowError):
            return None
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """The parts of a prepared corpus: ``train``, ``dev``, ``test``, ``others`` (further test sets by name, as
    ``test-other``) and ``notes``: what the person should know about how they were made, one sentence each."""

    train: Sequence[Utterance]
    dev: Sequence[Utterance]
    test: Sequence[Utterance]
    others: Mapping[str, Sequence[Utterance]] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def named(self) -> dict[str, Sequence[Utterance]]:
        """Every part under its name, train first: the name is the manifest's file name without ``.jsonl``."""
        return {"train": self.train, "dev": self.dev, "test": self.test, **self.others}


def split_by_speaker(utterances: Iterable[Utterance], *, dev: float = 0.1, test: float = 0.1, seed: int = 0) -> Splits:
    """Cut ``utterances`` into shares of their total duration with no speaker in two parts.

    Utterances without a speaker are kept together by recording. Where fewer than three speakers are known, recordings
    are dealt out instead of speakers, and a note says so.

    Args:
        utterances: all of the corpus; the order inside each part is kept.
        dev: share of the duration for dev, 0 <= dev < 1.
        test: share of the duration for test, 0 <= test < 1.
        seed: another seed deals out the speakers otherwise.

    Raises:
        ConfigError: if the shares leave nothing to train on.
        DataError: if there are fewer groups than parts.
    """
    if not (0 <= dev < 1 and 0 <= test < 1 and dev + test < 1):
        raise ConfigError(f"dev={dev} and test={test} must be shares of at least 0 whose sum is below 1.")
    everything = list(utterances)
    groups, notes = _groups(everything)
    part_of = _deal(groups, {"test": test, "dev": dev}, seed)
    parts: dict[str, list[Utterance]] = {"train": [], "dev": [], "test": []}
    for key, utterance in zip(_keys(everything, by_speaker="speakers" not in notes), everything, strict=True):
        parts[part_of.get(key, "train")].append(utterance)
    return Splits(train=parts["train"], dev=parts["dev"], test=parts["test"], notes=tuple(notes.values()))


def split_off_speakers(
    utterances: Iterable[Utterance], share: float, *, seed: int = 0
) -> tuple[list[Utterance], list[Utterance]]:
    """Take whole speakers, about ``share`` of the utterances, out of ``utterances``: (the rest, those taken)."""
    everything = list(utterances)
    sizes: dict[str, float] = defaultdict(float)
    for utterance in everything:
        sizes[utterance.speaker or utterance.audio] += 1
    taken = _deal(sizes, {"taken": share}, seed)
    rest = [u for u in everything if (u.speaker or u.audio) not in taken]
    return rest, [u for u in everything if (u.speaker or u.audio) in taken]


def _groups(utterances: Sequence[Utterance]) -> tuple[dict[str, float], dict[str, str]]:
    """Seconds by group, and the notes on how groups were made."""
    notes: dict[str, str] = {}
    speakers = {u.speaker for u in utterances if u.speaker is not None}
    unknown = sum(u.speaker is None for u in utterances)
    if len(speakers) < 3 and (speakers or not unknown):
        notes["speakers"] = (
            f"Only {len(speakers)} speaker(s) known: parts share speakers, so expect more errors on new ones."
        )
    elif unknown:
        notes["unknown"] = (
            f"{unknown} of {len(utterances)} utterances have no speaker: they are split by recording, "
            "and parts may share speakers."
        )
    sizes: dict[str, float] = defaultdict(float)
    for key, utterance in zip(_keys(utterances, by_speaker="speakers" not in notes), utterances, strict=True):
        sizes[key] += utterance.duration_s
    return sizes, notes


def _keys(utterances: Sequence[Utterance], *, by_speaker: bool) -> list[str]:
    """Each utterance's group. Recordings are named from the folder that holds them all: a corpus may be moved."""
    audio = [os.path.abspath(u.audio) for u in utterances]
    home = os.path.commonpath([os.path.dirname(path) for path in audio]) if audio else ""
    return [
        f"speaker {u.speaker}" if by_speaker and u.speaker is not None else f"recording {os.path.relpath(path, home)}"
        for u, path in zip(utterances, audio, strict=True)
    ]


def _deal(sizes: Mapping[str, float], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Group → part for the groups that leave train: each part takes groups in hashed order while that brings it
    nearer to its share, at least one each, and one always stays for train."""
    wanted = {part: share for part, share in shares.items() if share > 0}
    if len(sizes) < len(wanted) + 1:
        raise DataError(
            f"Cannot make {len(wanted) + 1} parts (train, {', '.join(wanted)}) out of {len(sizes)} speaker(s) or "
            "recording(s): record more, or set that part's share to 0."
        )
    total = sum(sizes.values())
    left = sorted(sizes, key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).digest())
    part_of: dict[str, str] = {}
    for position, (part, share) in enumerate(wanted.items()):
        reserve = len(wanted) - position  # groups that the later parts and train still need
        taken = _nearest(left, sizes, target=share * total, most=len(left) - reserve)
        part_of.update(dict.fromkeys(taken, part))
        left = [group for group in left if group not in part_of]
    return part_of


def _nearest(groups: Sequence[str], sizes: Mapping[str, float], *, target: float, most: int) -> list[str]:
    taken: list[str] = []
    filled = 0.0
    for group in groups:
        if len(taken) < most and abs(filled + sizes[group] - target) < abs(filled - target):
            taken.append(group)
            filled += sizes[group]
    return taken or [min(groups, key=lambda group: sizes[group])]


def load_recipe(recipe_dir: Path) -> types.ModuleType:
    """Import ``recipe_dir/prepare.py``; the folder acts as a package, so that it may say ``from . import sibling``.

    ``sys.path`` is left alone, and two recipes never meet under one module name.

    Raises:
        ConfigError: if there is no such file, it cannot be imported, or it has no function ``prepare``.
    """
    file = recipe_dir.resolve() / "prepare.py"
    if not file.is_file():
        raise ConfigError(f"{recipe_dir} is no recipe: it holds no prepare.py. Name a folder such as recipes/fsdd.")
    package = f"asr_recipe_{hashlib.sha256(str(file.parent).encode()).hexdigest()[:12]}"
    spec = importlib.machinery.ModuleSpec(package, loader=None, is_package=True)
    spec.submodule_search_locations = [str(file.parent)]
    sys.modules[package] = importlib.util.module_from_spec(spec)
    sys.modules.pop(f"{package}.prepare", None)
    try:
        module = importlib.import_module(f"{package}.prepare")
    except AsrError:
        raise
    except Exception as error:  # whatever a recipe's top level does wrong, the person sees which recipe it was
        raise ConfigError(f"{file} cannot be imported: {type(error).__name__}: {error}.") from error
    if not callable(getattr(module, "prepare", None)):
        raise ConfigError(f"{file} has no function prepare(corpus, out, *, options...).")
    return module


def run_prepare(
    recipe_dir: Path, corpus: Path | None, out: Path, options: Mapping[str, Any], *, download: bool = False
) -> str:
    """Prepare a corpus by its recipe and return the summary.

    Args:
        recipe_dir: the folder that holds ``prepare.py``.
        corpus: the corpus folder; None only for a recipe that needs none.
        out: the folder for the manifests; made if absent.
        options: the recipe's own keyword options; text is converted to the type that the signature names.
        download: fetch the corpus into ``corpus`` first, by the recipe's ``download``.

    Raises:
        ConfigError: on an unknown option, a value of the wrong type, a missing corpus or ``download``.
        DataError: whatever the recipe finds wrong with the corpus.
    """
    recipe = load_recipe(recipe_dir)
    checked = check_options(str(recipe_dir), recipe.prepare, options)
    needs_corpus = not accepts_none(typing.get_type_hints(recipe.prepare).get("corpus"))
    if corpus is None and (needs_corpus or download):
        raise ConfigError(f"{recipe_dir} needs a corpus folder: asr prepare {recipe_dir} CORPUS_FOLDER {out}")
    if download:
        _download(recipe_dir, recipe, typing.cast(Path, corpus), checked)
    if corpus is not None and not corpus.exists():  # a recipe may take a file, as recipes/folder does
        fetch = f" Or fetch it: asr prepare {recipe_dir} {corpus} {out} --download"
        hint = fetch if hasattr(recipe, "download") else ""
        raise DataError(f"The corpus folder {corpus} does not exist. Give the folder that holds the corpus.{hint}")
    return str(recipe.prepare(corpus, out, **checked))


def write_splits(out: Path, splits: Splits) -> str:
    """Write one manifest a part (``out/train.jsonl``, ...) atomically and return the summary to show.

    Raises:
        DataError: if there is nothing to train on, or a test holds what is trained on.
    """
    if not splits.train:
        raise DataError(f"Nothing to train on is left for {out / 'train.jsonl'}: check the corpus and the options.")
    trained = {(u.audio, u.start_s, u.channel) for u in splits.train}
    for name, utterances in splits.named().items():
        shared = [u.id for u in utterances if name.startswith("test") and (u.audio, u.start_s, u.channel) in trained]
        if shared:
            raise DataError(f"{len(shared)} utterance(s) are in both train and {name}: {', '.join(shared[:10])}.")
    for name, utterances in splits.named().items():
        if utterances:
            write_manifest(out / f"{name}.jsonl", utterances)
        else:
            (out / f"{name}.jsonl").unlink(missing_ok=True)  # of an earlier cut: its utterances may be in train now
    return "\n".join([summarize(splits), *_notes_on_others(out, splits)])


def _notes_on_others(out: Path, splits: Splits) -> list[str]:
    """Test sets in ``out`` that this preparation did not make, which ``asr run`` would evaluate on as well."""
    others = sorted(file.name for file in out.glob("test-*.jsonl") if file.stem not in splits.named())
    return [f"{name} in {out} was there before and stays; remove it if it is not meant." for name in others]


def expect_count(what: str, found: int, expected: int, *, complete: bool = True) -> None:
    """Raise ``DataError`` unless ``found == expected``; ``complete=False`` lets a part of a corpus pass."""
    if complete and found != expected:
        raise DataError(
            f"{what}: found {found}, expected {expected}. Is the corpus whole? To use what is there: complete=false."
        )


def summarize(splits: Splits) -> str:
    """A table of utterances, hours and speakers by part, speakers in common, and the notes."""
    rows = [f"{'split':<12}{'utterances':>11}{'hours':>8}{'speakers':>10}"]
    for name, utterances in splits.named().items():
        hours = sum(u.duration_s for u in utterances) / 3600
        shown = f"{hours:.2f}" if hours >= 0.1 or not hours else f"{hours:.2g}"  # 9 s are 0.0025 h, not 0.00
        rows.append(f"{name:<12}{len(utterances):>11}{shown:>8}{len(_speakers(utterances)):>10}")
    seen = _speakers(splits.train)
    for name, utterances in splits.named().items():
        shared = seen & _speakers(utterances)
        if name != "train" and shared:
            rows.append(f"{len(shared)} of {len(_speakers(utterances))} speakers of {name} are in train as well.")
    return "\n".join([*rows, *splits.notes])


def _speakers(utterances: Iterable[Utterance]) -> set[str]:
    return {u.speaker for u in utterances if u.speaker is not None}


def _download(recipe_dir: Path, recipe: types.ModuleType, corpus: Path, options: Mapping[str, Any]) -> None:
    fetch = getattr(recipe, "download", None)
    if fetch is None:
        raise ConfigError(f"{recipe_dir} has no download: get the corpus by hand and give its folder.")
    wanted = inspect.signature(fetch).parameters
    fetch(corpus, **{name: value for name, value in options.items() if name in wanted})
