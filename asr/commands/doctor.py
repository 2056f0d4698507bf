"""``asr doctor``: what is installed, whether it works, and what to do where it does not.

In: nothing but the machine. Out: three tables on stdout; exit code 1 where something that every installation needs is
missing, does not fit, or fails.
"""

import argparse
import contextlib
import importlib.metadata
import os
import platform
import resource
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from asr import __version__
from asr.commands.parser import Parser
from asr.cores import usable_cores
from asr.errors import AsrError
from asr.provenance import commit, processor_flags, processor_name
from asr.shipped import bundled_folder, starter_directory
from asr.terminal import styled, table

PACKAGE = "asr-bilstm"
_NOT_FOR_USERS = ("dev", "docs")  # extras
_LEAST_FILES, _LEAST_DISK_GB, _LEAST_SHM_MB = 1024, 1.0, 64.0

Row = tuple[str, str, str]  # what, what was found, what to do ("" where all is well)


def build_parser() -> argparse.ArgumentParser:
    """The arguments of ``asr doctor``: none."""
    return Parser(
        prog="asr doctor",
        description="Print what is installed, whether it works on this machine, and what to do where it does not. "
        "Exit code 1 where training or transcription cannot work.",
    )


def run(arguments: list[str]) -> int:
    """Look at everything; returns 0 or 1."""
    build_parser().parse_args(arguments)
    wanted = list(_requirements())
    needed = [_package(one) for one in wanted if one.marker is None]
    print(f"asr {__version__} ({commit()}), Python {platform.python_version()}, {platform.platform()}\n")
    print(_shown("needed", needed))
    extras = [
        (extra, one) for extra in _extras() for one in wanted if one.marker and one.marker.evaluate({"extra": extra})
    ]
    print("\n" + _shown("optional", [_optional(extra, one) for extra, one in extras]))
    working = [_tried(name, check) for name, check in _CHECKS.items()]
    print("\n" + _shown("at work", working))
    faults = sum(bool(advice) for _, _, advice in [*needed, *working])
    print("\n" + (styled(f"{faults} to mend, see above", "red") if faults else styled("all well", "green")))
    return int(faults > 0)


def _shown(title: str, rows: Iterable[Row]) -> str:
    """A table; what is wrong is marked with ``!``."""
    lines = [("!" if advice else "", what, f"{found}{': ' if advice else ''}{advice}") for what, found, advice in rows]
    return f"{styled(title, 'bold')}\n{table(lines)}"


def _requirements() -> Iterable[Requirement]:
    """What the installed package asks for. Raises AsrError where it is not installed."""
    try:
        given = importlib.metadata.requires(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        raise AsrError(
            f"{PACKAGE} is not installed in this Python ({sys.executable}); install it with: pip install {PACKAGE}"
        ) from None
    for text in sorted(given, key=str.lower):
        try:
            yield Requirement(text)
        except InvalidRequirement as error:
            raise AsrError(f"{PACKAGE}: its metadata is damaged ({error}); install it again") from None


def _extras() -> list[str]:
    return [
        extra
        for extra in importlib.metadata.metadata(PACKAGE).get_all("Provides-Extra") or []
        if extra not in _NOT_FOR_USERS
    ]


def _package(wanted: Requirement) -> Row:
    """A package, its version, and what to do where that is not one of those asked for."""
    command = f"pip install '{wanted.name}{wanted.specifier}'"
    try:
        version = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        return wanted.name, "not installed", command
    fits = wanted.specifier.contains(version.partition("+")[0], prereleases=True)
    return wanted.name, version, "" if fits else f"needs {wanted.specifier}; {command}"


def _optional(extra: str, wanted: Requirement) -> Row:
    name, found, advice = _package(wanted)
    if found == "not installed":  # nothing to mend
        return f"{extra}: {name}", f"not installed (pip install '{PACKAGE}[{extra}]')", ""
    return f"{extra}: {name}", found, advice


def _tried(name: str, check: Callable[[], tuple[str, str]]) -> Row:
    """What the check found; whatever it raises is a fault."""
    try:
        return name, *check()
    except AsrError as error:
        return name, "fails", str(error)
    except Exception as error:  # a library that does not load raises anything
        return name, "fails", f"{type(error).__name__}: {error}; install it again"


def _processor() -> tuple[str, str]:
    flags = {"avx2", "avx512f", "amx_bf16"} & processor_flags()
    return f"{processor_name()}, {usable_cores()} cores usable{', ' if flags else ''}{', '.join(sorted(flags))}", ""


def _memory() -> tuple[str, str]:
    total, available = (os.sysconf(name) * os.sysconf("SC_PAGE_SIZE") for name in ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES"))
    with contextlib.suppress(OSError, StopIteration):  # Linux counts what caches would give back, too
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        available = 1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1])
    return f"{total / 1e9:.1f} GB, {available / 1e9:.1f} GB available", ""


def _disk() -> tuple[str, str]:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    few = free < _LEAST_DISK_GB
    return f"{free:.1f} GB free in {Path.cwd()}", "a training may not fit; free some space" if few else ""


def _shared_memory() -> tuple[str, str]:
    try:
        size = shutil.disk_usage("/dev/shm").total / 1e6
    except OSError:
        return "no /dev/shm", "set data.workers=0"
    advice = "too little for data workers; in a container add --shm-size=1g, or set data.workers=0"
    return f"{size:,.0f} MB in /dev/shm", advice if size < _LEAST_SHM_MB else ""


def _open_files() -> tuple[str, str]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return f"{soft:,} at a time", "raise it with: ulimit -n 4096" if 0 <= hard < _LEAST_FILES else ""


def _torch() -> tuple[str, str]:
    import torch

    if not torch.cuda.is_available():
        return "computes on the processor, no GPU", ""
    names = ", ".join(torch.cuda.get_device_name(one) for one in range(torch.cuda.device_count()))
    return f"computes on {names}", ""


def _torchaudio() -> tuple[str, str]:
    from asr.torchaudio_door import has_extension, require_torchaudio

    module = require_torchaudio("asr doctor")
    return "works" if has_extension(module) else "its Python part works; the compiled part, for GPUs, does not load", ""


def _starter() -> tuple[str, str]:
    """A sentence of the package is transcribed, which needs the features, the model, the decoder and libsndfile."""
    from asr.recognition import Recognizer

    directory = starter_directory()
    text = Recognizer.from_pretrained(directory).transcribe(bundled_folder("recipes") / "english" / "sentence.ogg").text
    return f"transcribes a sentence: {text}", "" if text else "no word in it; install again"


_CHECKS: dict[str, Callable[[], tuple[str, str]]] = {
    "processor": _processor,
    "memory": _memory,
    "disk": _disk,
    "shared memory": _shared_memory,
    "open files": _open_files,
    "torch": _torch,
    "torchaudio": _torchaudio,
    "model english": _starter,
}
