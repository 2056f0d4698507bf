"""README and docs: every command shown parses, the cheap ones run, links lead somewhere, and nothing is unfinished."""

import argparse
import contextlib
import importlib.util
import io
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from asr.cli import VERBS, main
from asr.config.compose import run_composed
from asr.config.recipes import resolve_recipe
from asr.config.typed import plain_config, set_data_dir, typed_config
from asr.data.manifest import read_manifest
from asr.data.prepare import OF_EVERY_RECIPE, check_options, load_recipe
from tests.tiny_run import make_corpus, overrides, write_recipe

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "recipes").glob("*/*.md"),
        ROOT / "benchmarks/README.md",
    ]
)
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PARSED = 99  # the exit code of a command whose arguments were read and no more
OTHER_PROGRAMS = {"cp", "docker", "ffmpeg", "for", "git", "nice", "pip", "taskset"}


@dataclass(frozen=True)
class Command:
    """A command line shown on a page."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def fences(page: Path) -> Iterator[tuple[str, str]]:
    """The language and the text of each block of code; an indented block has no language."""
    text = page.read_text(encoding="utf-8")
    yield from re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    for block in re.findall(r"\n\n((?:    .+\n)+)", prose):
        yield "", re.sub("^    ", "", block, flags=re.MULTILINE)


def commands_of(page: Path) -> Iterator[Command]:
    """Every command of a page's blocks without a language, a pipe's parts one by one."""
    name = page.relative_to(ROOT).as_posix()
    for language, body in fences(page):
        if language not in ("", "sh", "bash", "console") or re.match(r"[a-z]\[t\]", body):  # equations
            continue
        for line in body.replace("\\\n", " ").splitlines():
            part: list[str] = []
            for word in [*shlex.split(line.removeprefix("$ "), comments=True), "|"]:
                if word not in ("|", "&&"):
                    part.append(word)
                elif part:
                    yield Command(name, tuple(part))
                    part = []


def program(command: Command) -> tuple[str, list[str]]:
    """The program that is started and its arguments; torchrun, the environment and the Makefile's variables aside."""
    words = [word for word in command.words if f"\n{word} := " not in MAKEFILE]
    while re.match(r"[A-Z_]+=", words[0]):
        del words[0]
    if words[0] == "torchrun":
        return "asr", words[words.index("asr") + 1 :]
    return words[0].removeprefix(".venv/bin/"), words[1:]


COMMANDS = [command for page in PAGES for command in commands_of(page)]
OURS = [command for command in COMMANDS if program(command)[0] == "asr"]
# Of the commands of a recipe's results, which differ in values alone, one is enough.
DISTINCT = {(one.page, *(word.partition("=")[0] for word in one.words)): one for one in OURS}.values()


def test_the_pages_show_every_verb_and_no_unknown_program() -> None:
    assert {program(one)[1][0] for one in OURS} == set(VERBS)
    assert {program(one)[0] for one in COMMANDS} <= {"asr", "make", "python", *OTHER_PROGRAMS}


def own_recipes(folder: Path) -> None:
    """The recipes that docs/how-to/hydra.md shows, each in the file that its first line names."""
    for language, body in fences(ROOT / "docs/how-to/hydra.md"):
        path = folder / body.partition("\n")[0].removeprefix("# ")
        if language == "yaml":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body, encoding="utf-8")


