"""Synthetic spoken digit strings, made on this machine: nothing has to be downloaded.

In: nothing but options. Out: recordings in ``out/audio-*``, and train, dev and test manifests. espeak-ng's offline
voices say one to seven digits; the voices of dev and of test do not occur in training, nor do closely related
voices. White to brown noise at 15 to 45 dB below the speech, silence around it and random level make it a little less
clean.
"""

import hashlib
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypedDict

from asr.data.manifest import Utterance, read_manifest
from asr.data.recordings import with_durations
from asr.data.splits import Splits, summarize, write_splits
from asr.errors import ConfigError, DataError
from asr.files import write_json

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ACCENTS = ("en", "en-us", "en-us-nyc", "en-029", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd")
# espeak-ng's variants are the voices (timbre, pitch); robots, whisperers and echoes are left out. Related
# voices (steph, steph2) are in one part.
VOICES = {
    "train": (
        "Alex Alicia Andrea Denis Diogo Gene Gene2 Henrique Jacky Lee Marco Mike Nguyen adam anika antonio aunty "
        "belinda benjamin boris david edward edward2 f2 f3 f5 grandma gustave ian iven john klatt klatt2 klatt4 "
        "klatt6 m1 m2 m4 m5 m6 m8 max michel miguel mike2 norbert pedro quincy rob robert sandro shelby steph "
        "steph2 travis victor"
    ),
    "dev": "Andy caleb f1 m3 marcelo paul",
    "test": "Annie Mario Michael Reed announcer ed f4 grandpa linda m7 pablo zac",
}
PLANS_PER_PROCESS = 250  # fixed, so that the sound does not depend on the number of cores
PROCESSES = 2
RELEASE = 1  # of this generator: a new number generates everything again


class Delivery(TypedDict):
    """How an utterance is spoken and recorded."""

    words_per_minute: int
    pitch: int
    pitch_range: int
    word_gap_10ms: int
    lead_s: float
    trail_s: float
    snr_db: float
    noise_slope: float
    noise_seed: int
    peak_dbfs: float


class Plan(Delivery):
    """An utterance to synthesize: one line of synthesis.py's input."""

    id: str
    text: str
    speaker: str
    accent: str
    spoken: str
    voice: str
    file: str


def prepare(
    corpus: Path | None,
    out: Path,
    *,
    train: int = 1000,
    dev: int = 100,
    test: int = 200,
    longest: int = 7,
    seed: int = 0,
) -> str:
    """Synthesize the recordings, write the manifests and return the summary; a second call finds them done.

    Args:
        corpus: not used; give none.
        out: folder for the manifests and, in a folder below it, the recordings.
        train: utterances to train on (1000 are about half an hour).
        dev: utterances for dev, in other voices.
        test: utterances for test, in other voices.
        longest: most digits in an utterance.
        seed: another seed gives other digits and other voices.
    """
    counts = {"train": train, "dev": dev, "test": test}
    if min(*counts.values(), longest) < 1:
        raise ConfigError(f"train={train}, dev={dev}, test={test} and longest={longest} must each be at least 1.")
    options = {**counts, "longest": longest, "seed": seed, "release": RELEASE, "espeakng_loader": _library_version()}
    fingerprint = hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:10]
    audio = out.resolve() / f"audio-{fingerprint}"
    if _is_done(out, fingerprint, counts):
        return summarize(_splits({part: list(read_manifest(out / f"{part}.jsonl")) for part in counts}))
    planned = {part: _plan(part, count, longest, seed, audio) for part, count in counts.items()}
    audio.mkdir(parents=True, exist_ok=True)
    _synthesize([plan for plans in planned.values() for plan in _pieces(plans)])
    summary = write_splits(out, _splits({part: _utterances(plans) for part, plans in planned.items()}))
    write_json(out / "digits.json", {"fingerprint": fingerprint, **options})
    for stale in out.glob("audio-??????????"):  # of other options; the manifests no longer name them
        if stale.resolve() != audio:
            shutil.rmtree(stale)
    return summary


