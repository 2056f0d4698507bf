"""Draft, correct, train again: the whole loop of docs/how-to/loop.md on a corpus whose transcripts are known.

    python benchmarks/loop.py data/mboshi --out runs/loop --minutes 20 --pile 60 --corrections 30

1. Utterances of a speaker are joined, with pauses, to recordings of --recording-s: --minutes of the training set, dev
   and test with an ELAN file of their texts beside each, --pile minutes of the rest with nothing.
2. `asr run` trains on the annotated ones, `asr suggest` says what of the pile to transcribe next.
3. `asr serve --corpus` drafts the pile. --corrections segments are corrected through the page's HTTP requests, in the
   queue's order. The person is simulated: texts are the corpus's, and segments that cut one are passed over.
4. `asr run ... previous=` trains on with the corrections; a control trains on as long without them.
5. All three models are compared on test, and on what is left of the pile.

In: prepared manifests (train, dev, test). Out: in --out all of this, ``loop.json`` and ``loop.md``. The same command
resumes. --set changes all trainings, --first the first one, --then the two after it.
"""

import argparse
import json
import math
import shlex
import socket
import sys
import threading
import time
import urllib.request
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.audio import load_audio  # noqa: E402
from asr.cli import main as asr_main  # noqa: E402
from asr.data.manifest import Utterance, read_manifest, write_manifest  # noqa: E402
from asr.data.splits import nested_parts  # noqa: E402
from asr.errors import AsrError, RecordingNote, UsageError  # noqa: E402
from asr.files import read_json_object, write_json, write_text  # noqa: E402
from asr.probes.record import Record  # noqa: E402
from asr.scoring.report import score_texts  # noqa: E402
from asr.server.options import ServeOptions  # noqa: E402
from asr.text.normalize import get_normalizer  # noqa: E402
from asr.transcription.tiers import Tier, eaf_text  # noqa: E402

RATE = 16_000
PAUSES_S = (0.1, 0.8)  # between two utterances
NOISE = 1e-4  # full scale 1: pauses of digital silence are in no field recording
CUT = (
    0.25  # an utterance is in a segment by more than 1 - CUT of its length, not in it by less than CUT, else it is cut
)
SETTLE_S = 3.0  # the queue is ranked in a thread of its own
BY = "loop.py"  # who corrects
MODELS = ("first", "second", "control")


def write_recordings(
    folder: Path, utterances: Sequence[Utterance], longest_s: float, *, annotated: bool
) -> list[Utterance]:
    """Long recordings ``SPEAKER/NUMBER.wav``, with ``annotated`` an .eaf beside each; where each utterance is."""
    generator = np.random.default_rng(len(utterances))
    placed: list[Utterance] = []
    by_speaker: dict[str, list[Utterance]] = {}
    for one in utterances:
        by_speaker.setdefault(one.speaker or "unknown", []).append(one)
    for speaker, own in by_speaker.items():
        groups: list[list[Utterance]] = [[]]
        for one in own:
            if math.fsum(other.duration_s for other in groups[-1]) + one.duration_s > longest_s and groups[-1]:
                groups.append([])
            groups[-1].append(one)
        for number, group in enumerate(groups, start=1):
            file = folder / speaker / f"{number:03d}.wav"
            file.parent.mkdir(parents=True, exist_ok=True)
            found = _join(file, group, generator)
            if annotated:
                intervals = [
                    (round(1000 * one.start_s), round(1000 * (one.start_s + one.duration_s)), one.text) for one in found
                ]
                tiers = [Tier(f"text@{speaker}", intervals, participant=speaker)]
                write_text(file.with_suffix(".eaf"), eaf_text(tiers, str(file)))
            placed += found
    return placed


