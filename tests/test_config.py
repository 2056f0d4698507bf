"""Configuration: every word of conf/ builds, every wrong one gets a message that names it."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from asr.config.compose import run_composed
from asr.config.defaults import GROUPS, render_group
from asr.config.recipes import conf_dir, recipes_dir
from asr.config.typed import RunConfig, changed_keys, read_config, save_config, typed_config, with_overrides
from asr.errors import ConfigError, UsageError
from asr.schema import to_plain
from asr.training.config import TrainSettings
from tests.tiny_run import write_recipe

OPTIONS = sorted(
    (path.parent.relative_to(conf_dir()).as_posix(), path.stem)
    for path in conf_dir().rglob("*.yaml")
    if path.parent != conf_dir()
)
RECIPES = sorted(recipes_dir().glob("*/*.yaml"))


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return write_recipe(tmp_path / "recipe")


def compose(recipe: Path, *words: str) -> Any:
    return run_composed(recipe, list(words), lambda composed: composed)[0]


def test_the_defaults_written_in_conf_are_the_defaults_of_the_classes(recipe: Path) -> None:
    assert len(OPTIONS) >= 15
    config = typed_config(compose(recipe, "run_dir=x"))
    plain = typed_config({"run_dir": "x"})
    assert to_plain(config) == to_plain(plain)


@pytest.mark.parametrize("place", range(max(Counter(group for group, _ in OPTIONS).values())))
def test_every_option_of_every_group_builds(recipe: Path, place: int) -> None:
    """One of each group at a time: composing takes a sixth of a second."""
    groups = {group: [option for own, option in OPTIONS if own == group] for group, _ in OPTIONS}
    words = [f"{group}={options[place]}" for group, options in groups.items() if place < len(options)]
    assert typed_config(compose(recipe, "run_dir=x", *words)).run_dir == Path("x")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_recipe_builds(path: Path) -> None:
    assert typed_config(compose(path, "run_dir=x")).run_dir == Path("x")


def test_what_is_saved_reads_back_equal_with_the_data_folder_absolute(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    composed = compose(recipe, "run_dir=runs/x", "data.dir=data", "model.hidden_size=7", "augment.speeds=[1.0]")
    save_config(composed, tmp_path / "config.yaml")
    read, given = read_config(tmp_path / "config.yaml"), typed_config(composed)
    assert read.train.data.dir == str(tmp_path / "data")
    assert changed_keys(read.train, given.train) == []
    assert read.train.model == given.train.model


@pytest.mark.parametrize("name", ["digits/bilstm.yaml", "folder/bilstm.yaml"])
def test_a_training_takes_one_torch_thread_unless_told_otherwise(name: str) -> None:
    """Two on two cores, one of them busy, wait for each other: the demo took 25 minutes of computing, not 6."""
    recipe = Path(__file__).parents[1] / "recipes" / name
    assert typed_config(compose(recipe, "run_dir=x")).train.training.threads == 1


def test_the_cache_of_decoded_audio_is_no_part_of_the_result_and_runs_from_before_it_are_read(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = compose(recipe, "run_dir=x", "data.dir=data", "data.cache_dir=2026", "data.cache_mb=5")
    path = tmp_path / "config.yaml"
    save_config(given, path)
    read = read_config(path)
    assert read.train.data.cache_dir == str(tmp_path / "2026") and read.train.data.cache_mb == 5
    path.write_text(path.read_text().replace("cache_mb: 5", "keep_mb: 512"))
    assert changed_keys(read_config(path).train, read.train) == []


def test_keys_that_bear_on_the_result_are_told_apart_from_those_that_do_not(recipe: Path) -> None:
    one = typed_config(compose(recipe, "run_dir=x", "data.dir=a", "data.workers=0"))
    other = typed_config(
        compose(recipe, "run_dir=x", "data.dir=b", "data.workers=3", "model.subsampling.factor=2", "seed=9")
    )
    assert changed_keys(one.train, other.train) == ["model.subsampling.factor", "seed"]


def test_epochs_that_are_given_are_done_whatever_least_steps_the_recipe_has(tmp_path: Path) -> None:
    folder = recipes_dir() / "folder" / "bilstm.yaml"
    composed = compose(folder, "run_dir=x")
    assert composed.training.least_steps > 0, "nothing is shown otherwise"
    assert compose(folder, "run_dir=x", "training.epochs=2").training.least_steps is None
    assert compose(folder, "training.epochs=2", "training.least_steps=9").training.least_steps == 9
    save_config(composed, tmp_path / "config.yaml")  # of a run that is resumed
    assert with_overrides(tmp_path / "config.yaml", ["training.epochs=2"])["training"]["least_steps"] is None


def test_a_run_without_a_folder_says_how_to_give_one(recipe: Path) -> None:
    with pytest.raises(ConfigError, match=r"run_dir is not set; give a folder for this run \(run_dir=runs/NAME\)"):
        typed_config(compose(recipe))
    with pytest.raises(ConfigError, match="run_dir is not set; give the folder for this sweep"):
        compose(recipe, "-m", "seed=1,2")


@pytest.mark.parametrize(
    "name",
    [
        "a=b",
        "sp ace",
        "(x)",
        "a,b",
        "it's",
        "[1]",
        "{x}",
        "ü",
        "2024",
        "1e3",
        "true",
        "1_0",
        "~a",
        "#1",
        "back\\slash",
        'q"q',
    ],
)
def test_folders_may_have_any_name(recipe: Path, name: str) -> None:
    config = typed_config(compose(recipe, f"run_dir=runs/{name}", f"data.dir={name}", f"corpus={name}"))
    assert (config.run_dir, config.train.data.dir, config.corpus) == (Path("runs") / name, name, name)


def test_quotes_of_hydras_own_are_kept_and_a_tilde_is_the_home(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    config = typed_config(compose(recipe, "run_dir='a b'", "data.dir=~/data"))
    assert (config.run_dir, config.train.data.dir) == (Path("a b"), "/home/ann/data")


def test_the_vocabulary_is_found_in_a_folder_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / "an (odd), place=1"
    odd.mkdir()
    (odd / "conf").symlink_to(conf_dir())
    monkeypatch.setattr("asr.config.compose.conf_dir", lambda: odd / "conf")
    assert typed_config(compose(write_recipe(odd / "my recipe"), "run_dir=x")).train.seed == 1


def test_options_may_stand_between_overrides(recipe: Path, tmp_path: Path) -> None:
    jobs = run_composed(recipe, [f"run_dir={tmp_path}/s", "-m", "seed=1,2", "data.dir=d"], lambda composed: composed)
    assert [(job.seed, job.run_dir, job.data.dir) for job in jobs] == [
        (1, f"{tmp_path}/s/seed=1", "d"),
        (2, f"{tmp_path}/s/seed=2", "d"),
    ]


@pytest.mark.parametrize("words", [["-x"], ["--shell-completion"], ["--experimental-rerun=x.pickle"], ["--cfg"]])
def test_an_option_that_is_not_known_or_not_whole_is_refused_in_a_line(recipe: Path, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        compose(recipe, "run_dir=x", *words)
    assert words[0] in str(caught.value) and "\n" not in str(caught.value)


def test_a_failure_ends_a_sweep_and_is_told(recipe: Path, tmp_path: Path) -> None:
    seen = []

    def fail(composed: Any) -> None:
        seen.append(composed.seed)
        raise UsageError("no")

    with pytest.raises(UsageError, match="no"):
        run_composed(recipe, [f"run_dir={tmp_path}", "-m", "seed=1,2"], fail)
    assert seen == [1]


def test_what_hydra_can_be_asked_for_besides_a_configuration_is_done(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "${hydra:runtime.choices.model} ${hydra:job.name} ${hydra:mode} ${hydra:runtime.output_dir}"
    words = ["run_dir=x", f"tokenizer.name={name}"]
    for more in ([], ["-m"]):
        names = run_composed(recipe, [*words, *more], lambda composed: composed.tokenizer.name)
        assert names == [f"bilstm asr RunMode.{'MULTIRUN' if more else 'RUN'} {tmp_path}{'/x' if more else ''}"]
    sweeps = write_recipe(tmp_path / "sweeps", text="defaults: [base, _self_]\nhydra: {mode: MULTIRUN}\n")
    assert [job.seed for job in run_composed(sweeps, ["run_dir=x", "seed=1,2"], lambda composed: composed)] == [1, 2]
    words = ["run_dir=x", "hydra.job.chdir=true", "hydra.run.dir=there", "+hydra.job.env_set.ASR_TEST=set"]
    seen = run_composed(recipe, words, lambda composed: (Path.cwd(), os.environ["ASR_TEST"]))
    assert seen == [(tmp_path / "there", "set")] and Path.cwd() == tmp_path and "ASR_TEST" not in os.environ


@pytest.mark.parametrize("name", sorted(GROUPS))
def test_the_default_file_of_a_group_is_generated_from_its_dataclass(name: str) -> None:
    path = conf_dir() / f"{name}.yaml"
    assert path.read_text(encoding="utf-8") == render_group(GROUPS[name]), "out of date: run make conf"
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert values == to_plain(GROUPS[name].config)  # nothing is read as another value or type


def test_base_states_the_defaults_of_the_run() -> None:
    values = yaml.safe_load((conf_dir() / "base.yaml").read_text(encoding="utf-8"))
    run = RunConfig(run_dir=Path("x"), train=TrainSettings())
    assert (values["seed"], values["corpus"]) == (run.train.seed, run.corpus)
    assert (values["prepare"], values["stages"]) == (run.prepare, run.stages)
    groups = {key: name for one in values["defaults"] if isinstance(one, dict) for key, name in one.items()}
    assert {f"{key}/{name}" for key, name in groups.items()} <= GROUPS.keys() | {"decoding/greedy"}


def test_a_variant_holds_only_what_differs_from_its_group() -> None:
    for path in conf_dir().glob("*/*.yaml"):
        group = path.parent.name
        if f"{group}/{path.stem}" in GROUPS or path.name == "greedy.yaml":
            continue
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        (parent, own) = values.pop("defaults")
        assert own == "_self_"
        if "@" in parent:  # sets keys of several groups: those of its own must differ
            parent, values = parent.split("@")[0], values[group]
        defaults = to_plain(GROUPS[f"{group}/{parent}"].config)
        assert not [key for key, value in values.items() if defaults[key] == value], path