def _splits(parts: dict[str, list[Utterance]]) -> Splits:
    return Splits(train=parts["train"], dev=parts["dev"], test=parts["test"])


def _library_version() -> str:
    try:
        return version("espeakng-loader")
    except PackageNotFoundError as error:
        raise DataError("recipes/digits needs the pip package espeakng-loader: pip install espeakng-loader") from error


def _is_done(out: Path, fingerprint: str, counts: dict[str, int]) -> bool:
    """Whether these options made what is in ``out``; their stamp is written last, after every file."""
    try:
        stamp = json.loads((out / "digits.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    recordings = len(list((out / f"audio-{fingerprint}").glob("*.flac")))
    manifests = all((out / f"{part}.jsonl").is_file() for part in counts)
    return bool(stamp.get("fingerprint") == fingerprint and manifests and recordings == sum(counts.values()))


def _plan(part: str, count: int, longest: int, seed: int, audio: Path) -> list[Plan]:
    """What to synthesize and how: each plan depends on the seed, the part and its number alone."""
    voices = VOICES[part].split()
    random.Random(f"{seed} {part}").shuffle(voices)
    plans: list[Plan] = []
    for number in range(count):
        chance = random.Random(f"{seed} {part} {number}")
        name = f"{part}-{number:05d}"
        words = chance.choices(WORDS, k=chance.randint(1, longest))
        spoken = "".join(word + chance.choices([" ", ", "], weights=[4, 1])[0] for word in words).rstrip(", ")
        voice, accent = voices[number % len(voices)], chance.choice(ACCENTS)
        plan = Plan(
            id=name,
            text=" ".join(words),
            speaker=voice,
            accent=accent,
            spoken=spoken,
            voice=f"{accent}+{voice}",
            file=str(audio / f"{name}.flac"),
            **_delivery(chance),
        )
        plans.append(plan)
    return plans


def _delivery(chance: random.Random) -> Delivery:
    """Speech rate, pitch, pauses, noise and level, in the ranges of people who speak numbers."""
    return {
        "words_per_minute": chance.randint(120, 220),
        "pitch": chance.randint(30, 70),
        "pitch_range": chance.randint(20, 80),
        "word_gap_10ms": chance.choice([0, 0, 0, 1, 3, 6]),
        "lead_s": round(chance.uniform(0.05, 0.4), 3),
        "trail_s": round(chance.uniform(0.0, 0.4), 3),
        "snr_db": round(chance.uniform(15, 45), 1),
        "noise_slope": round(chance.uniform(0, 1), 2),
        "noise_seed": chance.getrandbits(32),
        "peak_dbfs": round(chance.uniform(-20, -1), 1),
    }


def _pieces(plans: Sequence[Plan]) -> list[Sequence[Plan]]:
    return [plans[first : first + PLANS_PER_PROCESS] for first in range(0, len(plans), PLANS_PER_PROCESS)]


def _synthesize(pieces: Sequence[Sequence[Plan]]) -> None:
    """Speak every piece in a fresh process, a few at a time."""
    with ThreadPoolExecutor(PROCESSES) as pool:
        list(pool.map(_synthesize_piece, pieces))


def _synthesize_piece(plans: Sequence[Plan]) -> None:
    script = Path(__file__).with_name("synthesis.py")
    spoken = subprocess.run(
        [sys.executable, "-P", str(script)],
        input="".join(json.dumps(plan) + "\n" for plan in plans),
        capture_output=True,
        text=True,
        check=False,
    )
    if spoken.returncode != 0:
        last = (spoken.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        raise DataError(f"The synthesizer failed (exit status {spoken.returncode}): {last}")


def _utterances(plans: Sequence[Plan]) -> list[Utterance]:
    return with_durations(
        Utterance(
            id=plan["id"],
            audio=plan["file"],
            duration_s=0.0,
            text=plan["text"],
            speaker=plan["speaker"],
            extra={"accent": plan["accent"], "words_per_minute": plan["words_per_minute"], "snr_db": plan["snr_db"]},
        )
        for plan in plans
    )
