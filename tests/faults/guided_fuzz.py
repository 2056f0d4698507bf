"""The targets of test_fuzz.py under atheris: files are changed so that ever more lines of the readers run.

    pip install atheris; python -m tests.faults.guided_fuzz SECONDS [TARGET ...]

In: the seconds for each target. Out: exit code 1 where one ended with an undeclared exception, or hung for 5 s; the
file with which it did is named. Each target is a process of its own, as libFuzzer ends the one that it runs in.
"""

import contextlib
import multiprocessing
import os
import re
import sys
import tempfile
import time
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
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            process = multiprocessing.get_context("fork").Process(target=fuzz, args=(name, seconds, output.fileno()))
            process.start()
            process.join()
            output.seek(0)
            said = output.read()
        runs = re.search(r"Done (\d+) runs", said)
        print(f"{name}: {runs[1]} runs" if runs and not process.exitcode else f"{name}: {said[-3000:]}", flush=True)
        failed += process.exitcode != 0
    return int(failed > 0)


def fuzz(name: str, seconds: str, output: int) -> None:
    """Run one target, with what libFuzzer says going to the file ``output``; ends the process."""
    os.dup2(output, 2)
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{name.replace(' ', '-')}-"))
    (folder / "seeds").mkdir()
    (folder / "seeds" / "seed").write_bytes(make_seeds(folder)[name])
    read, place = TARGETS[name][0], folder / "file"

    def one(content: bytes) -> None:
        place.write_bytes(content)
        began_s = time.process_time()
        with contextlib.suppress(AsrError):
            read(place)
        assert time.process_time() - began_s < LONGEST_S

    limits = [
        f"-max_total_time={seconds}",
        f"-timeout={20 * LONGEST_S:.0f}",  # by the clock, which goes on while other programs run
        f"-artifact_prefix={folder}/",
        "-max_len=20000",
    ]
    atheris.Setup([sys.argv[0], *limits, str(folder / "seeds")], one)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
