"""Make a model to pass on of a trained one: weights in fp16, language model, calibration, model card.

    python -m recipes.english.ship runs/english/model data/english --lm english.bin --pronunciations english.dict
    python -m recipes.english.ship runs/german/model data/german --lm german.bin --pronunciations german.dict \\
        --out models/german --card-texts recipes/german/card_texts.json

In: a model directory, the folder that prepare.py wrote, and a language model that is small enough (README.md says how
it was pruned); for a model with phones a pronouncing dictionary. Out: ``pretrained/english``, the model of the package,
or the folder --out, at most 20 MB (--most-mb). Its README.md is the model card, of figures (card.json) from files that
`asr lm tune` and `asr evaluate` wrote for these very weights, and of --card-texts. Work in between is kept in --work
and done once: rerun to resume. Without --lm the model keeps the decoding that it has. With ``pretrained/english`` in
place of MODEL the shipped model gets a new card.
"""

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from asr import cli
from asr.data.manifest import read_manifest
from asr.errors import AsrError, UsageError
from asr.files import read_json_object, sha256_file, write_json, write_text
from asr.lm import read_lm
from asr.pretrained import copy_of_model, from_pretrained, save_pretrained
from asr.recognition import Recognizer
from asr.recognition.calibration import FILE as CALIBRATION
from asr.recognition.calibration import read_calibration, store_calibration
from asr.recognition.stored_decoding import FILE as DECODING
from asr.recognition.stored_decoding import LANGUAGE_MODEL, PRONUNCIATIONS, read_decoding, store_decoding
from asr.recognition.windows import Emissions
from asr.shipped import weights_sha256
from asr.stored import read_extra
from asr.text.pronunciations import read_pronunciations
from recipes.english.card import TEXTS, collect, read_texts, render

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "pretrained" / "english"
MOST_BYTES = 20_000_000
EVALUATIONS = {  # options of `asr evaluate`, by what they add to the name of a test set; the extra [onnx] is needed
    "": ("--backend", "torch"),
    "-greedy": ("--backend", "torch", "--decoder", "greedy"),  # of a model with a language model
    "-onnx": ("--backend", "onnx"),
    "-onnx-int8": ("--backend", "onnx-int8"),
}
COMPARED = 20  # dev utterances on which fp16 is compared with fp32


def main(arguments: list[str] | None = None) -> int:
    """Ship a model; returns the exit code."""
    given = _parser().parse_args(arguments)
    try:
        if given.pronunciations and not given.lm:
            raise UsageError("--pronunciations goes with --lm, whose words they are of")
        search = ["--beam-width", given.beam_width]
        search += ["--pronunciations", given.pronunciations] if given.pronunciations else []
        work = given.work or Path("runs") / f"ship-{given.out.name}"
        most_bytes = round(1e6 * given.most_mb)
        ship(given.model, given.data, given.lm, work, given.out, given.tests, search, given.card_texts, most_bytes)
    except AsrError as error:
        sys.stderr.write(f"ship: error: {error}\n")
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ship.py", description="Make a model to pass on of a trained one.")
    parser.add_argument("model", type=Path, metavar="MODEL", help="the model directory of a training")
    parser.add_argument("data", type=Path, metavar="DATA", help="the manifests that it was trained with")
    parser.add_argument("--lm", type=Path, metavar="FILE", help="a language model to tune on dev and ship")
    parser.add_argument("--pronunciations", type=Path, metavar="FILE", help="of the words, for a model with phones")
    parser.add_argument("--beam-width", type=int, default=32, metavar="N", help="of the search (default: %(default)s)")
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help="what is in between (default: runs/ship-NAME of --out)"
    )
    parser.add_argument(
        "--out", type=Path, default=SHIPPED, metavar="DIR", help="default: pretrained/english, the model of the package"
    )
    parser.add_argument(
        "--card-texts",
        type=Path,
        default=TEXTS,
        metavar="FILE",
        help="the card's name, sources with licences, and limits (default: recipes/english/card_texts.json)",
    )
    parser.add_argument(
        "--most-mb", type=float, default=MOST_BYTES / 1e6, metavar="N", help="refuse more (default: %(default)g)"
    )
    parser.add_argument(
        "--tests", nargs="*", metavar="NAME", help="test sets: NAME.jsonl in DATA (default: test and every test-*)"
    )
    return parser


def ship(
    model: Path,
    data: Path,
    lm: Path | None,
    work: Path,
    out: Path,
    tests: list[str] | None = None,
    search: Sequence[object] = (),
    texts: Path = TEXTS,
    most_bytes: int = MOST_BYTES,
) -> None:
    """All steps but those whose results are in ``work`` already; ``search``: more options of `asr lm tune`; ``texts``:
    what the card says besides figures.

    Raises an AsrError, with ``out`` unchanged.
    """
    read_texts(texts)  # before the work
    names = tests if tests is not None else sorted(path.stem for path in data.glob("test*.jsonl"))
    staged = work / "model"
    _convert(model, data, lm, staged, search, most_bytes)
    sizes = _sizes(staged, most_bytes)
    for name in names:
        for added, options in EVALUATIONS.items():
            if added != "-greedy" or (staged / DECODING).is_file():
                _evaluate(staged, data / f"{name}.jsonl", work / "evaluation" / f"{name}{added}", options)
    card = collect(staged, data, work / "evaluation", sizes, read_json_object(work / "fp16.json"), texts)
    with copy_of_model(staged, out) as fresh:
        for name in (DECODING, LANGUAGE_MODEL, PRONUNCIATIONS, CALIBRATION):
            if (staged / name).is_file():
                shutil.copyfile(staged / name, fresh / name)
        write_json(fresh / "card.json", card)
        write_text(fresh / "README.md", render(card))
    sys.stdout.write(f"{out}: {sum(sizes.values()) / 1e6:.2f} MB\n")


