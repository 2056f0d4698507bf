"""The card of the shipped model: its figures, from files that `asr evaluate` and the training wrote, as Markdown.

In: a model directory, the folder of its manifests, a folder of evaluations of these weights, and what only people
know (card_texts.json; another language's model has its own). Out: ``collect``'s figures as plain values (card.json),
and ``render``'s text of them (README.md). No figure is typed by hand.
"""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asr.data.manifest import read_manifest
from asr.errors import UsageError
from asr.files import file_hashes, finite, read_json_object
from asr.lm import read_lm
from asr.lm.trie import ngram_counts
from asr.pretrained import from_pretrained
from asr.recognition.calibration import FILE as CALIBRATION
from asr.recognition.stored_decoding import FILE as DECODING
from asr.recognition.stored_decoding import LANGUAGE_MODEL
from asr.scoring.breakdown.groups import Grouping, all_groupings
from asr.scoring.intervals import rate_intervals
from asr.scoring.measures import WER
from asr.scoring.report import build_report
from asr.scoring.results import Results, read_results
from asr.shipped import weights_sha256
from asr.stored import read_extra

TEXTS = Path(__file__).with_name("card_texts.json")  # what no evaluation knows: name, sources, licences, limits
MANIFESTS = ("train.jsonl", "dev.jsonl")
GROUPS = ("age", "gender")  # speaker groups, where the manifest has them


def collect(
    staged: Path, data: Path, evaluation: Path, sizes: dict[str, int], fp16: dict[str, Any], texts: Path = TEXTS
) -> dict[str, Any]:
    """Everything that the card says in figures, and the ``texts`` that go with them.

    Further results of the same weights in ``evaluation``, such as greedy ones, are shown too; others are refused.
    """
    pretrained = from_pretrained(staged)
    own, tests = weights_sha256(staged), []
    for folder in sorted(path.parent for path in evaluation.glob("*/summary.json")):
        if read_json_object(folder / "summary.json").get("model_sha256") != own:
            raise UsageError(f"{folder}: was not evaluated with {staged}; delete it, or evaluate it again")
        tests.append(_test(folder))
    told = str(pretrained.facts.get("manifests_sha256", "")).split()  # in facts since it is kept
    return {
        "sha256": own,
        "texts": read_texts(texts),
        "facts": dict(pretrained.facts),
        "model": asdict(pretrained.model.config),
        "parameters": sum(one.numel() for one in pretrained.model.parameters()),
        "sizes": sizes,
        "files": dict(zip(sizes, file_hashes(staged / name for name in sizes).values(), strict=True)),
        "manifests": dict(zip(MANIFESTS, told or file_hashes(data / name for name in MANIFESTS).values(), strict=True)),
        "fp16": fp16,
        "train": _sources(data / "train.jsonl"),
        "language_model": _language_model(staged),
        "calibrated": (staged / CALIBRATION).is_file(),
        "tests": [one for one in tests if one["backend"] == "torch"],
        "backends": [one for one in tests if one["backend"] != "torch"],
    }


def _sources(manifest: Path) -> list[dict[str, Any]]:
    hours: Counter[str] = Counter()
    count: Counter[str] = Counter()
    for one in read_manifest(manifest):
        source = str(one.extra.get("source", "unknown"))
        hours[source] += one.duration_s / 3600  # type: ignore[assignment]
        count[source] += 1
    return [{"source": name, "utterances": count[name], "hours": round(hours[name], 2)} for name in count]


def _language_model(staged: Path) -> dict[str, Any] | None:
    if not (staged / LANGUAGE_MODEL).is_file():
        return None
    model, stored = read_lm(staged / LANGUAGE_MODEL), read_extra(staged, DECODING) or {}
    return {"ngrams": list(ngram_counts(model)), "settings": stored.get("settings"), "facts": stored.get("facts")}


def _test(folder: Path) -> dict[str, Any]:
    """One evaluation: what summary.json and breakdown.json say, and the WER of each speaker group with its interval."""
    summary, breakdown = read_json_object(folder / "summary.json"), read_json_object(folder / "breakdown.json")
    results = read_results(folder / "results.jsonl")
    keys = (
        "data",
        "date",
        "normalizer",
        "utterances",
        "audio_hours",
        "wer",
        "cer",
        "real_time_factor",
        "hardware",
        "decoding",
    )
    confidence = breakdown.get("confidence") or {}
    return {
        "name": folder.name,
        **{key: summary.get(key) for key in keys},
        "backend": summary.get("backend") or "torch",
        "data": Path(str(summary.get("data"))).name,
        "speakers": len(summary.get("by_speaker") or {}),
        "interval": summary["intervals"]["wer"],
        "confidence": {key: confidence.get(key) for key in ("calibration_error", "chance_error", "ranking_quality")},
        "groups": [group for one in all_groupings(results) if one.name in GROUPS for group in _groups(results, one)],
    }


