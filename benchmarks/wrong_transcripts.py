"""How many wrong transcripts are at the head of the list that `asr check --model` ranks.

In: a model directory, manifests, an optional number of utterances. A share of the transcripts (5 %) is corrupted: a
third by swapping the texts of two utterances, a third by keeping only the first 30 to 70 % of the words, a third by the
sentence of another speaker. Out: which share of them is among the first 8 % of the ranked list, by kind, over some
seeds. Required: 80 %. `--subtle` corrupts otherwise: one word replaced, one or two words lost, the second half of
another text.

    python benchmarks/wrong_transcripts.py runs/librispeech/model data/librispeech/dev.jsonl data/librispeech/test.jsonl
"""

import argparse
import dataclasses
import random
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.data.manifest import Utterance, read_manifest  # noqa: E402
from asr.errors import AsrError  # noqa: E402
from asr.recognition import Recognizer  # noqa: E402
from asr.recognition.suspects import Suspect, judge_transcript  # noqa: E402
from asr.recognition.windows import Emissions  # noqa: E402
from asr.scoring import count_character_errors  # noqa: E402
from asr.terminal import Progress, table  # noqa: E402
from asr.text.normalize import get_normalizer  # noqa: E402

MEASURES = ("score", "edits", "nats")
WRONG_SHARE, HEAD_SHARE = 0.05, 0.08


def corrupt(utterances: Sequence[Utterance], seed: int, subtle: bool) -> dict[int, tuple[str, str]]:
    """By place: the kind of corruption and the wrong text. Texts that come out unchanged are left out."""
    generator = random.Random(seed)
    texts = [utterance.text for utterance in utterances]
    places = generator.sample(range(len(texts)), round(WRONG_SHARE * len(texts)))
    wrong = _subtle(texts, places, generator) if subtle else _gross(utterances, places, generator)
    return {place: new for place, new in wrong.items() if new[1].split() != texts[place].split() and new[1].strip()}


def _gross(utterances: Sequence[Utterance], places: list[int], generator: random.Random) -> dict[int, tuple[str, str]]:
    pairs = len(places) // 6
    swapped, truncated = places[: 2 * pairs], places[2 * pairs : 4 * pairs]
    wrong: dict[int, tuple[str, str]] = {}
    for one, other in zip(swapped[::2], swapped[1::2], strict=True):
        wrong[one] = "swap", utterances[other].text
        wrong[other] = "swap", utterances[one].text
    for place in truncated:
        words = utterances[place].text.split()
        wrong[place] = "truncate", " ".join(words[: max(1, round(generator.uniform(0.3, 0.7) * len(words)))])
    for place in places[4 * pairs :]:
        others = [one for one in utterances if one.speaker != utterances[place].speaker]
        wrong[place] = "other sentence", generator.choice(others or list(utterances)).text
    return wrong


def _subtle(texts: list[str], places: list[int], generator: random.Random) -> dict[int, tuple[str, str]]:
    words_of_all = [word for text in texts for word in text.split()]
    wrong: dict[int, tuple[str, str]] = {}
    for number, place in enumerate(places):
        words = texts[place].split()
        at = generator.randrange(len(words))
        if number % 3 == 0:
            words[at] = generator.choice(words_of_all)
            kind = "one word replaced"
        elif number % 3 == 1:
            del words[at : at + 2]
            kind = "one or two words lost"
        else:
            words[len(words) // 2 :] = generator.choice(texts).split()[: len(words) - len(words) // 2]
            kind = "second half of another"
        wrong[place] = kind, " ".join(words)
    return wrong


def main() -> None:
    """Rank with each seed and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("manifests", type=Path, nargs="+", metavar="MANIFEST")
    parser.add_argument("--utterances", type=int, metavar="N", help="the first N, after a shuffle with seed 0")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="seeds 0 to N - 1 (default: 5)")
    parser.add_argument("--subtle", action="store_true", help="small errors instead of gross ones")
    options = parser.parse_args()
    utterances = [utterance for path in options.manifests for utterance in read_manifest(path)]
    random.Random(0).shuffle(utterances)
    utterances = utterances[: options.utterances]
    recognizer = Recognizer.from_pretrained(options.model, device="cpu", speech_gate=False, words=False)
    normalize = get_normalizer(str(recognizer.facts.get("normalizer", "basic")))
    emissions = _emissions(recognizer, utterances)

    def judge(place: int, text: str) -> Suspect:
        utterance = dataclasses.replace(utterances[place], text=text)
        return judge_transcript(utterance, emissions[place], recognizer.tokenizer, normalize)

    right = [judge(place, utterance.text) for place, utterance in enumerate(utterances)]
    errors = [count_character_errors(normalize(one.utterance.text), one.hypothesis) for one in right]
    rate = sum(one.errors for one in errors) / sum(one.reference_length for one in errors)
    print(f"{len(utterances):,} utterances; the model's CER on their right texts is {rate:.1%}")
    found: dict[tuple[str, str], list[bool]] = {}
    for seed in range(options.seeds):
        wrong = corrupt(utterances, seed, options.subtle)
        judged = list(right)
        for place, (_, text) in wrong.items():
            judged[place] = judge(place, text)
        for measure in MEASURES:
            order = sorted(range(len(judged)), key=lambda place: -getattr(judged[place], measure))
            head = set(order[: round(HEAD_SHARE * len(judged))])
            for place, (kind, _) in wrong.items():
                found.setdefault((kind, measure), []).append(place in head)
                found.setdefault(("all", measure), []).append(place in head)
    kinds = [*sorted({kind for kind, _ in found} - {"all"}), "all"]
    rows = [
        [kind, len(found[kind, "score"]), *(f"{_mean(found[kind, name]):.1%}" for name in MEASURES)] for kind in kinds
    ]
    print(f"wrong ones among the first {HEAD_SHARE:.0%}, {options.seeds} seeds:")
    print(table(rows, ["corruption", "count", "score", "edits alone", "nats alone"]))


def _emissions(recognizer: Recognizer, utterances: Sequence[Utterance]) -> list[Emissions]:
    found: list[Emissions] = []
    with Progress(len(utterances), "through the model", "utterances") as progress:
        for one in recognizer.emissions(utterances):
            if isinstance(one, AsrError):
                raise one
            found.append(one)
            progress.update()
    return found


def _mean(values: Sequence[bool]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
