"""Hydra composes a recipe with the config groups in conf/: overrides, ``-m`` sweeps and ``--cfg job`` as in Hydra.

In: a recipe file and the arguments after it. Out: the task called once per job with its composed config. Hydra's own
logging, output folders and tracebacks are switched off; its messages become ConfigErrors.
"""

import contextlib
import math
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import run_job
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import InterpolationToMissingValueError, OmegaConfBaseException

from asr.config.recipes import conf_dir, with_epochs_as_given
from asr.errors import ConfigError, TrainingError, UsageError
from asr.schema import nearest

_ALONE = ("-m", "--multirun", "--resolve")
_EXAMPLES = {"--cfg": "--cfg job", "-c": "-c job", "--info": "--info defaults"}
_WITH_VALUE = tuple(_EXAMPLES)
FOLDERS = ("run_dir", "data.dir", "data.cache_dir", "corpus", "untranscribed", "previous", "training.init_from")
_REFUSED = {  # by a part of a ValueError that Hydra raises
    "set_int_max_str_digits": "a number has more digits than can be read (4,300)",
    "Config group override must be": "a group of keys takes the name of one of its files, e.g. model=lstm, never null",
    "Only one of --run, --multirun": "-m (a sweep), --cfg and --info are each given alone",
}
QUIET = (
    "hydra.output_subdir=null",
    "hydra.run.dir=.",
    "hydra.sweep.dir=${run_dir}",
    "hydra.sweep.subdir=.",
    "hydra.job.chdir=false",
    "hydra/job_logging=none",
    "hydra/hydra_logging=none",
)


def run_composed(recipe: Path, words: list[str], task: Callable[[DictConfig], Any]) -> list[Any]:
    """Call ``task(config)`` for the job, or for each job of a sweep, and return what it returned.

    With ``--cfg job`` the configuration is printed, then checked, and ``task`` is not called.
    Where ``training.epochs`` is given, the recipe's ``training.least_steps`` does not change it.
    In a sweep each job's ``run_dir`` is a folder of its own below the given one, named by its overrides.
    What the task returns is the job's result for a sweeper that optimises (hydra/sweeper=optuna). A launcher may run
    jobs in other processes (hydra/launcher=submitit_local); the list is then empty.
    Raises ConfigError for what Hydra refuses, TrainingError for a job that a launcher cannot start or that was killed,
    and whatever the task raises, in another process, too.
    """
    flags, overrides = _sorted(words)
    overrides = with_epochs_as_given([_plain_path(word) for word in overrides])
    results: list[Any] = []
    failures: list[BaseException] = []
    process = os.getpid()

    def job(config: DictConfig) -> Any:
        if failures:
            return math.nan
        try:
            results.append(task(_own_folder(config, overrides)))
        except (Exception, KeyboardInterrupt) as error:
            if os.getpid() != process:
                raise  # a launcher runs this job in another process, and brings its error here
            failures.append(error)  # Hydra would print a traceback
            return math.nan  # not None, which sweepers that look at results refuse first
        return results[-1]

    job.__module__ = "asr"  # by which Hydra names the job, as Slurm shows it
    if recipe.suffix != ".yaml":
        raise UsageError(f"{recipe}: a recipe is a file that ends in .yaml")
    sweep = {"-m", "--multirun"} & set(flags)
    if sweep and "hydra/launcher=submitit_slurm" in overrides and shutil.which("srun") is None:
        raise UsageError(
            "hydra/launcher=submitit_slurm: no Slurm on this machine (no program srun); give the command where jobs are"
            " submitted, or choose hydra/launcher=submitit_local"
        )
    paths, overrides = _search_path(recipe, overrides)
    ours = [f"hydra.searchpath=[{','.join(map(_quoted, paths))}]", *QUIET]
    try:
        _call(job, recipe, flags, [*ours, *overrides])
        if "job" in flags and not sweep:  # Hydra has printed the configuration
            task = _check
            _call(job, recipe, [], [*ours, *overrides])
    except Exception as error:
        if not failures and type(error).__module__.startswith("submitit."):
            raise TrainingError(f"a job of the sweep: {' '.join(str(error).split())}") from error
        if not failures:
            raise
    if failures:
        raise failures[0]
    return results


