"""A training step of the acoustic model with our BiLSTM and with packed ``torch.nn.LSTM``, in turn, in one process.

In: sizes. Out: the median seconds of both and their ratio on stdout, and as JSON with --out. A step is what training
does between two updates: forward, CTC loss, backward. Both hold the same weights, and their losses are compared first,
so that the two times are times of the same computation. Steps are taken in turn, ours first in one round and second in
the next, so that whatever else the machine does falls on both alike:

    OMP_NUM_THREADS=1 python benchmarks/lstm_step.py --out lstm_step.json
"""

import argparse
import copy
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.cores import limited_cores  # noqa: E402
from asr.ctc.loss import ctc_loss  # noqa: E402
from asr.files import write_json  # noqa: E402
from asr.models import AcousticModel, BiLstm, BiLstmConfig, SubsamplingConfig  # noqa: E402
from asr.provenance import processor_name  # noqa: E402

N_MELS, VOCAB_SIZE, FRAMES_PER_S, LABELS_PER_S = 80, 29, 100, 12


class PackedLstm(nn.Module):
    """The same stack by torch's own means: a bidirectional ``nn.LSTM`` on a packed sequence."""

    def __init__(self, ours: BiLstm, config: BiLstmConfig) -> None:
        super().__init__()
        input_size: int = ours.layers[0].forward_lstm.input_size  # type: ignore[assignment,union-attr]
        self.lstm = nn.LSTM(input_size, config.hidden_size, config.num_layers, batch_first=True, bidirectional=True)
        self.output_size = ours.output_size
        for index, layer in enumerate(ours.layers):
            layer.store_torch(self.lstm, index)  # type: ignore[operator]

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """``(batch, frames, input_size)``, ``(batch,)`` int64 -> ``(batch, frames, output_size)``."""
        packed = pack_padded_sequence(inputs, lengths.cpu(), batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=inputs.size(1))[0]


def make_models(options: argparse.Namespace) -> dict[str, AcousticModel]:
    """Ours and the packed one, with the same weights and without dropout."""
    torch.manual_seed(options.seed)
    subsampling = SubsamplingConfig(factor=options.subsampling, dropout=0.0)
    config = BiLstmConfig(
        num_layers=options.layers, hidden_size=options.hidden_size, dropout=0.0, subsampling=subsampling
    )
    ours = AcousticModel(config, N_MELS, VOCAB_SIZE)
    packed = copy.deepcopy(ours)
    packed.encoder = PackedLstm(ours.encoder, config)  # type: ignore[arg-type]
    return {"ours": ours, "packed": packed}


def make_batch(options: argparse.Namespace) -> tuple[Tensor, Tensor, list[list[int]]]:
    """Random frames with lengths spread evenly from the shortest to the longest, in no order, and random labels."""
    generator = torch.Generator().manual_seed(options.seed)
    longest = round(options.longest_s * FRAMES_PER_S)
    lengths = torch.linspace(options.shortest_share * longest, longest, options.batch).round().long()
    lengths = lengths[torch.randperm(options.batch, generator=generator)]
    log_mel = torch.randn(options.batch, longest, N_MELS, generator=generator)
    targets = [
        torch.randint(1, VOCAB_SIZE, (length * LABELS_PER_S // FRAMES_PER_S,), generator=generator).tolist()
        for length in lengths.tolist()
    ]
    return log_mel, lengths, targets


def step(model: AcousticModel, log_mel: Tensor, lengths: Tensor, targets: list[list[int]]) -> tuple[float, float]:
    """One step: its wall seconds and its loss in nats per utterance."""
    model.zero_grad(set_to_none=True)
    start_s = time.perf_counter()
    log_probs, output_lengths = model(log_mel, lengths)
    loss = ctc_loss(log_probs, output_lengths, targets).mean()
    loss.backward()
    return time.perf_counter() - start_s, loss.item()


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Take the steps in turn; medians, ratio, and what they were measured on."""
    models, batch = make_models(options), make_batch(options)
    losses = {name: step(model, *batch)[1] for name, model in models.items()}  # warms up, too
    if abs(losses["ours"] - losses["packed"]) > 1e-4 * abs(losses["packed"]):
        raise SystemExit(f"the two do not compute the same loss: {losses}")
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for index in range(options.rounds):
        for name in list(models)[:: 1 if index % 2 else -1]:
            seconds[name].append(step(models[name], *batch)[0])
    ratios = [packed / ours for ours, packed in zip(seconds["ours"], seconds["packed"], strict=True)]
    lengths = batch[1]
    return {
        "ours_s": statistics.median(seconds["ours"]),
        "packed_s": statistics.median(seconds["packed"]),
        "ratio": statistics.median(ratios),
        "ratio_quartiles": statistics.quantiles(ratios, n=4)[::2],
        "audio_s": float(lengths.sum()) / FRAMES_PER_S,
        "padding_share": 1 - float(lengths.sum()) / float(lengths.max() * len(lengths)),
        "losses": losses,
        "options": {key: value for key, value in vars(options).items() if key != "out"},
        "torch": torch.__version__,
        "processor": processor_name(),
    }


def build_parser() -> argparse.ArgumentParser:
    """What can be asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=3, help="BiLSTM layers (default: 3)")
    parser.add_argument("--hidden-size", type=int, default=320, help="units per direction (default: 320)")
    parser.add_argument("--subsampling", type=int, default=4, help="frames per output frame (default: 4)")
    parser.add_argument("--batch", type=int, default=16, help="utterances in a step (default: 16)")
    parser.add_argument("--longest-s", type=float, default=4.0, help="seconds of the longest (default: 4)")
    parser.add_argument(
        "--shortest-share", type=float, default=0.5, help="the shortest as a share of the longest (default: 0.5)"
    )
    parser.add_argument("--rounds", type=int, default=15, help="steps of each (default: 15)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default: 1)")
    parser.add_argument("--seed", type=int, default=1, help="of weights and data (default: 1)")
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    return parser


def main() -> int:
    """Measure and say."""
    options = build_parser().parse_args()
    if options.rounds < 2:
        build_parser().error("--rounds must be at least 2")
    torch.set_num_threads(options.threads)
    with limited_cores(options.threads):  # ours would run its two directions on two cores
        found = measure(options)
    if options.out:
        write_json(options.out, found)
    print(f"ours {found['ours_s']:.3f} s, packed {found['packed_s']:.3f} s a step (medians of {options.rounds})")
    low, high = found["ratio_quartiles"]
    print(f"ratio {found['ratio']:.2f} (quartiles {low:.2f} to {high:.2f}), {found['padding_share']:.0%} padding")
    print(json.dumps({key: found[key] for key in ("audio_s", "losses", "torch", "processor")}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