def _join(file: Path, group: Sequence[Utterance], generator: np.random.Generator) -> list[Utterance]:
    """One recording of the utterances, with pauses around them; where each is."""
    pieces, samples, found = [], 0, []
    for one in group:
        pause = generator.standard_normal(round(generator.uniform(*PAUSES_S) * RATE)) * NOISE
        sound = load_audio(
            one.audio, sample_rate=RATE, start_s=one.start_s, duration_s=one.duration_s, channel=one.channel
        )
        samples += len(pause)
        found.append(
            Utterance(
                id=one.id, audio=str(file.absolute()), start_s=samples / RATE, duration_s=len(sound) / RATE,
                text=one.text, speaker=one.speaker,
            )
        )  # fmt: skip
        samples += len(sound)
        pieces += [pause.astype(np.float32), sound]
    soundfile.write(file, np.concatenate([*pieces, pieces[0]]).clip(-1, 1), RATE, subtype="PCM_16")
    return found


def said_in(utterances: Sequence[Utterance], start_s: float, end_s: float) -> str | None:
    """What a person hears in a span of the recording of ``utterances``; None where one is cut, or nothing is said."""
    words = []
    for one in utterances:
        share = (min(end_s, one.start_s + one.duration_s) - max(start_s, one.start_s)) / one.duration_s
        if CUT < share < 1 - CUT:
            return None
        if share >= 1 - CUT:
            words.append(one.text)
    return " ".join(words) or None