def _groups(results: Results, grouping: Grouping) -> list[dict[str, Any]]:
    found = []
    for row in grouping.rows:
        report = build_report([results.report.utterances[place] for place in row.members], results.report.normalizer)
        intervals = rate_intervals(report, WER)
        interval = intervals.speakers or intervals.utterances
        speakers = {one.speaker for one in report.utterances if one.speaker is not None}
        found.append(
            {
                "group": f"{grouping.name} {row.label}",
                "utterances": row.utterances,
                "speakers": len(speakers),
                "wer": finite(100 * row.words.rate, 2),
                "interval": interval and [round(100 * interval.low, 2), round(100 * interval.high, 2)],
                "small": row.small,
            }
        )
    return found


def read_texts(path: Path) -> dict[str, Any]:
    """The texts of a card. Raises UsageError where one is missing."""
    texts = read_json_object(path)
    if missing := sorted(read_json_object(TEXTS).keys() - texts.keys()):
        raise UsageError(f"{path}: lacks {', '.join(missing)}; {TEXTS} is an example")
    return texts


def render(card: dict[str, Any]) -> str:
    """The model card in Markdown: every figure is one of ``card``'s."""
    texts = card.get("texts") or read_texts(TEXTS)  # cards before 0.2 have none
    return "\n\n".join(
        [
            f"# {texts['name']}",
            f"{texts['what']} Made by recipes/english/ship.py from results of `asr evaluate`; do not edit.",
            *_origin(card, texts),
            *_provenance(card),
            "## Data",
            *_data(card["train"], card["language_model"], texts),
            "## Errors",
            _errors(card["tests"]),
            *_backends(card.get("backends", []), card["tests"]),
            *_group_tables(card["tests"]),
            "## Confidence",
            _confidence(card),
            "## Limits\n\n" + "\n".join(texts["limits"]) + "\n",
        ]
    )


def _origin(card: dict[str, Any], texts: dict[str, Any]) -> list[str]:
    """What the model is and how it was made."""
    facts, fp16, sizes = card["facts"], card["fp16"], card["sizes"]
    files = ", ".join(f"{name} {value / 1e6:.2f} MB" for name, value in sizes.items())
    started = f" {texts['history']}" if facts.get("init_from") else ""
    return [
        f"{card['parameters'] / 1e6:.2f} million parameters ({card['model']['name']}); {sum(sizes.values()) / 1e6:.1f}"
        f" MB ({files}). Weights are float16 in the file and float32 in use. That changes log-probabilities by"
        f" {fp16['mean_nats']:.4f} nats in the mean and {fp16['largest_nats']:.3f} at most, and {fp16['changed_texts']}"
        f" of {fp16['utterances']} greedy texts.",
        f"Trained for {facts.get('training_seconds', 0) / 3600:.1f} h on {facts.get('hardware', 'unknown')}:"
        f" {facts.get('epoch', 'unknown')} epochs, {facts.get('audio_hours', 0):.0f} h of audio.{started}",
        f"    {facts.get('command', 'unknown')}",
        f"At commit {facts.get('commit', 'unknown')}; weights {card['sha256'][:12]}.",
    ]


def _provenance(card: dict[str, Any]) -> list[str]:
    """The SHA-256 of what the model was made from, and of its files. None in cards of before they were kept."""
    begun = card["facts"].get("init_from_sha256")
    made_from = card.get("manifests", {}) | ({"the weights it began with": begun} if begun else {})
    rows = [(f"`{name}`", digest) for name, digest in card.get("files", {}).items()]
    rows += [(f"made from: {name}", digest) for name, digest in made_from.items() if digest]
    return ["## Provenance", _table(("file", "SHA-256"), rows)] if card.get("files") else []


def _data(train: list[dict[str, Any]], language_model: dict[str, Any] | None, texts: dict[str, Any]) -> list[str]:
    known = texts["sources"]  # source in the manifests: what it is, licence
    rows = [
        (*known.get(one["source"], (one["source"], "unknown")), f"{one['utterances']:,}", f"{one['hours']:.2f}")
        for one in train
    ]
    return [
        f"{sum(one['hours'] for one in train):.1f} h of recorded speech.",
        _table(("source", "licence", "utterances", "hours"), rows),
        str(texts["held_out"])
        + (f" {texts['language_model']}" if language_model else "")
        + _dictionary(((language_model or {}).get("facts") or {}).get("pronunciations")),
    ]


