"""How long one command takes from its start: this checkout against another, whole processes taken in turn.

In: the root of another checkout (`git worktree add ../before COMMIT`), a model directory and a short recording. Out:
medians of processor seconds and of wall seconds for `asr --help`, `asr train RECIPE --cfg job` and `asr transcribe`
with each backend, with the model's own decoder and greedy, and at its very first start, which compiles the beam search;
the median of the paired ratios, and the load average. One torch thread; each command but the first start runs once
unmeasured, so that bytecode and compiled loops are kept. That both checkouts print the same is checked.

    python benchmarks/startup.py ../before MODEL FILE --out startup.json
    python benchmarks/startup.py ../before english FILE --only default first --rounds 3
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.files import write_json  # noqa: E402
from asr.shipped import STARTER  # noqa: E402

FIRST = "first"  # with nothing compiled


def commands(model: str, recording: str) -> dict[str, list[str]]:
    """The arguments after ``asr`` of each command."""
    job = ["train", "recipes/an4/bilstm.yaml", "data.dir=data", "run_dir=run", "--cfg", "job"]
    transcribe = ["transcribe", model, recording]
    return {
        "help": ["--help"],
        "job": job,
        "default": transcribe,
        "greedy": [*transcribe, "--decoder", "greedy"],
        "torch": [*transcribe, "--backend", "torch"],
        "torch-greedy": [*transcribe, "--backend", "torch", "--decoder", "greedy"],
        "onnx": [*transcribe, "--backend", "onnx"],
        "onnx-int8-greedy": [*transcribe, "--backend", "onnx-int8", "--decoder", "greedy"],
        FIRST: transcribe,
    }


def timed(root: Path, arguments: list[str], compiled: str | None = None) -> tuple[float, float, str]:
    """Processor seconds, wall seconds and the output of one process; ``compiled``: where numba keeps its files."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    if compiled is not None:
        environment["NUMBA_CACHE_DIR"] = compiled
    before, start_s = os.times(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "asr", *arguments], cwd=root, env=environment, capture_output=True, text=True, check=True
    )
    wall_s, after = time.perf_counter() - start_s, os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return cpu_s, wall_s, done.stdout


def measure(other: Path, name: str, arguments: list[str], rounds: int) -> dict[str, Any]:
    """Both checkouts in turn, the order swapped from round to round; medians and the median of paired ratios."""
    roots = {"before": other, "now": ROOT}
    if name != FIRST:
        texts = {which: timed(root, arguments)[2] for which, root in roots.items()}
        if arguments[0] == "transcribe" and texts["before"] != texts["now"]:  # helps and defaults may differ
            raise SystemExit(f"the checkouts print different texts: {texts}")
    cpu_s: dict[str, list[float]] = {which: [] for which in roots}
    wall_s: dict[str, list[float]] = {which: [] for which in roots}
    for index in range(rounds):
        for which in list(roots)[:: 1 if index % 2 else -1]:
            with tempfile.TemporaryDirectory() as empty:
                cpu, wall, _ = timed(roots[which], arguments, empty if name == FIRST else None)
            cpu_s[which].append(cpu)
            wall_s[which].append(wall)
    return {
        "cpu_s": {which: statistics.median(found) for which, found in cpu_s.items()},
        "wall_s": {which: statistics.median(found) for which, found in wall_s.items()},
        "cpu_ratio": statistics.median(a / b for a, b in zip(cpu_s["before"], cpu_s["now"], strict=True)),
        "wall_ratio": statistics.median(a / b for a, b in zip(wall_s["before"], wall_s["now"], strict=True)),
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, metavar="ROOT", help="the root of the checkout to compare with")
    parser.add_argument("model", metavar="MODEL", help="a model directory, or english")
    parser.add_argument("recording", type=Path, metavar="FILE", help="a short recording")
    parser.add_argument("--only", nargs="+", choices=commands("", ""), help="these commands (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="of each command (default: 5)")
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    options = parser.parse_args()
    found: dict[str, Any] = {"load_before": os.getloadavg()}
    model = options.model if options.model == STARTER else str(Path(options.model).resolve())
    asked = commands(model, str(options.recording.resolve()))
    for name in options.only or asked:
        one = measure(options.other.resolve(), name, asked[name], options.rounds)
        found[name] = one
        print(
            f"{name}: cpu {one['cpu_s']['before']:.2f} -> {one['cpu_s']['now']:.2f} s ({one['cpu_ratio']:.2f}x), "
            f"wall {one['wall_s']['before']:.2f} -> {one['wall_s']['now']:.2f} s ({one['wall_ratio']:.2f}x)"
        )
    found["load_after"] = os.getloadavg()
    print(f"load average {found['load_before'][0]:.1f} before, {found['load_after'][0]:.1f} after")
    if options.out:
        write_json(options.out, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
