"""Every figure in a recipe's README comes from its results.json, and every row says how it was made."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
WITH_RESULTS = sorted(path.parent for path in RECIPES.glob("*/results.json"))


@pytest.fixture
def results() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recipe_results", RECIPES / "results.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("recipe", WITH_RESULTS, ids=lambda path: path.name)
def test_the_readme_says_what_results_json_says(recipe: Path, results: ModuleType) -> None:
    assert (recipe / "README.md").read_text() == results.show(recipe), "run: python recipes/results.py show " + str(
        recipe
    )


@pytest.mark.parametrize("recipe", WITH_RESULTS, ids=lambda path: path.name)
def test_every_row_says_how_it_was_made(recipe: Path, results: ModuleType) -> None:
    for row in json.loads((recipe / "results.json").read_text()):
        assert set(results.KEYS) <= row.keys()
        assert row["wer"] >= 0 and 0 <= row["cer"] <= 100
        assert row["command"].startswith("asr ") and row["hardware"]


def test_the_front_page_says_what_the_recipes_say(results: ModuleType) -> None:
    readme = RECIPES.parent / "README.md"
    assert readme.read_text() == results.show_summary(readme, RECIPES), "run: python recipes/results.py show RECIPE"


def test_mean_and_deviation_are_those_of_a_hand_calculation(results: ModuleType) -> None:
    row = {
        "model": "m",
        "test": "t",
        "cer": 1.0,
        "seconds": 60,
        "command": "asr run",
        "commit": "c",
        "hardware": "h",
        "dev_wer": 1.0,
    }
    rows = [{**row, "wer": wer, "seed": seed} for seed, wer in enumerate((1.0, 2.0, 4.5))]
    assert "WER 2.50 ± 1.80 %" in results.table(rows)  # mean 7.5 / 3; sqrt((2.25 + 0.25 + 4) / 2) = 1.803


def test_a_table_follows_its_rows(results: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Title\n\n## Results\n\n(none)\n")
    made = {"seconds": 90, "command": "asr x", "commit": "c", "seed": 1, "hardware": "h"}
    row = {"model": "m", "test": "t", "wer": 12.34, "cer": 1.0, "dev_wer": 1.0, **made}
    results.add(tmp_path, [row])
    first = results.show(tmp_path)
    assert "| 12.34 |" in first and "1.5 min" in first and "(none)" not in first
    results.add(tmp_path, [{**row, "wer": 56.78}])
    (tmp_path / "README.md").write_text(first)
    assert "56.78" in results.show(tmp_path) and "12.34" not in results.show(tmp_path)


def test_rates_are_rounded_once(tmp_path: Path, results: ModuleType) -> None:
    (tmp_path / "model").mkdir()
    numbers = dict.fromkeys(("training_seconds", "seed", "dev_wer", "epoch"), 1)
    facts = {**numbers, "command": "c", "commit": "d", "hardware": "h"}
    (tmp_path / "model" / "config.json").write_text(json.dumps({"facts": facts}))
    folder = tmp_path / "evaluation" / "test"
    folder.mkdir(parents=True)
    counts = {"errors": 7, "reference_length": 791}  # 0.884956 %, in the summary 0.885, which rounds to 0.89
    summary = {"wer": 0.885, "cer": 0.885, "words": counts, "characters": counts, "utterances": 200}
    (folder / "summary.json").write_text(json.dumps(summary))
    (row,) = results.rows_of_run(tmp_path, "m")
    assert (row["wer"], row["cer"]) == (0.88, 0.88)
