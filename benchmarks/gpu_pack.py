"""What a GPU machine without a network needs for gpu.py: wheels of the packages that it lacks, and the English data.

In: the folder that `asr prepare recipes/english` wrote. Out: FOLDER/wheels, and FOLDER/data with the manifests (as they
are, but for the paths) and the recordings in FOLDER/data/part-0, part-1, ... of at most --part-mb each, to be copied
one after the other where a transfer is limited. There, with torch, torchaudio, numpy, scipy, scikit-learn, numba,
matplotlib, tensorboard, safetensors and pyyaml:

    python benchmarks/gpu_pack.py build/gpu --data data/english
    pip install --no-index --no-deps --target build/site build/gpu/wheels/*.whl && export PYTHONPATH=build/site
    python benchmarks/gpu.py --data build/gpu/data --bring results
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.data.manifest import read_manifest, write_manifest  # noqa: E402

PACKAGES = (
    "audioread", "cffi", "decorator", "hydra-core", "jiwer", "lazy-loader", "librosa", "msgpack", "omegaconf",
    "platformdirs", "pooch", "praatio", "pycparser", "pysubs2", "rapidfuzz", "soundfile", "soxr",
)  # fmt: skip
FROM_SOURCE = ("antlr4-python3-runtime",)  # pure Python without a wheel of its own
GLIBC = ("2_28", "2_27", "2_24", "2_17", "2_12", "2_5")


def pinned(names: Sequence[str]) -> list[str]:
    """``name==version`` as constraints.txt has it."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    versions = {_plain(line.partition("==")[0]): line.strip() for line in lines if "==" in line}
    return [versions[_plain(name)] for name in names]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pack_wheels(folder: Path, python: str) -> list[Path]:
    """Wheels for that Python on x86-64 Linux, whatever runs here."""
    platforms = [f"--platform=manylinux_{version}_x86_64" for version in GLIBC]
    platforms += ["--platform=manylinux2014_x86_64", "--platform=manylinux1_x86_64"]
    kind = ["--only-binary=:all:", f"--python-version={python}", "--implementation=cp", *platforms]
    _pip("download", "--no-deps", *kind, "-d", str(folder), *pinned(PACKAGES))
    _pip("wheel", "--no-deps", "-w", str(folder), *pinned(FROM_SOURCE))
    return sorted(folder.glob("*.whl"))


def _pip(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", *words], check=True)


def pack_data(data: Path, folder: Path, part_bytes: int) -> list[int]:
    """Copy every manifest of ``data`` and what it names into ``folder``; the bytes of each part."""
    sizes: list[int] = [0]
    places: dict[str, Path] = {}
    for manifest in sorted(data.glob("*.jsonl"), key=lambda path: path.stem != "train"):
        utterances = read_manifest(manifest)
        for one in utterances:
            if one.audio not in places:
                size = Path(one.audio).stat().st_size
                if sizes[-1] and sizes[-1] + size > part_bytes:
                    sizes.append(0)
                sizes[-1] += size
                place = folder / f"part-{len(sizes) - 1}" / f"{len(places):05d}{Path(one.audio).suffix}"
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(one.audio, place)
                places[one.audio] = place
        write_manifest(folder / manifest.name, [replace(one, audio=str(places[one.audio])) for one in utterances])
    return sizes


def main() -> int:
    """Pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to")
    parser.add_argument("--data", type=Path, help="folder of manifests (without it: wheels only)")
    parser.add_argument("--python", default="3.12", help="version there (default: 3.12)")
    parser.add_argument("--part-mb", type=float, default=50.0, help="largest part of the data (default: 50)")
    options = parser.parse_args()
    wheels = pack_wheels(options.folder / "wheels", options.python)
    print(f"{len(wheels)} wheels, {sum(path.stat().st_size for path in wheels) / 1e6:.1f} MB")
    if options.data:
        sizes = pack_data(options.data, options.folder / "data", int(options.part_mb * 1e6))
        print(f"data: {', '.join(f'part-{number} {size / 1e6:.1f} MB' for number, size in enumerate(sizes))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
