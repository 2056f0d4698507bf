"""DESIGN's table as a test: imports go one way only, and some things are allowed in few rooms only."""

import ast
import functools
import graphlib
import itertools
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "asr"

# From the ground upwards: a room imports from its own and from earlier lines, never from later ones.
LAYERS: list[set[str]] = [
    {"errors"},
    {
        "files",
        "figures",
        "compiling",
        "terminal",
        "schema",
        "seeds",
        "lengths",
        "torchaudio_door",
        "provenance",
        "cores",
        "devices",
        "subsampling",
    },
    {"shipped"},
    {"audio"},
    {"text"},
    {"data"},
    {"features"},
    {"models"},
    {"ctc"},
    {"lm"},
    {"decoding"},
    {"scoring"},
    {"stored"},
    {"pretrained"},
    {"onnx"},
    {"recognition"},
    {"transcription"},
    {"training"},
    {"config"},
    {"pipeline"},
    {"inspection"},
    {"pages"},
    {"probes"},
    {"server"},
    {"commands"},
    {"cli", "api"},
    {"", "__main__"},  # asr/__init__.py and python -m asr
]
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}

# What a room must not know of although the order above would let it; directly or through others, for torch.
KNOWS_NOTHING_OF: dict[str, set[str]] = {
    "audio": {"text"},
    "text": {"audio"},
    "features": {"data"},
    "models": {"data", "files"},
    "ctc": {"models"},
    "lm": {"audio", "features", "models", "ctc"},
    "decoding": {"audio"},
    "scoring": {"models"},
    "inspection": {"data", "files", "lm", "scoring", "training"},
    "recognition": {"training"},
    "transcription": {"training"},
    "pages": {"audio", "data", "features", "models", "pretrained", "recognition", "inspection", "training"},
    "probes": {"pages", "inspection"},
}
WITHOUT_TORCH = {"audio", "text", "lm", "scoring", "pages"}
# These make what a page shows from recordings and models; every other module of asr/pages only draws.
PAGE_SOURCES = {f"asr.pages.{name}" for name in ("clips", "inspection_input", "report_input", "suspects")}
MAY_IMPORT_HYDRA = {"config", "commands", "cli"}
MAY_PRINT = {"commands", "cli", "terminal"}

