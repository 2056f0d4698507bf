"""A disk that is full or fails, at every single change of a file: one message, nothing lost, and the next run is whole.

A handful of the changes here; `make torture` tries each of them, full for good and failing once.
"""

import errno
import json
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from asr.errors import AsrError
from asr.training.checkpoint import load_checkpoint
from tests.faults.test_matrix import MESSAGE
from tests.faults.texts import RESULT
from tests.faults.torture import SIZE
from tests.faults.writes import JOBS, FailingDisk, Job, Outcome, results
from tests.random_model import save_random_model
from tests.tiny_run import equal_weights, make_corpus, weights, write_recipe

FAULTS = {"full for good": (errno.ENOSPC, True), "failing once": (errno.EIO, False)}
IDS = {errno.ENOSPC: {"disk-full"}, errno.EIO: {"system", "training"}}
ADVICE = {errno.ENOSPC: "free some space", errno.EIO: "check the disk"}

pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None or sys.platform != "linux" or sys.maxsize < 2**32, reason="needs a C compiler and Linux"
)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> FailingDisk:
    return FailingDisk(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands read."""
    folder = tmp_path_factory.mktemp("given")
    make_corpus(folder / "data")
    write_recipe(folder)
    save_random_model(folder / "model")
    (folder / "results.jsonl").write_text(json.dumps(RESULT) + "\n")
    (folder / "ref.txt").write_text("".join(f"u{number} one two three\n" for number in range(9)))
    (folder / "corpus").mkdir()
    for number in range(12):
        shutil.copy(folder / "data" / f"train{number}.wav", folder / "corpus")
        (folder / "corpus" / f"train{number}.txt").write_text("ab c")
    return folder


def chosen(changes: list[str]) -> list[int]:
    """Which changes fail, from 1: with ``SIZE`` that share of all, else some of different kinds."""
    if SIZE:
        return list(range(1, len(changes) + 1, max(1, round(1 / SIZE))))
    kinds: dict[str, list[int]] = defaultdict(list)
    for number, change in enumerate(changes, 1):
        kind, path = change.split(" ", 1)
        kinds[f"{kind} {re.sub(r'.*/|[0-9]+', '', path)[:9]}"].append(number)
    firsts = [numbers[len(numbers) // 2] for numbers in kinds.values()]
    return firsts[:: max(1, len(firsts) // 4)]


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    "job", [pytest.param(job, marks=pytest.mark.slow if job.slow else (), id=job.name) for job in JOBS]
)
def test_a_change_that_fails_is_one_message_and_the_next_run_is_whole(
    job: Job, fault: str, disk: FailingDisk, given: Path, tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:  # fmt: skip
    if job.needs:
        pytest.importorskip(job.needs)
    place, problems = tmp_path / "place", list[str]()

    def start_over() -> Path:
        shutil.rmtree(place, ignore_errors=True)
        return shutil.copytree(given, place)

    undisturbed = disk.run(job.words, start_over())
    assert undisturbed.code == 0, undisturbed.errors
    whole, whole_weights = results(place), run_weights(place)
    numbers = chosen(undisturbed.changes)
    for number in numbers:
        failed = disk.run(job.words, start_over(), number, *FAULTS[fault])
        found = faults_of(job, FAULTS[fault][0], failed, number, place)
        again = disk.run(job.words, place)
        found += [f"the next run says {again.errors}"] if again.code else []
        found += [f"{name} differs" for name, one in (results(place) | whole).items() if whole.get(name) != one]
        found += [f"{name} is left" for name in hidden(place)]
        if not equal_weights(whole_weights, run_weights(place)):
            found.append("the weights differ")
        problems += [f"{number} {failed.changes[number - 1]}: {one}" for one in found]
    assert not problems, "\n".join(problems)
    record_property("count", len(numbers))


def faults_of(job: Job, number: int, failed: Outcome, at: int, place: Path) -> list[str]:
    """What is wrong: it is one message with its id, the file and what to do, or nothing that anybody waits for is lost;
    checkpoints load, and no temporary file is left.
    """
    left = [name for name in hidden(place) if ".model.old." not in name]  # which the next run moves back
    found = [f"{name} is left at once" for name in left]
    said = [one[1] for one in MESSAGE.finditer(failed.errors)]
    if not (job.losable and re.search(job.losable, failed.changes[at - 1]) and failed.code == 0 and not said):
        line = next((line for line in failed.errors.splitlines() if "error" in line), "")
        right = failed.code == 1 and len(said) == 1 and said[0] in IDS[number] and ADVICE[number] in line
        named = ".tmp" not in line and re.search(r"\b(run|out|log|data|model)\b", line)
        if not right or not named or re.search("Traceback|Exception ignored", failed.errors):
            found.append(f"exit code {failed.code}, {failed.errors}")
    for checkpoint in (place / "run" / "checkpoints").rglob("*.ckpt"):
        try:
            load_checkpoint(checkpoint)
        except AsrError as error:
            found.append(str(error))
    return found


def run_weights(place: Path) -> dict[str, torch.Tensor]:
    """Those of the training; none for another command."""
    return weights(place / "run") if (place / "run").exists() else {}


def hidden(folder: Path) -> list[str]:
    """Temporary files and folders."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob(".*")]
    return [name for name in names if Path(name).name not in (".lock", ".asr-transcripts.jsonl")]
