"""SIGKILL a training at random moments; see whether its checkpoint loads and the end is the same to the last bit.

In: how many kills. Out: a summary on stdout, exit code 0 if every law held. The training is `asr train` in a process of
its own, with a data worker, dropout, SpecAugment, speed, gain and noise, on a corpus of tones made on the spot:

    python benchmarks/kill_resume.py --kills 20
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHECKPOINT = Path("checkpoints") / "last.ckpt"
sys.path.insert(0, str(ROOT))

from asr.errors import AsrError  # noqa: E402
from asr.training.checkpoint import load_checkpoint  # noqa: E402
from tests import tiny_run  # noqa: E402


@dataclass
class Tally:
    """What happened: ``reached``: (epoch, step, batch) of the checkpoint after each kill, None where there was none."""

    kills: int = 0
    reached: list[tuple[int, int, int] | None] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def summary(self, steps: int, equal: bool) -> str:
        """The figures, a line each."""
        loaded = [one for one in self.reached if one is not None]
        middle = sum(batch > 0 for _, _, batch in loaded)
        places = ", ".join(str(step) for _, step, _ in loaded)
        return "\n".join([
            f"{self.kills} SIGKILLs of a training of {steps} steps",
            f"checkpoint loaded after {len(loaded)}, was not there yet after {len(self.reached) - len(loaded)},"
            f" failed after {len(self.errors)}",
            f"of those that loaded, in mid-epoch: {middle}; steps: {places}",
            f"final weights equal the uninterrupted run's to the bit: {'yes' if equal else 'NO'}",
            *self.errors,
        ])  # fmt: skip


def main() -> int:
    """Run the experiment; 0 if all held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="how many SIGKILLs (default: 20)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the moments (default: 1)")
    parser.add_argument("--epochs", type=int, default=40, help="length of the training (default: 40)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tally, steps, equal = experiment(Path(folder), kills=options.kills, epochs=options.epochs, seed=options.seed)
    print(tally.summary(steps, equal))
    return 0 if equal and not tally.errors else 1


def experiment(folder: Path, *, kills: int, epochs: int, seed: int) -> tuple[Tally, int, bool]:
    """Train once whole, once with ``kills`` SIGKILLs; return what happened, the steps, whether the ends are equal."""
    corpus = tiny_run.make_corpus(folder / "corpus", train=24)
    whole, killed = folder / "whole", folder / "killed"
    process = train(corpus, whole, epochs)
    _wait_for(process, whole / CHECKPOINT, 0)
    started = time.monotonic()
    process.communicate()
    span_s = time.monotonic() - started  # from the first checkpoint to the end
    steps = load_checkpoint(whole / CHECKPOINT)["progress"]["step"]
    tally, generator = Tally(), random.Random(seed)
    while tally.kills < kills:
        in_setup = generator.random() < 0.15
        clock = killed / (".lock" if in_setup else CHECKPOINT)
        before = _stamp(clock)
        process = train(corpus, killed, epochs)
        _wait_for(process, clock, before)
        if not kill_after(process, generator.uniform(0, 1.0 if in_setup else 1.6 * span_s / kills)):
            break  # it ended first
        tally.kills += 1
        _check(killed, tally)
    process = train(corpus, killed, epochs)
    _, words = process.communicate()
    if process.returncode != 0:
        tally.errors.append(f"the last start ended with {process.returncode}: {words.strip()}")
        return tally, steps, False
    equal = tiny_run.equal_weights(tiny_run.weights(whole), tiny_run.weights(killed))
    metrics = tiny_run.timeless_metrics(whole) == tiny_run.timeless_metrics(killed)
    if not metrics:
        tally.errors.append("metrics.jsonl differs from the uninterrupted run's")
    models = [(run / "model" / "model.safetensors").read_bytes() for run in (whole, killed)]
    return tally, steps, equal and models[0] == models[1]


def train(corpus: Path, run_dir: Path, epochs: int) -> "subprocess.Popen[str]":
    """`asr train`, started."""
    recipe = tiny_run.write_recipe(corpus)
    changes = {"data__workers": 1, "augment__noise_probability": 0.5, "training__epochs": epochs}
    changes["training__save_every_steps"] = 1
    return tiny_run.start_asr(["train", str(recipe), *tiny_run.overrides(corpus, run_dir, **changes)], corpus)


def kill_after(process: "subprocess.Popen[str]", moment_s: float) -> bool:
    """SIGKILL after ``moment_s``; False if the process ended by itself."""
    try:
        process.wait(moment_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def _wait_for(process: "subprocess.Popen[str]", path: Path, before: int) -> None:
    """Until ``path`` has been written since, or the process is over."""
    while process.poll() is None and _stamp(path) == before:
        time.sleep(0.001)


def _stamp(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def _check(run_dir: Path, tally: Tally) -> None:
    checkpoint = run_dir / CHECKPOINT
    if not checkpoint.exists():
        tally.reached.append(None)
        return
    try:
        progress = load_checkpoint(checkpoint)["progress"]
    except AsrError as error:
        tally.errors.append(str(error))
        return
    tally.reached.append((progress["epoch"], progress["step"], progress["batch"]))


if __name__ == "__main__":
    sys.exit(main())
