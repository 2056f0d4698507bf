"""The targets of test_fuzz.py under atheris: files are changed so that ever more lines of the readers run.

    pip install atheris; python -m tests.faults.guided_fuzz --seconds 60 --runs 1000000 --jobs 2 [TARGET ...]

Out: exit code 1 where a target ended with an undeclared exception, or hung for 5 s; the file with which it did is
named. With --record, the counts of the others go into docs/torture.json. Each target is a process, as libFuzzer ends
the one that it runs in.
"""

import argparse
import contextlib
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
import time
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["asr"]):
    from asr.errors import AsrError
    from asr.provenance import commit
    from tests.faults.test_fuzz import IN_MEMORY, LONGEST_S, TARGETS, make_seeds
    from tests.faults.torture import add_guided

FORK = multiprocessing.get_context("fork")


def main() -> int:
    """Fuzz each target in a process; 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"default: all of {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=60, help="the longest for each target (default: 60)")
    parser.add_argument("--runs", type=int, default=-1, help="how many files for each target at most (default: any)")
    parser.add_argument("--record", action="store_true", help="write the counts into docs/torture.json")
    parser.add_argument("--jobs", type=int, default=1, help="how many targets at a time (default: 1)")
    options = parser.parse_args()
    waiting, failed, now = list(options.targets or TARGETS), 0, commit()
    running: dict[int, tuple[str, Any, Path]] = {}
    while waiting or running:
        while waiting and len(running) < options.jobs:
            name = waiting.pop(0)
            folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{name.replace(' ', '-')}-", dir=IN_MEMORY))
            process = FORK.Process(target=fuzz, args=(name, options.seconds, options.runs, folder))
            process.start()
            running[process.sentinel] = name, process, folder
        wait(list(running))
        for sentinel in [one for one, (_, process, _) in running.items() if not process.is_alive()]:
            name, process, folder = running.pop(sentinel)
            said = (folder / "log").read_text(errors="replace")
            done = re.search(r"Done (\d+) runs in (\d+) second", said)
            if process.exitcode or not done:
                failed += 1
                print(f"{name}: {said[-3000:]}", flush=True)
                continue
            shutil.rmtree(folder)
            print(f"{name}: {done[1]} runs in {done[2]} s", flush=True)
            if options.record:
                add_guided(name, int(done[1]), int(done[2]), now)
    return int(failed > 0)


def fuzz(name: str, seconds: int, runs: int, folder: Path) -> None:
    """Run one target in ``folder``, whose file "log" gets what libFuzzer says; ends the process."""
    os.dup2(os.open(folder / "log", os.O_WRONLY | os.O_CREAT), 2)
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
        f"-runs={runs}",
        f"-timeout={20 * LONGEST_S:.0f}",  # by the clock, which goes on while other programs run
        f"-artifact_prefix={folder}/",
        "-max_len=20000",
    ]
    atheris.Setup([sys.argv[0], *limits, str(folder / "seeds")], one)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
