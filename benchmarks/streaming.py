"""Streaming: WER against latency, delays of words, and the share of a core that live sound takes.

    python benchmarks/streaming.py MODEL MANIFEST [--utterances N] [--out FILE.json] [--pairs 1/1,0.5/0.5,...]

Each utterance is fed in blocks of 0.1 s with a clock that stands at the end of what was fed, or later where computing
took longer than sound. First word: from the end of the first word to its appearance as partial or settled text;
settled: from each word's end until it settles; both in seconds, 50th and 95th percentile. WER "own level": with level
and mean of the whole recording instead of those of the sound so far. The last words of an utterance settle when it
ends, which live is a pause of ``pause_s`` later.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from asr.audio import load_audio
from asr.data.manifest import Utterance, read_manifest
from asr.decoding.greedy import GreedySearch
from asr.models.streaming import CONTEXT, ModelStream
from asr.recognition import Recognizer
from asr.scoring.counts import count_errors
from asr.terminal import table
from asr.text.normalize import get_normalizer

BLOCK_S = 0.1
PAIRS = "4/2,2/1,1/2,1/1,1/0.5,1/0,0.5/1,0.5/0.5,0.2/2,0.2/1,0.2/0.4,0.2/0"


@dataclass(frozen=True, slots=True)
class Row:
    """One setting: seconds, percent, and a share of one core."""

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
        began_s = time.perf_counter()
        events = stream.feed(sound[start : start + size]) if start < len(sound) else stream.finish()
        clock_s += time.perf_counter() - began_s
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
def own_level(recognizer: Recognizer, sound: np.ndarray, chunk_s: float, look_ahead_s: float) -> str:
    """The greedy text with the level and mean of the whole recording."""
    waveform = torch.from_numpy(sound)[None]
    log_mel = recognizer.features(waveform, torch.tensor([len(sound)]))[0][0]
    model = ModelStream(recognizer.model)
    chunk, ahead = (round(seconds / recognizer.frame_s) for seconds in (chunk_s, look_ahead_s))
    search, done, factor = GreedySearch(recognizer.tokenizer), 0, recognizer.model.subsampling.factor
    while model.frames_needed(done + chunk + ahead) <= len(log_mel):
        context = min(done, CONTEXT)
        search.advance(model.chunk(log_mel[(done - context) * factor :], context, chunk, ahead).numpy())
        done += chunk
    context = min(done, CONTEXT)
    if len(log_mel) > done * factor:
        search.advance(model.chunk(log_mel[(done - context) * factor :], context, None).numpy())
    return search.finish().text


def measure(
    recognizer: Recognizer, utterances: list[Utterance], sounds: list[np.ndarray], chunk_s: float, look_ahead_s: float
) -> Row:
    """All utterances with one setting."""
    found = [stream_one(recognizer, sound, chunk_s, look_ahead_s) for sound in sounds]
    own = [own_level(recognizer, sound, chunk_s, look_ahead_s) for sound in sounds]
    return Row(
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
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--utterances", type=int, default=20, help="evenly spread over the manifest (default: 20)")
    parser.add_argument("--pairs", default=PAIRS, help="CHUNK/LOOK_AHEAD in seconds, comma-separated")
    parser.add_argument("--out", type=Path)
    found = parser.parse_args()
    torch.set_num_threads(1)
    recognizer = Recognizer.from_pretrained(found.model, device="cpu", decoding={"name": "greedy"}, backend="torch")
    everything = list(read_manifest(found.manifest))
    utterances = everything[:: max(1, len(everything) // found.utterances)][: found.utterances]
    rate = recognizer.sample_rate
    sounds = [
        load_audio(one.audio, sample_rate=rate, start_s=one.start_s, duration_s=one.duration_s) for one in utterances
    ]
    whole = wer(utterances, [one.text for one in recognizer.transcribe_waveforms(sounds)])
    print(f"{len(sounds)} utterances, {sum(map(len, sounds)) / rate:.0f} s; whole recordings: {whole:.2f} % WER")
    print(f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    rows = []
    for pair in found.pairs.split(","):
        chunk_s, look_ahead_s = map(float, pair.split("/"))
        rows.append(measure(recognizer, utterances, sounds, chunk_s, look_ahead_s))
        print(json.dumps(asdict(rows[-1])), file=sys.stderr, flush=True)
        if found.out is not None:
            found.out.write_text(json.dumps({"whole": whole, "rows": [asdict(row) for row in rows]}, indent=1))
    header = ["chunk s", "look-ahead s", "WER %", "own level", "first word s", "settled s", "share of a core"]
    print(table([cells(row) for row in rows], header))


def cells(row: Row) -> list[str]:
    """The row as text."""
    pairs = [f"{low:.2f} / {high:.2f}" for low, high in (row.first_word_s, row.settled_s)]
    seconds = [f"{row.chunk_s:g}", f"{row.look_ahead_s:g}"]
    return [*seconds, f"{row.wer:.2f}", f"{row.wer_own_level:.2f}", *pairs, f"{row.core_share:.3f}"]


if __name__ == "__main__":
    main()