class Loop:
    """The steps, in ``options.out``."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.out = options, Path(options.out).absolute()
        self.corpus, self.pile, self.truth = self.out / "corpus", self.out / "pile", self.out / "pile-truth.jsonl"

    def run(self) -> None:
        """Every step that is not done. Raises UsageError where --out holds another loop, SystemExit where one fails."""
        keys = ("data", "recipe", "minutes", "pile", "corrections", "recording_s", "seed", "set", "first", "then")
        same = {key: str(getattr(self.options, key)) for key in keys}
        begun = self.out / "settings.json"
        if begun.exists() and read_json_object(begun) != same:
            raise UsageError(f"{self.out} was begun with other settings ({begun}); give another --out")
        write_json(begun, same)
        if not self.truth.exists():
            self._make_corpus()
        self._train("first", self.corpus, self.options.first)
        if not (self.out / "next.jsonl").exists():
            transcribed = self._run("first") / "data" / "train.jsonl"
            asr("suggest", self._model("first"), self.pile, "-r", "--transcribed", transcribed,
                "--minutes", 10, "--show", 10, "--out", self.out / "next.jsonl")  # fmt: skip
        self._correct()
        previous = [f"previous={self._run('first')}", *self.options.then]
        self._train("second", self.pile, previous)
        self._train("control", self.corpus, previous)
        self._evaluate()

    def _make_corpus(self) -> None:
        train = read_manifest(self.options.data / "train.jsonl")
        (known,) = nested_parts(train, [self.options.minutes], seed=self.options.seed)
        ids = {one.id for one in known}
        (rest,) = nested_parts([one for one in train if one.id not in ids], [self.options.pile], seed=self.options.seed)
        parts = {
            "train": known,
            **{name: read_manifest(self.options.data / f"{name}.jsonl") for name in ("dev", "test")},
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RecordingNote)  # the corpus's own recipe tells them
            for name, part in parts.items():
                write_recordings(self.corpus / name, part, self.options.recording_s, annotated=True)
            placed = write_recordings(self.pile, rest, self.options.recording_s, annotated=False)
        write_manifest(self.truth, placed)

    def _train(self, name: str, corpus: Path, changes: Sequence[str]) -> None:
        asr("run", self.options.recipe, f"corpus={corpus}", f"run_dir={self._run(name)}", f"seed={self.options.seed}",
            *self.options.set, *changes)  # fmt: skip

    def _run(self, name: str) -> Path:
        return self.out / "runs" / name

    def _model(self, name: str) -> Path:
        return self._run(name) / "model"

    def _correct(self) -> None:
        """As a person at the page does: take the next of the queue, listen, save."""
        truth: dict[str, list[Utterance]] = {}
        for one in read_manifest(self.truth):
            truth.setdefault(str(Path(one.audio).relative_to(self.pile)), []).append(one)
        file = self.pile / "corrected.jsonl"
        if file.exists() and len(read_manifest(file)) >= self.options.corrections:
            return
        options = ServeOptions(models={"first": self._model("first")}, corpus=self.pile, device="cpu")
        with serving(options) as page:
            _until_drafted(page)
            passed: set[str] = set()
            while page.get("?limit=1")["counts"]["corrected"] < self.options.corrections:
                queue = page.get("?order=useful&status=open&limit=500")["segments"]
                following = next((segment for segment in queue if segment["id"] not in passed), None)
                if following is None:
                    raise UsageError(f"{self.pile}: too few segments without a cut utterance; give more with --pile")
                text = said_in(truth[following["recording"]], following["start_s"], following["end_s"])
                if text is None:
                    passed.add(following["id"])
                else:
                    page.put(following["id"], {"text": text, "by": BY, "version": following["version"]})
        say(f"{self.options.corrections} segments corrected, {len(passed)} passed over")

    def _evaluate(self) -> None:
        """All models on what is left of the pile; all of them compared there and on test."""
        corrected = read_manifest(self.pile / "corrected.jsonl")
        spans = [(one.audio, one.start_s, one.start_s + one.duration_s) for one in corrected]

        def is_left(one: Utterance) -> bool:
            stop_s = one.start_s + one.duration_s
            return not any(
                one.audio == audio and min(stop_s, end_s) > max(one.start_s, start_s) for audio, start_s, end_s in spans
            )

        rest = self.out / "rest.jsonl"
        if not rest.exists():
            write_manifest(rest, [one for one in read_manifest(self.truth) if is_left(one)])
        for name in MODELS:
            out = self._run(name) / "evaluation" / "rest"
            if not (out / "results.jsonl").exists():
                asr("evaluate", self._model(name), rest, "--out", out)
        for part in ("test", "rest"):
            systems = [f"{name}={self._run(name) / 'evaluation' / part}" for name in MODELS]
            asr("compare", *systems, "--out", self.out / f"compared-{part}")

    def report(self, record: Record) -> str:
        """Write ``loop.json`` and ``loop.md``."""
        corrected = read_manifest(self.pile / "corrected.jsonl")
        normalize = get_normalizer("basic")
        drafts = score_texts(
            {one.id: one.text for one in corrected},
            {one.id: str(one.extra["draft"]) for one in corrected},
            normalizer=normalize,
        )
        known = read_manifest(self._run("first") / "data" / "train.jsonl")
        results: dict[str, Any] = {
            "minutes": {name: _minutes(part) for name, part in (("annotated", known), ("corrected", corrected))},
            "pile_minutes": _minutes(read_manifest(self.truth)),
            "corrections": len(corrected),
            "drafts_corrected": {"wer": 100 * drafts.words.rate, "cer": 100 * drafts.characters.rate},
            "trained_seconds": {
                name: read_json_object(self._model(name) / "config.json")["facts"]["training_seconds"]
                for name in MODELS
            },
        }
        for part in ("test", "rest"):
            compared = read_json_object(self.out / f"compared-{part}" / "compare.json")
            rows = [
                {"model": one["name"], "wer": one["wer"], "cer": one["cer"], **_ends(one["intervals"])}
                for one in compared["systems"]
            ]
            pairs = [
                {key: one[key] for key in ("first", "second", "verdict", "sentence", "over_utterances")}
                for one in compared["pairs"]
            ]
            results[part] = {"utterances": compared["utterances"], "rows": rows, "pairs": pairs}
        settings = {key: str(value) if isinstance(value, Path) else value for key, value in vars(self.options).items()}
        record.write(self.out / "loop.json", settings, results)
        text = render(results)
        write_text(self.out / "loop.md", text + "\n")
        return text


class Requests:
    """What the page asks of the server at ``address``."""

    def __init__(self, address: str) -> None:
        self.address = f"{address}/corpus/segments"

    def get(self, path: str) -> dict[str, Any]:
        """The answer to a GET."""
        return self._ask(urllib.request.Request(self.address + path))

    def put(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Save a correction."""
        headers = {"Content-Type": "application/json"}
        data = json.dumps(body).encode()
        return self._ask(urllib.request.Request(f"{self.address}/{name}", data, headers, method="PUT"))

    def _ask(self, request: urllib.request.Request) -> dict[str, Any]:
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
            return found