def _check(config: DictConfig) -> None:
    """Raise ConfigError for what the dataclasses refuse; a run_dir that is not given is no error here."""
    sys.stdout.flush()
    from asr.config.typed import typed_config  # imports torch, once what was asked for is printed

    if OmegaConf.is_missing(config, "run_dir"):
        with open_dict(config):
            config.run_dir = "."
    typed_config(config)


def _search_path(recipe: Path, overrides: list[str]) -> tuple[list[str], list[str]]:
    """Where Hydra looks for groups after the recipe's own folder: those that the recipe (hydra.searchpath) or the words
    name, then conf/; and the words without theirs.
    """
    paths: list[str] = []
    # What is wrong with the recipe Hydra says.
    with contextlib.suppress(OSError, ValueError, yaml.YAMLError, RecursionError):
        own = yaml.safe_load(recipe.read_text(encoding="utf-8"))
        group = own.get("hydra") if isinstance(own, dict) else None
        paths += (group.get("searchpath") if isinstance(group, dict) else None) or []
    others = []
    for word in overrides:
        key, _, value = word.partition("=")
        if key.lstrip("+") == "hydra.searchpath":
            found = yaml.safe_load(value)
            paths += found if isinstance(found, list) else [found]
        else:
            others.append(word)
    return [*map(str, paths), f"file://{conf_dir()}"], others


def _sorted(words: list[str]) -> tuple[list[str], list[str]]:
    """Options such as ``-m`` and ``--cfg job``, and overrides: Hydra needs the latter in one row, users mix them."""
    flags: list[str] = []
    overrides: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        if before in _WITH_VALUE:
            flags.append(word)
        elif word.startswith("-"):
            flags.append(_known_option(word))
        else:
            overrides.append(word)
    if words and words[-1] in _WITH_VALUE:
        raise UsageError(f"{words[-1]} needs a value, e.g. {_EXAMPLES[words[-1]]}")
    return flags, overrides


def _known_option(word: str) -> str:
    """``word`` if it is one of Hydra's options that make sense here: others print, install or unpickle things."""
    name = word.partition("=")[0]
    if name not in _ALONE and name not in _WITH_VALUE:
        raise UsageError(
            f"unknown option {word!r}; there are -m (a sweep), --cfg job (print the configuration) and --info WHAT"
        )
    return word


def _swept_keys(overrides: list[str]) -> set[str]:
    """The keys that a sweep gives several values; job folders are named by these alone."""
    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
    except HydraException:
        return set()  # Hydra will say what is wrong
    return {one.input_line.partition("=")[0] for one in parsed if one.is_sweep_override() and one.input_line}


def _plain_path(word: str) -> str:
    """An override with ``~`` expanded and a folder quoted where it would break Hydra's grammar."""
    key, equals, value = word.partition("=")
    if key.startswith("prepare."):  # the recipe's own options, which only its prepare.py knows and checks
        return f"++{word}"
    if key in FOLDERS and value.startswith("~"):  # shells leave it alone after "key="
        value = os.path.expanduser(value)
        word = f"{key}={value}"
    ours = equals and key in FOLDERS and value and value[:1] not in ("'", '"') and "${" not in value
    as_it_is = value.lower() == "null"  # everything else is a name, also 2026, 1e3 and true
    return f"{key}={_quoted(value)}" if ours and not as_it_is else word


def _quoted(value: str) -> str:
    return "'" + re.sub(r"(\\*)'", r"\1\1\\'", value) + "'"


def _call(job: Callable[[DictConfig], Any], recipe: Path, flags: list[str], words: list[str]) -> None:
    application = hydra.main(version_base="1.3", config_path=str(recipe.parent.resolve()), config_name=recipe.stem)(job)
    saved_arguments, saved_environment = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv, os.environ["HYDRA_FULL_ERROR"] = [f"asr train {recipe}", *flags, *words], "1"
    try:
        if flags or not _done_alone(job, recipe, words):
            application()
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_explain(error, recipe)) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"config: {recipe}: not YAML: {' '.join(str(error).split())}") from None
    except ValueError as error:
        told = next((told for part, told in _REFUSED.items() if part in str(error)), None)
        if told is None:
            raise
        raise ConfigError(f"config: {told}") from None
    except AssertionError as error:  # Hydra's own way to refuse some sweeps
        raise ConfigError(f"config: {error}") from None
    finally:
        sys.argv = saved_arguments
        if saved_environment is None:
            os.environ.pop("HYDRA_FULL_ERROR", None)
        else:
            os.environ["HYDRA_FULL_ERROR"] = saved_environment