@contextlib.contextmanager
def only_parsing() -> Iterator[None]:
    """Within it `asr` reads its arguments and goes no further."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("parse_args", "parse_intermixed_args"):
            real = getattr(argparse.ArgumentParser, name)

            def parse(self: argparse.ArgumentParser, *given: Any, real: Any = real) -> None:
                real(self, *given)
                raise SystemExit(PARSED)

            patch.setattr(argparse.ArgumentParser, name, parse)
        yield


@pytest.mark.parametrize("command", DISTINCT, ids=str)
def test_every_command_parses(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own_recipes(tmp_path)
    monkeypatch.chdir(tmp_path)
    verb, *words = program(command)[1]
    if verb in ("run", "train"):
        composes(verb, words)
        return
    with only_parsing():
        assert main([verb, *words]) == PARSED, capsys.readouterr().err
    if verb == "prepare":
        folder, *rest = words
        options = dict(word.split("=", 1) for word in rest if "=" in word)
        own = {name: value for name, value in options.items() if name not in OF_EVERY_RECIPE}
        check_options(folder, load_recipe(resolve_recipe(folder)).prepare, own)


def composes(verb: str, words: list[str]) -> None:
    """The recipe composes with the overrides to a valid configuration; a run folder stands alone."""
    if not words[0].endswith(".yaml"):
        assert verb == "train" and all("=" in word for word in words[1:])
        return

    def check(composed: Any) -> float:
        typed_config(plain_config(set_data_dir(composed)))
        return 0.0

    if any(word.startswith("hydra/") for word in words):
        pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="needs the extra [sweeps]")
        pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="needs the extra [sweeps]")
    if launcher := [word for word in words if word.startswith(("hydra/launcher=", "hydra.launcher."))]:
        launches(words[0], launcher)
        words = [word for word in words if word not in launcher]
    if "hydra/sweeper=optuna" in words:
        words = [*words, "hydra.sweeper.n_trials=1"]
    run_composed(resolve_recipe(words[0]), words[1:], check)


def launches(recipe: str, words: list[str]) -> None:
    """The plugin's own class takes the launcher's settings; nothing is submitted."""
    from hydra.utils import instantiate

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        run_composed(resolve_recipe(recipe), [*words, "run_dir=x", "--cfg", "hydra"], lambda config: None)
    config = OmegaConf.create({"run_dir": "x", **yaml.safe_load(printed.getvalue())})
    kind = words[0].rpartition("_")[2]
    assert type(instantiate(config.hydra.launcher)).__name__ == f"{kind.capitalize()}Launcher"
    for word in words[1:]:
        key, value = word.removeprefix("hydra.launcher.").split("=")
        assert str(config.hydra.launcher[key]) == value


@pytest.mark.parametrize("command", [one for one in COMMANDS if program(one)[0] == "make"], ids=str)
def test_every_make_target_exists(command: Command) -> None:
    for word in program(command)[1]:
        name, equals, _ = word.partition("=")
        assert f"$({name}" in MAKEFILE if equals else f"\n{name}: " in MAKEFILE


@pytest.mark.parametrize("command", [one for one in COMMANDS if program(one)[0] == "python"], ids=str)
def test_every_script_exists_and_has_the_options_shown(command: Command) -> None:
    words = program(command)[1]
    if words[0] == "-m":
        assert importlib.util.find_spec(words[1])
        return
    text = (ROOT / words[0]).read_text(encoding="utf-8")
    assert [word for word in words if word.startswith("--") and f'"{word}"' not in text] == []


def test_extras_that_pages_name_exist() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    named = {extra for page in PAGES for extra in re.findall(r"asr-bilstm\[([\w,]+)\]", page.read_text())}
    assert [extra for one in named for extra in one.split(",") if f"\n{extra} = [" not in project] == []


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the commands of README and docs name, small: a trained run, recordings, texts."""
    folder = tmp_path_factory.mktemp("world")
    run = folder / "runs/mine"
    recipe = write_recipe(folder / "recipe")
    given = overrides(make_corpus(run / "data"), run, training__epochs=1, data__workers=0)
    assert main(["train", str(recipe), *given]) == 0
    test = read_manifest(run / "data/test.jsonl")
    for name in ("recording.wav", "other.flac", "my_recordings/ann/recording.wav"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(test[0].audio, folder / name)
    (folder / "books").mkdir()
    (folder / "books/some.txt").write_text("ab ba abc\ncab a b\nabc abc\n" * 9)
    assert main(["lm", "build", str(folder / "books"), "--order", "2", "--out", str(folder / "other.arpa")]) == 0
    (folder / "words.txt").write_text("ab\nabc\n")
    for name in ("ref.trn", "hyp.trn"):
        (folder / name).write_text("".join(f"{one.text} ({one.id})\n" for one in test))
    (folder / "ref.stm").write_text("r 1 ann 0.0 1.0 ab abc\n")
    (folder / "hyp.ctm").write_text("r 1 0.1 0.2 ab\nr 1 0.5 0.2 abc\n")
    own_recipes(folder)
    return folder


def _options(command: Command) -> list[str]:
    return [word for word in command.words if word.startswith("--")]


# Refused for a model of tones and texts of three letters, as they should be: nothing to calibrate, no gain to be had.
NEEDS_A_REAL_MODEL = {"calibrate", "tune", "ann arbor:6"}
NEEDS_MORE = {
    "-",
    "cuda",
    "family",
    "microphone",
    "ray",
    "runs/mine",
    "runs/wide",
    "--conversation",
}  # standard input, a GPU, a night, a microphone, an extra
SLOW = {"report", "inspect", "probe", "--lexicon", "--n-best"}  # the last two compile the beam search
CHEAP = {"transcribe", "evaluate", "score", "compare", "lm", "check"}
RUNS = [
    pytest.param(one, id=str(one), marks=[pytest.mark.slow] if SLOW & {one.words[1], *_options(one)} else [])
    for one in OURS
    if one.page == "README.md" or one.page.startswith("docs/how-to/")
    if program(one)[1][0] in CHEAP | SLOW and not (NEEDS_A_REAL_MODEL | NEEDS_MORE) & set(one.words)
]


@pytest.mark.parametrize("command", RUNS)
def test_the_cheap_commands_run(
    command: Command, world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(world)
    monkeypatch.setattr("asr.shipped.find_starter", lambda: world / "runs/mine/model")  # a checkout may have none
    words = program(command)[1]
    may_fail = words[0] == "check" or {"evaluate", "--fail-above"} <= set(words)  # it found something; a bad model
    expected = (0, 1) if may_fail else (0,)
    assert main(words) in expected, capsys.readouterr().err


def test_the_readme_fits_on_two_screens() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_linked_file_exists(page: Path) -> None:
    linked = re.findall(r"\]\(([^)#:\s]+)(?:#[^)\s]*)?\)", re.sub(r"`[^`\n]+`", "", page.read_text(encoding="utf-8")))
    assert [link for link in linked if not (page.parent / link).exists()] == []


UNFINISHED = re.compile(
    r"\b(TO" r"DO|TB[DC]|FIX" r"ME|XXX+|WIP)\b"
    r"|(?i:to be (?:filled in|determined|announced|added later)|coming soon|lorem ipsum|fill (?:this|me) in)"
)  # fmt: skip


def test_nothing_unfinished_is_anywhere() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split("\n")
    paths = [ROOT / name for name in listed if name] or [
        path for path in ROOT.rglob("*.*") if ".venv" not in path.parts
    ]
    kinds = {".md", ".py", ".yaml", ".yml", ".toml", ".html", ".js", ".css", ".cff", ""}
    texts = {
        path: path.read_text(encoding="utf-8", errors="replace")
        for path in paths
        if path.suffix in kinds and path.is_file() and path != Path(__file__)
    }
    found = [
        f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for path, text in texts.items()
        for match in UNFINISHED.finditer(text)
    ]
    assert found == []


def test_what_unfinished_looks_like() -> None:
    finds = ["Results: to be filled in.", "TO" + "DO: more", "a table (TB" + "D)", "Coming soon"]
    assert all(UNFINISHED.search(text) for text in finds)
    assert not any(UNFINISHED.search(text) for text in ("todo = []", "self._todo", "the box to be cut"))


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs/hooks.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command_reference_has_every_verb_and_option(hooks: ModuleType) -> None:
    text = "\n".join(hooks.command_reference())
    assert [verb for verb in VERBS if f"## asr {verb}\n" not in text] == []
    for words, option in (
        ("transcribe", "--skip-existing"),
        ("lm build", "--prune-entropy"),
        ("probe family", "--set"),
    ):
        section = text.split(f"# asr {words}\n")[1].split("\n## asr")[0]
        assert f"| `{option}" in section
    assert "usage: asr train RECIPE.yaml" in text and "| `MODEL` |" in text


def test_the_configuration_reference_has_every_file(hooks: ModuleType) -> None:
    text = "\n".join(hooks.configuration_reference())
    for path in (ROOT / "conf").rglob("*.yaml"):
        assert path.read_text(encoding="utf-8").strip() in text


def test_the_site_lists_every_page() -> None:
    site = (ROOT / "mkdocs.yml").read_text()
    made = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert {page for page in made if f": {page}\n" not in site and not page.startswith("lstm/")} == set()
