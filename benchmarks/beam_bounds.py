"""What the beam search's forecast of words and its two bounds change: error, mean score and time.

In: a model directory, a manifest and a word language model. Out: a table on stdout, a row for each beam width with the
forecast and without it, then a row for each pair of bounds. One thread; times are processor time:

    python benchmarks/beam_bounds.py runs/an4/model data/an4/dev.jsonl an4.arpa
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.decoding import BeamConfig  # noqa: E402
from asr.decoding.beam import BeamDecoder  # noqa: E402
from asr.lm import NgramModel, read_lm  # noqa: E402
from asr.scoring import score_texts  # noqa: E402
from asr.text.normalize import get_normalizer  # noqa: E402
from asr.text.tokenizer import Tokenizer  # noqa: E402

Emissions = list[tuple[str, np.ndarray]]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a model directory")
    parser.add_argument("manifest", type=Path, help="recordings with their texts")
    parser.add_argument("language_model", type=Path, help="a word model, ARPA or binary")
    parser.add_argument("--lm-weight", type=float, default=1.0, help="(default: 1.0)")
    options = parser.parse_args()
    emissions, tokenizer = read_emissions(options.model, options.manifest)
    model = read_lm(options.language_model)
    print("| beam | forecast | blank_skip | token_min_log_prob | WER % | mean score | ms for 1000 frames |")
    print("|---:|---|---:|---:|---:|---:|---:|")
    for width in (4, 8, 16, 32, 64):
        for forecast in (True, False):
            config = BeamConfig(beam_width=width, lm_weight=options.lm_weight)
            print(row(emissions, tokenizer, config, model, forecast), flush=True)
    for skip, least in ((1.0, -1000.0), (1.0, -8.0), (0.999, -8.0), (0.99, -8.0), (0.99, -5.0)):
        config = BeamConfig(lm_weight=options.lm_weight, blank_skip=skip, token_min_log_prob=least)
        print(row(emissions, tokenizer, config, model, True), flush=True)


def row(emissions: Emissions, tokenizer: Tokenizer, config: BeamConfig, model: NgramModel, forecast: bool) -> str:
    """One line: every recording decoded once, after one that does not count."""
    decoder = BeamDecoder(tokenizer, config, model)
    if not forecast:
        decoder._tables.trie["ahead"] = 0.0
        decoder._tables.settings["outside_ahead"] = 0.0
    decoder.decode(emissions[0][1])
    started_s = time.thread_time()
    decoded = [decoder.decode(log_probs) for _, log_probs in emissions]
    took_s = time.thread_time() - started_s
    references = {str(index): text for index, (text, _) in enumerate(emissions)}
    texts = {str(index): one.text for index, one in enumerate(decoded)}
    report = score_texts(references, texts, normalizer=get_normalizer("basic"))
    thousands = sum(len(log_probs) for _, log_probs in emissions) / 1000
    score = statistics.mean(one.score for one in decoded)
    return (
        f"| {config.beam_width} | {'yes' if forecast else 'no'} | {config.blank_skip} | {config.token_min_log_prob} |"
        f" {100 * report.words.rate:.2f} | {score:.2f} | {1000 * took_s / thousands:.2f} |"
    )


def read_emissions(model: Path, manifest: Path) -> tuple[Emissions, Tokenizer]:
    """Each recording's text and its log-probabilities (frames, vocab)."""
    import torch

    from asr.data.dataset import collate
    from asr.data.manifest import read_manifest
    from asr.data.recordings import load_utterance
    from asr.recognition import Recognizer

    recognizer = Recognizer.from_pretrained(model, device="cpu")
    found: Emissions = []
    for utterance in read_manifest(manifest):
        batch = collate([load_utterance(utterance, recognizer.sample_rate)], [[]], [])
        with torch.inference_mode():
            log_probs, lengths = recognizer.model(*recognizer.features(batch.waveforms, batch.lengths))
        found.append((utterance.text, log_probs[0, : int(lengths[0])].numpy()))
    return found, recognizer.tokenizer


if __name__ == "__main__":
    main()
