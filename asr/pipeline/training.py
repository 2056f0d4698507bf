"""Training by a composed configuration, and resuming a run: what `asr train` and the stage `train` of `asr run` do.

In: the configuration, or a run folder, and an observer. Out: a trained model in the run folder, with its config.yaml.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.config.typed import begun_with, changed_since_begun, save_config, typed_config, with_overrides
from asr.cores import rank_and_count
from asr.errors import UsageError
from asr.provenance import Invocation
from asr.schema import to_plain

if TYPE_CHECKING:
    from asr.config.typed import RunConfig
    from asr.training.records import Observer


def train_composed(composed: Mapping[str, Any], command: Sequence[str], observer: "Observer") -> float | None:
    """Check the composed config, write it into the run folder, and train. ``command``: the arguments after ``asr``.

    Returns the best dev figure by training.select_by (WER as a fraction), which a sweep can minimise.
    """
    from asr.training.start import train

    composed, config = _with_start(composed, command, observer)
    on_locked = lambda: _store_config(composed, config)  # noqa: E731
    progress = train(config.train, config.run_dir, observer, Invocation.of(command), on_locked)
    return progress.best(config.train.training.select_by)


def _with_start(
    composed: Mapping[str, Any], command: Sequence[str], observer: "Observer"
) -> tuple[Mapping[str, Any], "RunConfig"]:
    """The config with what the training starts from chosen and written into it; says what was chosen."""
    from asr.pipeline.start_from import choose_start

    config = typed_config(composed)
    given = {word.lstrip("+").partition("=")[0] for word in command if "=" in word}
    settings, said = choose_start(config.train, given, begun_with(config.run_dir))
    if said and rank_and_count()[0] == 0:
        observer.message(said)
    if settings is config.train:
        return composed, config
    init_from = {"init_from": settings.training.init_from}
    changed = {
        **composed,
        "training": {**composed.get("training", {}), **init_from},
        "model": to_plain(settings.model),
        "features": to_plain(settings.features),
    }
    return changed, replace(config, train=settings)


def resume(run_dir: Path, changes: Sequence[str], command: Sequence[str], observer: "Observer") -> None:
    """Resume the run in ``run_dir`` with the configuration it began with, and ``changes`` (key=value) of its end.

    Raises UsageError for a change that would make it another run.
    """
    from asr.training.start import train

    stored = run_dir / "config.yaml"
    composed = with_overrides(stored, changes)
    config = typed_config({**composed, "run_dir": str(run_dir)})
    on_locked = (lambda: save_config(composed, stored)) if changes else None
    train(config.train, run_dir, observer, Invocation.of(command), on_locked)


def _store_config(composed: Mapping[str, Any], config: "RunConfig") -> None:
    """Write the configuration into the locked run folder. Raises UsageError if a run with another one began there."""
    changed = changed_since_begun(config.run_dir, config.train)
    if changed:
        raise UsageError(
            f"{config.run_dir} holds a run with another configuration ({', '.join(changed[:10])}); resume it with"
            f" 'asr train {shlex.quote(str(config.run_dir))}', or choose another run_dir"
        )
    save_config(composed, config.run_dir / "config.yaml")