def _dictionary(facts: dict[str, Any] | None) -> str:
    if facts is None:
        return ""
    return (
        f" Words are found by their sounds: the pronunciations are of {facts['name']}, {facts['words']:,} words"
        f" (SHA-256 {facts['sha256'][:12]}); kept are those of the language model's words."
    )


def _errors(tests: list[dict[str, Any]]) -> str:
    if not tests:
        return "Not evaluated."
    rows = [
        (
            one["name"], _decoder(one["decoding"]), f"{one['utterances']:,}", one["speakers"] or "unknown",
            _figure(one["wer"], 2), _bounds(one["interval"]["utterances"]), _bounds(one["interval"]["speakers"]),
            _figure(one["cer"], 2), _figure(one["real_time_factor"], 3),
        )
        for one in tests
    ]  # fmt: skip
    header = (
        "test",
        "decoding",
        "utterances",
        "speakers",
        "WER %",
        "95 % interval",
        "over speakers",
        "CER %",
        "s a s of audio",
    )
    hardware = ", ".join(sorted({str(one["hardware"]) for one in tests}))
    return (
        f"{_table(header, rows)}\n\nNormaliser {tests[0]['normalizer']}; measured on {hardware}. Intervals cover the"
        " choice of recordings (over speakers: of new speakers), not another microphone or way of speaking."
    )


def _backends(others: list[dict[str, Any]], tests: list[dict[str, Any]]) -> list[str]:
    """The same recordings and decoding with other backends than torch, where they were evaluated."""
    wers = {(one["data"], str(one["decoding"])): one["wer"] for one in tests}
    rows = []
    for one in others:
        with_torch = wers.get((one["data"], str(one["decoding"])))
        change = "unknown" if None in (with_torch, one["wer"]) else f"{one['wer'] - with_torch:+.2f}"
        figures = _figure(one["wer"], 2), change, _figure(one["real_time_factor"], 3)
        rows.append((Path(one["data"]).stem, _decoder(one["decoding"]), one["backend"], *figures))
    header = ("test", "decoding", "backend", "WER %", "against torch", "s a s of audio")
    return [f"### By backend (`--backend`)\n\n{_table(header, rows)}"] if rows else []


def _group_tables(tests: list[dict[str, Any]]) -> list[str]:
    tables = []
    for test in tests:
        rows = [
            (
                one["group"] + (" (few)" if one["small"] else ""),
                one["utterances"],
                one["speakers"],
                _figure(one["wer"], 2),
                _span(one["interval"]),
            )
            for one in test["groups"]
        ]
        if rows:
            header = ("group", "utterances", "speakers", "WER %", "95 % interval")
            tables.append(
                f"### {test['name']}, {_decoder(test['decoding'])}, by speaker group\n\n{_table(header, rows)}"
            )
    return tables


def _confidence(card: dict[str, Any]) -> str:
    tests = [one for one in card["tests"] if one["confidence"]["calibration_error"] is not None]
    if not tests:
        return "Calibrated on dev; not evaluated." if card["calibrated"] else "Not calibrated."
    rows = []
    for one in tests:
        known = one["confidence"]
        errors = [_figure(known[key], 3) for key in ("calibration_error", "chance_error", "ranking_quality")]
        rows.append((one["name"], _decoder(one["decoding"]), *errors))
    header = ("test", "decoding", "calibration error", "of that by chance", "right above wrong (AUC)")
    how = "Calibrated on dev" if card["calibrated"] else "Not calibrated"
    return f"{how}. Expected calibration error of the words' confidence:\n\n{_table(header, rows)}"


def _decoder(decoding: dict[str, Any]) -> str:
    return "language model" if "language_model" in decoding else str(decoding["name"])


def _figure(value: float | None, digits: int) -> str:
    return "none" if value is None else f"{value:.{digits}f}"


def _bounds(interval: dict[str, Any] | None) -> str:
    return _span([interval["low"], interval["high"]] if interval else None)


def _span(pair: list[float] | None) -> str:
    return "none" if pair is None else f"[{pair[0]:.1f}, {pair[1]:.1f}]"


def _table(header: tuple[str, ...], rows: list[Any]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
