"""The targets of test_fuzz.py under atheris: files are changed so that ever more lines of the readers run.

    pip install atheris; python -m tests.faults.guided_fuzz SECONDS [TARGET ...]

In: the seconds for each target. Out: exit code 1 where one ended with an undeclared exception, or hung for 5 s; the
file with which it did is named. Each target is a process of its own, as libFuzzer ends the one that it runs in.
"""

import contextlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["asr"]):
    from asr.errors import AsrError
    from tests.faults.test_fuzz import LONGEST_S, TARGETS, make_seeds


def main() -> int:
    """Fuzz each target in a process; 1 where one failed."""
    seconds, *names = sys.argv[1:]
    failed = 0
    for name in names or TARGETS:
        command = [sys.executable, "-m", "tests.faults.guided_fuzz", "--one", name, seconds]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
        runs = re.search(r"Done (\d+) runs", done.stderr)
        print(
            f"{name}: {runs[1]} runs" if runs and not done.returncode else f"{name}: {done.stderr[-3000:]}", flush=True
        )
        failed += done.returncode != 0
    return int(failed > 0)


def fuzz(name: str, seconds: str) -> None:
    """Run one target; ends the process."""
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{name.replace(' ', '-')}-"))
    (folder / "seeds").mkdir()
    (folder / "seeds" / "seed").write_bytes(make_seeds(folder)[name])
    read, place = TARGETS[name][0], folder / "file"

    def one(content: bytes) -> None:
        place.write_bytes(content)
        with contextlib.suppress(AsrError):
            read(place)

    limits = [
        f"-max_total_time={seconds}",
        f"-timeout={LONGEST_S:.0f}",
        f"-artifact_prefix={folder}/",
        "-max_len=20000",
    ]
    atheris.Setup([sys.argv[0], *limits, str(folder / "seeds")], one)
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        fuzz(*sys.argv[2:])
    sys.exit(main())