@contextmanager
def serving(options: ServeOptions) -> Iterator[Requests]:
    """`asr serve` on a free port of this process, while the ``with`` lasts."""
    from asr.server.app import create_app
    from asr.server.serve import make_server

    server = make_server(create_app(options), options)
    started = threading.Event()
    server.tell_started = started.set
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            started.wait(60)
            yield Requests(f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join()


def _until_drafted(page: Requests) -> None:
    """Wait until all is drafted, and the queue is in order."""
    while (drafting := page.get("?limit=1")["drafting"])["done"] < drafting["total"]:
        time.sleep(0.2)
    if drafting["failed"]:
        raise UsageError(f"drafting failed: {drafting['failed'][0]}")
    ordered: list[str] = []
    while (now := [one["id"] for one in page.get("?order=useful&limit=500")["segments"]]) != ordered:
        ordered = now
        time.sleep(SETTLE_S)


def asr(*words: object) -> None:
    """A command of `asr`, in this process. Raises SystemExit where it fails."""
    arguments = list(map(str, words))
    say(f"asr {shlex.join(arguments)}")
    if code := asr_main(arguments):
        raise SystemExit(code)


def say(line: str) -> None:
    """A line of the log, with the time."""
    print(time.strftime("%H:%M:%S"), line, file=sys.stderr, flush=True)


def _minutes(utterances: Sequence[Utterance]) -> float:
    return math.fsum(one.duration_s for one in utterances) / 60


def _ends(intervals: dict[str, Any]) -> dict[str, list[float]]:
    over = {rate: intervals[rate]["utterances"] or {"low": None, "high": None} for rate in ("wer", "cer")}
    return {f"{rate}_interval": [ends["low"], ends["high"]] for rate, ends in over.items()}


def render(results: dict[str, Any]) -> str:
    """The figures as Markdown."""
    minutes, drafts = results["minutes"], results["drafts_corrected"]
    lines = [
        f"{minutes['annotated']:.1f} minutes annotated; {results['corrections']} segments, {minutes['corrected']:.1f}"
        f" of {results['pile_minutes']:.1f} minutes of the pile, corrected (their drafts: WER {drafts['wer']:.1f}, CER"
        f" {drafts['cer']:.1f} %).",
        "",
        "| tested on | utterances | model | WER % [95 % over utterances] | CER % |",
        "|---|---:|---|---|---|",
    ]
    for part in ("test", "rest"):
        for row in results[part]["rows"]:
            wer, cer = (_shown(row[rate], row[f"{rate}_interval"]) for rate in ("wer", "cer"))
            lines.append(f"| {part} | {results[part]['utterances']} | {row['model']} | {wer} | {cer} |")
    for part in ("test", "rest"):
        lines += ["", *(f"- {part}: {one['sentence']}" for one in results[part]["pairs"])]
    return "\n".join(lines)


def _shown(rate: float, ends: Sequence[float | None]) -> str:
    return f"{rate:.1f}" + ("" if None in ends else f" [{ends[0]:.1f}, {ends[1]:.1f}]")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run the steps, report."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a folder with train.jsonl, dev.jsonl and test.jsonl")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "folder" / "bilstm.yaml")
    parser.add_argument("--minutes", type=float, default=20.0, help="annotated, of train")
    parser.add_argument("--pile", type=float, default=math.inf, help="minutes without texts (default: all the rest)")
    parser.add_argument("--corrections", type=int, default=30, help="segments that are corrected")
    parser.add_argument("--recording-s", type=float, default=180.0, help="length of a recording")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="for all trainings")
    parser.add_argument("--first", nargs="+", default=[], metavar="KEY=VALUE", help="for the first one")
    parser.add_argument("--then", nargs="+", default=[], metavar="KEY=VALUE", help="for the second and the control")
    options = parser.parse_args(words)
    record = Record("loop", f"python benchmarks/loop.py {shlex.join(words)}", "cpu")
    loop = Loop(options)
    try:
        loop.run()
        print(loop.report(record))
    except AsrError as error:
        raise SystemExit(f"{parser.prog}: {error}") from None
    return 0


if __name__ == "__main__":
    sys.exit(main())
