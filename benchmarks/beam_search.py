"""The compiled beam search against a plain-Python one and against flashlight-text, on the same emissions.

In: random emissions, and real ones of a model directory if given with a manifest. Out: a table of medians on stdout.
One thread; the three take turns in one process; times are processor time of the thread, which other work on the machine
hardly touches. Required: 40x plain Python at 1000 frames, 29 tokens, beam 16, and no slower than flashlight-text's
lexicon-free decoder (paths added up) at the same beam:

    python benchmarks/beam_search.py --model runs/digits/model --manifest data/test.jsonl
"""

import argparse
import importlib
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.decoding import BeamConfig  # noqa: E402
from asr.decoding.beam import BeamDecoder  # noqa: E402
from asr.text.tokenizer import CharacterTokenizer, Tokenizer  # noqa: E402
from tests.decoding import oracles  # noqa: E402

FRAMES = 1000
ENGLISH = CharacterTokenizer(" 'abcdefghijklmnopqrstuvwxyz")  # 29 tokens with the blank


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beam", type=int, default=16, help="prefixes kept (default: 16)")
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each, plain Python 5 (default: 15)")
    parser.add_argument("--model", type=Path, help="a model directory, for real emissions")
    parser.add_argument("--manifest", type=Path, help="recordings for it")
    options = parser.parse_args()
    cases: list[tuple[str, npt.NDArray[np.float32], Tokenizer]] = [
        ("random, flat", oracles.emissions(FRAMES, ENGLISH.vocab_size, 1, scale=1.0), ENGLISH),
        ("random, sharp", oracles.emissions(FRAMES, ENGLISH.vocab_size, 1, scale=5.0), ENGLISH),
        ("peaky, made", oracles.peaky_emissions(FRAMES, ENGLISH.vocab_size, 1), ENGLISH),
    ]
    if options.model and options.manifest:
        cases.append(("of the model", *real_emissions(options.model, options.manifest)))
    print("| emissions | vocab | plain Python ms | flashlight-text ms | ours, no bounds ms | ours, defaults ms |"
          " x Python | x flashlight |\n|---|---:|---:|---:|---:|---:|---:|---:|")  # fmt: skip
    for name, log_probs, tokenizer in cases:
        print(row(name, log_probs, tokenizer, options.beam, options.rounds), flush=True)


def row(name: str, log_probs: np.ndarray, tokenizer: Tokenizer, beam: int, rounds: int) -> str:
    """One line of the table; the ratios are of the search without bounds, which does the same work as the others."""
    free = BeamDecoder(tokenizer, BeamConfig(beam_width=beam, blank_skip=1.0, token_min_log_prob=-1000.0))
    bounded = BeamDecoder(tokenizer, BeamConfig(beam_width=beam))
    flashlight = flashlight_decoder(log_probs, beam)
    works: list[Callable[[], object]] = [lambda: free.decode(log_probs), lambda: bounded.decode(log_probs)]
    works += [flashlight] if flashlight else []
    python_ms = median_ms([lambda: oracles.plain_prefix_beam(log_probs, beam)], min(rounds, 5))[0]
    free_ms, bounded_ms, *flashlight_ms = median_ms(works, rounds)
    shown = (f"{flashlight_ms[0]:.1f}", f"{flashlight_ms[0] / free_ms:.1f}") if flashlight_ms else ("absent", "–")
    return (
        f"| {name} | {log_probs.shape[1]} | {python_ms:.0f} | {shown[0]} | {free_ms:.2f} | {bounded_ms:.2f} |"
        f" {python_ms / free_ms:.0f} | {shown[1]} |"
    )


def median_ms(works: list[Callable[[], object]], rounds: int) -> list[float]:
    """Median milliseconds of each piece of work, done in turn, after one round that does not count."""
    times_s: list[list[float]] = [[] for _ in works]
    for number in range(rounds + 1):
        for work, taken_s in zip(works, times_s, strict=True):
            started_s = time.thread_time()
            work()
            if number:
                taken_s.append(time.thread_time() - started_s)
    return [1000 * statistics.median(taken_s) for taken_s in times_s]


def flashlight_decoder(log_probs: np.ndarray, beam: int) -> Callable[[], object] | None:
    """flashlight-text's search of ``log_probs``, or None where it is not installed."""
    try:
        module = importlib.import_module("flashlight.lib.text.decoder")
    except ImportError:
        return None
    frames, vocab = log_probs.shape
    options = module.LexiconFreeDecoderOptions(
        beam_size=beam,
        beam_size_token=vocab,
        beam_threshold=1e9,
        lm_weight=0.0,
        sil_score=0.0,
        log_add=True,
        criterion_type=module.CriterionType.CTC,
    )

    def decode() -> object:
        decoder = module.LexiconFreeDecoder(options, module.ZeroLM(), -1, 0, [])
        return decoder.decode(log_probs.ctypes.data, frames, vocab)

    return decode


def real_emissions(model: Path, manifest: Path) -> tuple[np.ndarray, Tokenizer]:
    """``FRAMES`` frames of the model's log-probabilities, recording after recording."""
    import torch

    from asr.data.dataset import collate
    from asr.data.manifest import read_manifest
    from asr.data.recordings import load_utterance
    from asr.recognition import Recognizer

    recognizer = Recognizer.from_pretrained(model, device="cpu")
    found: list[np.ndarray] = []
    for utterance in read_manifest(manifest):
        batch = collate([load_utterance(utterance, recognizer.sample_rate)], [[]], [])
        with torch.inference_mode():
            log_probs, lengths = recognizer.model(*recognizer.features(batch.waveforms, batch.lengths))
        found.append(log_probs[0, : int(lengths[0])].numpy())
        if sum(map(len, found)) >= FRAMES:
            break
    return np.ascontiguousarray(np.concatenate(found)[:FRAMES], dtype=np.float32), recognizer.tokenizer


if __name__ == "__main__":
    main()
