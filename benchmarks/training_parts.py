"""Three parts of a training step as they are and as they were, in turn, in one process: reversal, Adam, reading.

In: rounds. Out: the median milliseconds of both and their ratio on stdout, and as JSON with --out. The sizes are those
of recipes/fsdd: batches of 24 recordings of half a second, 30 encoder frames of 256 values, 0.71 million weights.
``reversal``: forward and back, against ``Tensor.gather``. ``adam``: one step, against torch's step without ``fused``.
``reading``: a batch of FLAC files from the cache of decoded audio, against decoding them again. ``opus``: the same with
4 recordings of 15 s as Opus, a batch of recipes/librispeech. Both do the same, which is compared first.

    OMP_NUM_THREADS=1 python benchmarks/training_parts.py --out training_parts.json
"""

import argparse
import copy
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.data.batching import Request  # noqa: E402
from asr.data.cache import AudioCache  # noqa: E402
from asr.data.dataset import Batch, SpeechDataset  # noqa: E402
from asr.data.manifest import Utterance  # noqa: E402
from asr.files import write_json  # noqa: E402
from asr.lengths import reversal_index, reverse_frames  # noqa: E402
from asr.models import AcousticModel, BiLstmConfig, SubsamplingConfig  # noqa: E402
from asr.training.config import OptimizerConfig  # noqa: E402
from asr.training.step import build_optimizer  # noqa: E402

BATCH, FRAMES, SIZE, RATE, SECONDS = 24, 30, 256, 8000, 0.5
Pair = tuple[Callable[[], object], Callable[[], object]]  # as it is, as it was


def reversal() -> Pair:
    """A reversal and its gradient."""
    values = torch.randn(BATCH, FRAMES, SIZE, requires_grad=True)
    index = reversal_index(torch.randint(FRAMES // 2, FRAMES + 1, (BATCH,)), FRAMES)
    gradient = torch.randn(BATCH, FRAMES, SIZE)

    def back(make: Callable[[], torch.Tensor]) -> torch.Tensor:
        return torch.autograd.grad(make(), values, gradient)[0]

    def gathered() -> torch.Tensor:
        return values.gather(1, index.unsqueeze(2).expand(-1, -1, SIZE))

    def now() -> torch.Tensor:
        return back(lambda: reverse_frames(values, index))

    def then() -> torch.Tensor:
        return back(gathered)

    assert torch.equal(now(), then())
    return now, then


def adam() -> Pair:
    """A step over the weights of recipes/fsdd's bilstm."""
    subsampling = SubsamplingConfig(factor=2, output_size=128)
    config = BiLstmConfig(num_layers=2, hidden_size=128, layer_norm=True, subsampling=subsampling)
    models = [AcousticModel(config, 40, 11)]
    models.append(copy.deepcopy(models[0]))
    for pair in zip(*(model.parameters() for model in models), strict=True):
        gradient = torch.randn_like(pair[0])
        for one in pair:
            one.grad = gradient.clone()
    optimizers = [build_optimizer(model, OptimizerConfig()) for model in models]
    for group in optimizers[1].param_groups:
        group["fused"] = None
    optimizers[1].defaults["fused"] = None
    for optimizer in optimizers:
        optimizer.step()
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(one, other)
    return optimizers[0].step, optimizers[1].step


def reading(folder: Path, batch: int, seconds: float, rate: int, kind: str) -> Pair:
    """A batch of recordings, from the cache and decoded."""
    generator, utterances = np.random.default_rng(1), []
    for number in range(batch):
        path = folder / f"{number}.{kind.lower()}"
        container, subtype = ("OGG", "OPUS") if kind == "OPUS" else (kind, None)
        samples = generator.uniform(-0.5, 0.5, round(seconds * rate))
        soundfile.write(path, samples, rate, format=container, subtype=subtype)
        utterances.append(Utterance(id=str(number), audio=str(path), duration_s=seconds, text=""))
    requests = [Request(number, 1, 1.0) for number in range(batch)]
    caches = (AudioCache(folder / f"{kind}.cache", size) for size in (64.0, 0.0))
    kept, decoded = (SpeechDataset(utterances, [[]] * batch, rate, 1, load=cache.load) for cache in caches)

    def now() -> object:
        return kept[requests]

    def then() -> object:
        return decoded[requests]

    first, again, other = now(), now(), then()
    assert isinstance(first, Batch) and isinstance(again, Batch) and isinstance(other, Batch)
    assert torch.equal(first.waveforms, other.waveforms) and torch.equal(again.waveforms, other.waveforms)
    return now, then


def seconds_of(work: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Measure, say, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(1)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        pairs = {
            "reversal": reversal(),
            "adam": adam(),
            "reading": reading(Path(folder), BATCH, SECONDS, RATE, "FLAC"),
            "opus": reading(Path(folder), 4, 15.0, 16_000, "OPUS"),
        }
        for name, pair in pairs.items():
            times: tuple[list[float], list[float]] = ([], [])
            for number in range(options.rounds):
                for which in (0, 1) if number % 2 else (1, 0):
                    times[which].append(seconds_of(pair[which]))
            now, then = (1000 * statistics.median(one) for one in times)
            found[name] = {"ms": now, "ms_before": then, "ratio": then / now}
            print(f"{name:10} {now:7.3f} ms, before {then:7.3f} ms, ratio {then / now:5.2f}")
    if options.out:
        write_json(options.out, found)


if __name__ == "__main__":
    main()