def _done_alone(job: Callable[[DictConfig], Any], recipe: Path, words: list[str]) -> bool:
    """Call ``job`` with the configuration, composed once: Hydra's own start composes it first to see if it is a sweep.

    False, and nothing was called, where recipe or words ask for a sweep or for callbacks, which that start does, or are
    wrong, which it says.
    """
    with hydra.initialize_config_dir(str(recipe.parent.resolve()), job_name="asr", version_base="1.3"):
        try:
            config = hydra.compose(recipe.stem, words, return_hydra_config=True)
        except Exception:
            return False
        if config.hydra.callbacks or config.hydra.mode == RunMode.MULTIRUN:
            return False
        config.hydra.mode = RunMode.RUN
        context = HydraContext(config_loader=GlobalHydra.instance().config_loader(), callbacks=Callbacks())
        run_job(job, config, "hydra.run.dir", None, context)
    return True


def _own_folder(config: DictConfig, overrides: list[str]) -> DictConfig:
    hydra_config = HydraConfig.get()
    if hydra_config.mode and hydra_config.mode.name == "MULTIRUN":
        swept = _swept_keys(overrides)
        if OmegaConf.is_missing(config, "run_dir"):
            raise ConfigError("config: run_dir is not set; give the folder for this sweep (run_dir=runs/NAME)")
        words = [word for word in hydra_config.overrides.task if word.partition("=")[0] in swept]
        name = re.sub(r"[^A-Za-z0-9.=,_+-]", "_", ",".join(words)) or str(hydra_config.job.num)
        name = name if len(name) <= 150 else f"{name[:140]}-{hydra_config.job.num}"
        with open_dict(config):
            config.run_dir = str(Path(config.run_dir) / name)
    return config


def _explain(error: Exception, recipe: Path) -> str:
    """Hydra's message in one line, with the nearest key where one was mistyped."""
    text = " ".join(str(error).split())
    unknown = re.search(r"Could not override '([^']+)'", text)
    if unknown:
        key = unknown.group(1)
        return f"config: there is no key '{key}' to override{_near_key(key, recipe)}"
    option = re.search(
        r"Could not find '([^']+)/([^'/]+)' Available options in '[^']+': (.*?) Config search path", text
    )
    if option:
        return f"config: there is no {option[2]!r} in the group '{option[1]}'{nearest(option[2], option[3].split())}"
    if "override_grammar" in text:
        reason = (
            text.split(" See https://hydra.cc")[0]
            .removeprefix("Error parsing override ")
            .replace(" at '<EOF>'", "")
            .replace("missing EQUAL", "has no '='")
        )
        return f"config: cannot be read as key=value: {reason} (values with =,()[]{{}} go into quotes: key=\"'a=b'\")"
    if isinstance(error, InterpolationToMissingValueError) and "run_dir" in text:
        return "config: run_dir is not set; give the folder for this sweep (run_dir=runs/NAME)"
    text = text.split(" Set the environment variable HYDRA_FULL_ERROR")[0]
    return f"config: {text} (recipe {recipe})"


def _near_key(key: str, recipe: Path) -> str:
    keys: list[str] = []
    owners: list[str] = []
    for path in sorted(conf_dir().rglob("*.yaml")):
        group = path.parent.relative_to(conf_dir()).as_posix()
        try:
            own: list[str] = []
            _collect("" if group == "." else group.replace("/", "."), yaml.safe_load(path.read_text()) or {}, own)
        except yaml.YAMLError:
            continue
        keys += own
        owners += [f"{group}={path.stem}"] * (key in own)
    if owners:
        return f", which belongs to {' and '.join(owners)}"
    return nearest(key, sorted(set(keys))) if keys else f"; see: asr train {recipe} --cfg job"


def _collect(prefix: str, values: dict[str, Any], keys: list[str]) -> None:
    for name, value in values.items():
        dotted = f"{prefix}.{name}" if prefix else str(name)
        if name != "defaults":
            keys.append(dotted)
        if isinstance(value, dict):
            _collect(dotted, value, keys)
