"""Streaming: WER against latency, delays of words, and the share of a core that live sound takes.

    python -m benchmarks.streaming MODEL an4=MANIFEST librispeech=MANIFEST [--utterances N] [--pairs 1/1,0.5/0.5,...]
                                   [--out FILE.json]

prints the table of docs/how-to/streaming.md: a row of each corpus for each pair of chunk and look-ahead, as it is
measured. Before the first row it says how long all of them will take, by one utterance of each corpus.

Each utterance is fed in blocks of 0.1 s with a clock that stands at the end of what was fed, or later where computing
took longer than sound; it counts processor time, so that other work on the machine adds nothing. First word: from the
end of the first word to its appearance as partial or settled text; settled: from each word's end until it settles; both
in seconds, 50th and 95th percentile. WER "own level": with level and mean of the whole recording instead of those of
the sound so far. The last words of an utterance settle when it ends, which live is a pause of ``pause_s`` later.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from asr.audio import load_audio
from asr.data.manifest import Utterance, read_manifest
from asr.decoding.greedy import greedy_decode
from asr.models.streaming import ModelStream, in_frames
from asr.recognition import Recognizer
from asr.scoring.counts import count_errors
from asr.terminal import format_duration
from asr.text.normalize import get_normalizer
from asr.training.objective import TrainedModel

BLOCK_S = 0.1
ROWS = 8  # utterances computed at a time, where there is no clock
PAIRS = ",".join(f"{chunk}/{ahead}" for chunk in (4, 2, 1, 0.5, 0.2) for ahead in (2, 1, 0.5, 0.2, 0))
COLUMNS = ("corpus", "chunk s", "look-ahead s", "WER %", "own level", "first word s", "settled s", "share of a core")


@dataclass(frozen=True, slots=True)
class Row:
    """One setting on one corpus: seconds, percent, and a share of one core."""

    corpus: str
    chunk_s: float
    look_ahead_s: float
    wer: float
    wer_own_level: float
    first_word_s: tuple[float, float]
    settled_s: tuple[float, float]
    core_share: float


@dataclass(frozen=True, slots=True)
class Streamed:
    """One utterance: its text, the delays of its first word and of all, and the processor time."""

    text: str
    first_s: float | None
    settled_s: list[float]
    spent_s: float


@dataclass(frozen=True, slots=True)
class Corpus:
    """Utterances, and their samples at the model's rate."""

    name: str
    utterances: list[Utterance]
    sounds: list[np.ndarray]

    @classmethod
    def read(cls, named: str, count: int, rate: int) -> "Corpus":
        """``count`` utterances, evenly spread over the manifest of ``NAME=MANIFEST``."""
        name, _, manifest = named.rpartition("=")
        path = Path(manifest)
        everything = list(read_manifest(path))
        chosen = everything[:: max(1, len(everything) // count)][:count]
        sounds = [
            load_audio(one.audio, sample_rate=rate, start_s=one.start_s, duration_s=one.duration_s) for one in chosen
        ]
        return cls(name or path.stem, chosen, sounds)

    def seconds_for(self, recognizer: Recognizer, pairs: Sequence[tuple[float, float]]) -> float:
        """How long all ``pairs`` will take, by an utterance of middle length."""
        middle = sorted(self.sounds, key=len)[len(self.sounds) // 2]
        began_s = time.monotonic()
        for chunk_s, look_ahead_s in pairs:
            stream_one(recognizer, middle, chunk_s, look_ahead_s)
            own_level(recognizer, [middle], chunk_s, look_ahead_s)
        return (time.monotonic() - began_s) * sum(map(len, self.sounds)) / len(middle)


def stream_one(recognizer: Recognizer, sound: np.ndarray, chunk_s: float, look_ahead_s: float) -> Streamed:
    """The text, the delays of words, and the processor time of one utterance."""
    stream = recognizer.stream(chunk_s=chunk_s, look_ahead_s=look_ahead_s)
    size, rate = round(BLOCK_S * recognizer.sample_rate), recognizer.sample_rate
    clock_s, texts = 0.0, list[str]()
    appeared_s: float | None = None
    settled: list[tuple[float, float]] = []  # when it settled, when it ended
    spent_s = time.process_time()
    for start in range(0, len(sound) + size, size):
        clock_s = max(clock_s, min(start + size, len(sound)) / rate)
        began_s = time.process_time()
        events = stream.feed(sound[start : start + size]) if start < len(sound) else stream.finish()
        clock_s += time.process_time() - began_s
        for event in events:
            if event.kind != "segment" and event.text and appeared_s is None:
                appeared_s = clock_s
            if event.kind == "words":
                settled += [(clock_s, word.end_s) for word in event.words]
                texts.append(event.text)
    return Streamed(
        " ".join(texts),
        appeared_s - settled[0][1] if settled and appeared_s is not None else None,
        [at_s - end_s for at_s, end_s in settled],
        time.process_time() - spent_s,
    )


@torch.inference_mode()
def own_level(recognizer: Recognizer, sounds: list[np.ndarray], chunk_s: float, look_ahead_s: float) -> list[str]:
    """The greedy texts with the level and mean of whole recordings. In one direction these do not depend on chunks."""
    both_ways = ModelStream(recognizer.model).looks_ahead
    chunks = in_frames(chunk_s, look_ahead_s, recognizer.frame_s) if both_ways else None
    model, texts = TrainedModel(recognizer.model), [""] * len(sounds)
    order = sorted(range(len(sounds)), key=lambda one: len(sounds[one]))
    for start in range(0, len(order), ROWS):
        rows = order[start : start + ROWS]
        lengths = torch.tensor([len(sounds[row]) for row in rows])
        waveforms = torch.zeros(len(rows), int(lengths.max()))
        for place, row in enumerate(rows):
            waveforms[place, : lengths[place]] = torch.from_numpy(sounds[row])
        (log_probs,), frames = model(*recognizer.features(waveforms, lengths), chunks)
        for row, decoded in zip(rows, greedy_decode(log_probs, frames, recognizer.tokenizer), strict=True):
            texts[row] = decoded.text
    return texts


def measure(recognizer: Recognizer, corpus: Corpus, chunk_s: float, look_ahead_s: float) -> Row:
    """All utterances with one setting."""
    utterances, sounds = corpus.utterances, corpus.sounds
    found = [stream_one(recognizer, sound, chunk_s, look_ahead_s) for sound in sounds]
    own = own_level(recognizer, sounds, chunk_s, look_ahead_s)
    return Row(
        corpus.name,
        chunk_s,
        look_ahead_s,
        wer(utterances, [one.text for one in found]),
        wer(utterances, own),
        percentiles([one.first_s for one in found if one.first_s is not None]),
        percentiles([delay_s for one in found for delay_s in one.settled_s]),
        sum(one.spent_s for one in found) * recognizer.sample_rate / sum(map(len, sounds)),
    )


def percentiles(values: list[float]) -> tuple[float, float]:
    """The 50th and the 95th."""
    middle, high = np.percentile(values or [0.0], [50, 95]).tolist()
    return middle, high


def wer(utterances: list[Utterance], texts: list[str]) -> float:
    """In percent."""
    normalise = get_normalizer("basic")
    counts = [
        count_errors(normalise(one.text).split(), normalise(text).split())
        for one, text in zip(utterances, texts, strict=True)
    ]
    return 100 * sum(one.errors for one in counts) / sum(one.reference_length for one in counts)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("corpora", nargs="+", metavar="NAME=MANIFEST")
    parser.add_argument("--utterances", type=int, default=100, help="of each corpus, evenly spread (default: 100)")
    parser.add_argument("--pairs", default=PAIRS, help="CHUNK/LOOK_AHEAD in seconds, comma-separated (default: 25)")
    parser.add_argument("--out", type=Path)
    found = parser.parse_args()
    torch.set_num_threads(1)
    recognizer = Recognizer.from_pretrained(found.model, device="cpu", decoding={"name": "greedy"}, backend="torch")
    pairs = [(float(chunk), float(ahead)) for chunk, ahead in (pair.split("/") for pair in found.pairs.split(","))]
    corpora = [Corpus.read(named, found.utterances, recognizer.sample_rate) for named in found.corpora]
    for corpus in corpora:
        whole = wer(corpus.utterances, [one.text for one in recognizer.transcribe_waveforms(corpus.sounds)])
        sound_s = sum(map(len, corpus.sounds)) / recognizer.sample_rate
        print(f"{corpus.name}: {len(corpus.sounds)} utterances, {sound_s:.0f} s; whole recordings: {whole:.2f} % WER")
    print(f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    expected_s = sum(corpus.seconds_for(recognizer, pairs) for corpus in corpora)
    print(f"this will take about {format_duration(expected_s)}\n", flush=True)
    print(line(COLUMNS), line(["---", *["---:"] * (len(COLUMNS) - 1)]), sep="\n")
    rows = []
    for corpus in corpora:
        for chunk_s, look_ahead_s in pairs:
            rows.append(measure(recognizer, corpus, chunk_s, look_ahead_s))
            print(line(cells(rows[-1])), flush=True)
            if found.out is not None:
                found.out.write_text(json.dumps([asdict(row) for row in rows], indent=1))


def line(values: Sequence[str]) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(values)} |"


def cells(row: Row) -> list[str]:
    """The row as text."""
    delays = [f"{low:.2f} / {high:.2f}" for low, high in (row.first_word_s, row.settled_s)]
    setting = [row.corpus, f"{row.chunk_s:g}", f"{row.look_ahead_s:g}"]
    return [*setting, f"{row.wer:.1f}", f"{row.wer_own_level:.1f}", *delays, f"{row.core_share:.3f}"]


if __name__ == "__main__":
    main()