def _convert(model: Path, data: Path, lm: Path | None, staged: Path, search: Sequence[object], most_bytes: int) -> None:
    """The model in fp16 with its language model and calibration, unless ``staged`` was made from the same files.

    One that was shipped before stays as it is: it is rounded already, and its card says what that changed.
    """
    made_from: dict[str, Any] = {"weights": weights_sha256(model), "lm": sha256_file(lm) if lm else None}
    made_from["search"] = [sha256_file(one) if isinstance(one, Path) else str(one) for one in search]
    record = staged.parent / "made_from.json"
    if read_json_object(record) == made_from:
        return
    whole = from_pretrained(model)
    facts = {"float32_sha256": made_from["weights"], **whole.facts}
    save_pretrained(staged, whole.features, whole.model, whole.tokenizer, facts, dtype=torch.float16)
    _sizes(staged, most_bytes, {str(lm): read_lm(lm).nbytes} if lm else {})  # before the time that tuning takes
    dev = data / "dev.jsonl"
    rounding = read_json_object(model / "card.json").get("fp16") or fp16_difference(model, staged, dev)
    write_json(staged.parent / "fp16.json", rounding)
    stored, calibration = read_decoding(model), read_calibration(model)
    if lm is not None:
        _asr("lm", "tune", staged, dev, "--lm", lm, *search)
    elif stored is not None and stored.language_model is not None:
        facts = (read_extra(model, DECODING) or {}).get("facts", {})
        own = stored.pronunciations
        words = None if own is None else read_pronunciations(Path(own), PRONUNCIATIONS)
        store_decoding(staged, stored, read_lm(stored.language_model), facts, words)
    if lm is None and calibration is not None:
        store_calibration(staged, calibration)
    else:
        _asr("calibrate", staged, dev, "--out", staged.parent / "calibration.png")
    write_json(record, made_from)


def _sizes(staged: Path, most_bytes: int, more: Mapping[str, int] = MappingProxyType({})) -> dict[str, int]:
    """The files of the model and their bytes. Raises UsageError where they are too many, with ``more`` added."""
    kinds = (".safetensors", ".bin", ".json", ".gz")
    sizes = {path.name: path.stat().st_size for path in sorted(staged.iterdir()) if path.suffix in kinds} | dict(more)
    if sum(sizes.values()) > most_bytes:
        listed = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.items())
        raise UsageError(
            f"{sum(sizes.values()) / 1e6:.1f} MB, more than {most_bytes / 1e6:g} ({listed}); prune the language model"
            " more (asr lm build --prune-entropy), or allow more (--most-mb)"
        )
    return sizes


def _asr(*words: object) -> None:
    if code := cli.main([str(word) for word in words]):
        raise AsrError(f"`asr {' '.join(map(str, words))}` failed with exit code {code}")


def fp16_difference(model: Path, half: Path, dev: Path) -> dict[str, Any]:
    """What rounding the weights changes on the first dev utterances: log-probabilities in nats, of tokens and of
    phones, and greedy texts.
    """
    utterances = read_manifest(dev)[:COMPARED]
    recognizers = [Recognizer.from_pretrained(one, device="cpu", decoding={"name": "greedy"}) for one in (model, half)]
    total, frames, largest, changed = 0.0, 0, 0.0, 0
    for exact, rounded in zip(*(one.emissions(utterances, workers=1) for one in recognizers), strict=True):
        if isinstance(exact, AsrError) or isinstance(rounded, AsrError):
            continue
        whole, rough = _all_columns(exact), _all_columns(rounded)
        probable = whole > -10  # what is less probable than 5e-5 is never recognised
        difference = abs(whole - rough)[probable]
        total, frames = total + float(difference.sum()), frames + int(probable.sum())
        largest = max(largest, float(difference.max(initial=0.0)))
        changed += recognizers[0].decode(exact).text != recognizers[1].decode(rounded).text
    return {
        "utterances": len(utterances), "changed_texts": changed,
        "mean_nats": total / max(frames, 1), "largest_nats": largest,
    }  # fmt: skip


def _all_columns(emissions: Emissions) -> NDArray[np.float32]:
    """``(frames, tokens and phones)``."""
    return np.concatenate([one for one in (emissions.log_probs, emissions.phones) if one is not None], axis=1)


def _evaluate(staged: Path, manifest: Path, out: Path, options: Sequence[str]) -> None:
    """`asr evaluate`, unless ``out`` holds its result for the same weights, decoding and manifest."""
    summary = read_json_object(out / "summary.json")
    made_for = {
        "manifest": sha256_file(manifest),
        "files": {one.name: sha256_file(one) for one in staged.glob("*.json")},
    }
    if summary.get("model_sha256") == weights_sha256(staged) and read_json_object(out / "made_for.json") == made_for:
        return
    _asr("evaluate", staged, manifest, "--out", out, *options)
    write_json(out / "made_for.json", made_for)


if __name__ == "__main__":
    sys.exit(main())
