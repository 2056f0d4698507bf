"""Train and transcribe a little with the versions that pyproject.toml allows: the lowest, those of constraints.txt, the
newest, and without torchaudio; each without any extra.

    python3.12 .ci/versions.py [lowest] [constraints] [highest] [no-torchaudio] [--torch torch==2.13.0] [--out FOLDER]

In: the Python that runs it, whose versions they become. Out: an environment in FOLDER, used for one after the other,
with pip's log and the versions of each kind, and a line for each with what happened; exit code 1 where one failed.
TORCH_INDEX=URL: an index of torch's CPU builds.
"""

import argparse
import os
import re
import subprocess
import sys
import time
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("lowest", "constraints", "highest", "no-torchaudio")
SMOKE = """
import sys
from pathlib import Path
import tensorboard.main  # what `tensorboard --logdir` is
from asr.cli import main
sys.path.append(sys.argv[1])  # behind the installed package: the tests' corpus of tones
from tests.tiny_run import make_corpus, overrides, write_recipe
corpus, run = make_corpus(Path("corpus").resolve()), Path(sys.argv[2]).resolve()
sentence = Path(sys.argv[1]) / "recipes" / "english" / "sentence.ogg"
settings = overrides(corpus, run, training__epochs=2, training__tensorboard=True)
code = main(["train", str(write_recipe(Path("."))), *settings])
code = code or main(["transcribe", str(run / "model"), str(corpus / "test0.wav"), "--format", "json"])
code = code or main(["transcribe", str(sentence)])
main(["doctor"])  # for the log: what is missing on purpose it calls a fault
sys.exit(code)
"""


def lowest() -> list[str]:
    """Each requirement of the package at its lower bound."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    found = [re.match(r"([\w.-]+)(?:\[[^]]*\])?>=([\w.]+)", one) for one in wanted]
    assert all(found), wanted
    return [f"{one[1]}=={one[2]}" for one in found if one]


def install(python: Path, kind: str, torch: str, folder: Path) -> None:
    """Bring the environment to the versions of ``kind``; raises CalledProcessError."""
    listed = (ROOT / "constraints.txt").read_text().splitlines()
    chosen = {"lowest": lowest(), "highest": []}.get(kind, listed)
    if torch:
        chosen = [line for line in chosen if not line.startswith("torch==")] + [torch]
    constraints = folder / f"{kind}.txt"
    constraints.write_text("\n".join([*chosen, ""]))
    index = ["--extra-index-url", os.environ["TORCH_INDEX"]] if os.environ.get("TORCH_INDEX") else []
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "--log", folder / f"{kind}.log"]
    newest = ["--upgrade", "--upgrade-strategy", "eager"] if kind == "highest" else []
    subprocess.run([*pip, "install", "-q", "--no-compile", *index, "-c", constraints, *newest, ROOT], check=True)
    if kind == "no-torchaudio":
        subprocess.run([*pip, "uninstall", "-q", "--yes", "torchaudio"], check=True)
    with (folder / f"{kind}-installed.txt").open("w", encoding="utf-8") as installed:
        subprocess.run([*pip, "freeze", "--all"], check=True, stdout=installed)


def main() -> int:
    """Try each kind; returns the exit code."""
    parser = argparse.ArgumentParser(description="Train and transcribe a little with lowest, highest, ... versions.")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)} (default: all)")
    parser.add_argument("--torch", default="", help="this torch whatever the kind, such as torch==2.13.0")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "versions")
    given = parser.parse_args()
    name = f"{sys.version_info[0]}.{sys.version_info[1]}"
    folder = given.out.resolve() / name
    folder.mkdir(parents=True, exist_ok=True)
    python = folder / "venv" / "bin" / "python"
    if not python.exists():
        venv.create(folder / "venv", with_pip=True)
    lines = []
    for kind in given.kinds or KINDS:
        began, done = time.monotonic(), "works"
        try:
            install(python, kind, given.torch, folder)
            command = [python, "-c", SMOKE, ROOT, f"run-{kind}-{os.getpid()}"]
            subprocess.run(command, cwd=folder, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        except subprocess.CalledProcessError as error:
            done = f"FAILED ({Path(str(error.cmd[0])).name} ended with {error.returncode}; see {folder / kind}.log)"
        lines.append(f"Python {name}, {kind}: {done} ({time.monotonic() - began:.0f} s)")
        print(lines[-1], flush=True)
    print("\n".join(["", *lines]))
    return int(any("FAILED" in line for line in lines))


if __name__ == "__main__":
    sys.exit(main())