MODULES = {
    ".".join(("asr", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if not {"_conf", "_recipes", "_pretrained"} & set(path.relative_to(PACKAGE).parts)
}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imports(module: str, modules: Mapping[str, Path] = MODULES) -> Sequence[str]:
    """Every module that ``module`` names in an import: late ones and those under TYPE_CHECKING count too.

    So does what is imported by name at run time, ``importlib.import_module("name")``. ``from package import module``
    names the package as well, as it runs its ``__init__``; only ``asr`` itself, whose ``__init__`` imports nothing, is
    left out.
    """
    return _own_imports(module) if modules is MODULES else tuple(_imports(module, modules))


@functools.cache  # many tests ask, and a second goes by in reading all files
def _own_imports(module: str) -> tuple[str, ...]:
    return tuple(_imports(module, MODULES))


def _imports(module: str, modules: Mapping[str, Path]) -> Iterator[str]:
    path = modules[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join(filter(None, [*parents[: len(parents) - node.level + 1], base]))
            for alias in node.names:
                full = f"{base}.{alias.name}"
                if full == "asr.__version__":
                    continue
                if full in modules:
                    yield full
                if full not in modules or base != "asr":
                    yield base
        elif isinstance(node, ast.Call) and _called(node.func) in ("import_module", "__import__"):
            yield from _texts([*node.args, *(keyword.value for keyword in node.keywords)])


def _called(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _texts(arguments: list[ast.expr]) -> Iterator[str]:
    """The modules that arguments name, where they say so as text."""
    yield from (one.value for one in arguments if isinstance(one, ast.Constant) and isinstance(one.value, str))


def packages_run(module: str, name: str) -> list[str]:
    """The packages whose ``__init__`` runs when ``module`` imports ``name``, less those that contain ``module``."""
    parts = name.split(".")
    packages = (".".join(parts[:count]) for count in range(2, len(parts)))
    return [package for package in packages if not f"{module}.".startswith(f"{package}.")]


def import_graph(modules: Mapping[str, Path]) -> dict[str, set[str]]:
    """For each module of the package, those whose code runs, or would, when it is imported."""
    graph: dict[str, set[str]] = {}
    for module in modules:
        named = {name for name in imports(module, modules) if name in modules}
        run = {package for name in named for package in packages_run(module, name) if package in modules}
        graph[module] = (named | run) - {module}
    return graph


@functools.cache  # when a test asks, not in every process that collects
def whole_graph() -> dict[str, set[str]]:
    return import_graph(MODULES)


def modules_in(rooms: set[str]) -> list[str]:
    return [module for module in MODULES if room(module) in rooms and module not in PAGE_SOURCES]


def test_every_room_stands_in_the_table() -> None:
    unknown = {room(module) for module in MODULES} - RANK.keys()
    assert not unknown, f"give {sorted(unknown)} a place in LAYERS"


def test_imports_never_go_to_a_later_room() -> None:
    upward = [
        f"{module} imports {name}"
        for module, names in whole_graph().items()
        for name in sorted(names)
        if room(module) != "" and room(name) != room(module) and RANK[room(name)] >= RANK[room(module)]
        if not {room(module), room(name)} <= LAYERS[1]
    ]
    assert not upward


def test_imports_never_run_in_a_circle() -> None:
    # asr/__init__ imports only when called, and everything is inside it
    assert not circle({module: names - {"asr"} for module, names in whole_graph().items() if module != "asr"})


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """The modules of a circle, if there is one."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize(
    ("init", "one", "other"),
    [
        ("", "from asr.room import other", "from asr.room import one"),
        ("", "if TYPE_CHECKING:\n    from asr.room.other import Thing", "def f():\n    import asr.room.one"),
        ("from asr.room.one import Thing", "from asr.room import other", ""),  # through the package's __init__
        ("from asr.room.one import Thing", "import asr.room.other", "from asr.room import Thing"),
        ("", "import importlib\nimportlib.import_module('asr.room.other')", "from .one import Thing"),
    ],
)
def test_the_test_of_circles_finds(init: str, one: str, other: str, tmp_path: Path) -> None:
    texts = {"asr.room": init, "asr.room.one": one, "asr.room.other": other}
    assert circle(import_graph(_written(texts, tmp_path)))


def test_a_package_whose_init_takes_names_from_its_modules_is_no_circle(tmp_path: Path) -> None:
    texts = {
        "asr.room": "from asr.room.one import Thing",
        "asr.room.one": "from asr.room.other import Part",
        "asr.room.other": "",
        "asr.later": "from asr.room.other import Part",
    }
    graph = import_graph(_written(texts, tmp_path))
    assert not circle(graph)
    assert graph["asr.later"] == {"asr.room", "asr.room.other"}  # the package's __init__ runs too


def _written(texts: dict[str, str], folder: Path) -> dict[str, Path]:
    """Modules with these texts; one that others are inside of is a package's ``__init__``."""
    paths: dict[str, Path] = {}
    for module, text in texts.items():
        is_package = any(other.startswith(f"{module}.") for other in texts)
        paths[module] = folder / module / "__init__.py" if is_package else folder / f"{module}.py"
        paths[module].parent.mkdir(exist_ok=True)
        paths[module].write_text(text + "\n", encoding="utf-8")
    return paths


def test_rooms_know_nothing_of_what_the_design_hides_from_them() -> None:
    found = [
        f"{module} imports {name}"
        for here, hidden in KNOWS_NOTHING_OF.items()
        for module in modules_in({here})
        for name in sorted(whole_graph()[module])
        if room(name) in hidden
    ]
    assert not found


def test_a_command_knows_no_other_command() -> None:
    verbs = _verbs()
    found = [
        f"{module} imports {name}"
        for module, names in whole_graph().items()
        for name in names & verbs
        if room(module) == "commands" and name != module
    ]
    assert not found


def _verbs() -> set[str]:
    from asr.cli import VERBS

    return {f"asr.commands.{verb.replace('-', '_')}" for verb in VERBS}


@pytest.mark.parametrize("here", sorted(WITHOUT_TORCH))
def test_torch_is_never_reached_from(here: str) -> None:
    waiting, seen = modules_in({here}), set[str]()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        names = set(imports(module))
        assert not any(name.split(".")[0] in ("torch", "torchaudio") for name in names), f"{module} imports torch"
        waiting.extend(names & MODULES.keys() - {"asr"})


@pytest.mark.parametrize("library", ["hydra", "omegaconf"])
def test_hydra_stays_in_config_and_commands(library: str) -> None:
    assert not [module for module in importers_of(library, MODULES) if room(module) not in MAY_IMPORT_HYDRA]


def test_torchaudio_comes_in_through_its_door_only() -> None:
    assert importers_of("torchaudio", MODULES) == ["asr.torchaudio_door"]


def importers_of(library: str, modules: Mapping[str, Path]) -> list[str]:
    return [module for module in modules if any(name.split(".")[0] == library for name in imports(module, modules))]


@pytest.mark.parametrize(
    "text",
    [
        "import torchaudio",
        "from torchaudio.functional import forced_align",
        "def f():\n    import torchaudio.compliance.kaldi as kaldi",
        "import importlib\nimportlib.import_module('torchaudio.functional')",
        "from importlib import import_module\nimport_module(name='torchaudio')",
        "__import__('torchaudio')",
    ],
)
def test_the_test_of_torchaudio_finds(text: str, tmp_path: Path) -> None:
    assert importers_of("torchaudio", _written({"asr.room": text}, tmp_path)) == ["asr.room"]


def test_ruff_sees_every_module() -> None:
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent)) or shutil.which("ruff")
    if ruff is None:
        pytest.skip("ruff is not installed")
    shown = subprocess.run(
        [ruff, "check", "--show-files", "--no-cache"], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    )
    ours = {str(path) for folder in (PACKAGE, Path(__file__).parent) for path in folder.rglob("*.py")}
    assert ours <= set(shown.stdout.split("\n"))


def test_print_is_for_commands() -> None:
    found = [
        f"{path.relative_to(PACKAGE.parent)}:{node.lineno}"
        for module, path in MODULES.items()
        if room(module) not in MAY_PRINT
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not found


def test_no_module_imports_the_package_itself() -> None:
    found = [m for m in MODULES if m != "asr" and "asr" in set(imports(m))]
    assert not found, "import the module that defines the name instead"


def test_importing_the_package_imports_nothing_else_of_it() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    top = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = itertools.chain.from_iterable(
        [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        for node in top
    )
    assert set(names) == {"typing"}


def test_every_library_that_is_imported_is_declared() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    named = ("sentencepiece", "meeteval", "microphone", "onnx", "ray", "server", "shards")
    requirements = [*project["dependencies"], *(line for name in named for line in extras[name])]
    declared = {re.split(r"[<>=!~ \[]", line)[0].replace("-", "_") for line in requirements}
    distribution = {"hydra": "hydra_core", "yaml": "pyyaml"}
    imported = {name.split(".")[0] for module in MODULES for name in imports(module)}
    third_party = imported - set(sys.stdlib_module_names) - {"asr", "av"}  # PyAV is the optional door for m4a
    assert {distribution.get(name, name) for name in third_party} <= declared
