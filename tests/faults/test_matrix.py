"""Bad input, case by case: one message with its id, the right exit code, and nothing written (law 8).

A fault found in use gets a row in one of the tables.
"""

import re
import shutil
import time
from pathlib import Path

import pytest
import soundfile

from tests.faults import audio, configs, manifests, models, texts
from tests.faults.case import Case, asr
from tests.faults.ids import EXIT_CODES
from tests.random_model import RATE, save_random_model

CASES = [*audio.CASES, *manifests.CASES, *models.CASES, *configs.CASES, *texts.CASES]
LONGEST_CPU_S = 8.0  # with the imports of the verb's first case; a case takes 10 to 50 ms
MESSAGE = re.compile(r"^asr(?: [a-z -]+)?: error(?:\[([a-z-]+)\])?: ", re.MULTILINE)


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and a recording of a quarter of a second."""
    folder = tmp_path_factory.mktemp("faults")
    save_random_model(folder / "model")
    soundfile.write(folder / "good.wav", audio.NOISE[: RATE // 4], RATE)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder``."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
        if not path.is_fifo()
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.given.replace(" ", "-"))
def test_a_fault_is_one_message_and_changes_nothing(
    case: Case, common: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(common, tmp_path, dirs_exist_ok=True)
    case.put(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, value in case.environment.items():
        monkeypatch.setenv(name, value)
    before, started_s = contents(tmp_path), time.process_time()

    code = asr(case.arguments, monkeypatch)

    took_s, found = time.process_time() - started_s, capfd.readouterr()
    said = [one[1] or "usage" for one in MESSAGE.finditer(found.err)]
    assert said == [case.id], found.err
    assert code == EXIT_CODES[case.id]
    for part in (case.says,) if isinstance(case.says, str) else case.says:
        assert part in found.err
    if case.id.startswith(("audio", "model", "config")):
        (line,) = (line for line in found.err.splitlines() if not line.startswith("transcribing "))  # progress
        assert len(line) < 800
    assert found.out == "" and "Traceback" not in found.err and len(found.err) < 8_000
    after = contents(tmp_path)
    assert {name: content for name, content in after.items() if name.split("/")[0] != case.leaves} == before
    assert took_s < LONGEST_CPU_S


def test_no_two_cases_give_the_same() -> None:
    assert len({case.given for case in CASES}) == len(CASES)
