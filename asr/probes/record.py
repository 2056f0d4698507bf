"""What an experiment leaves: its figures as JSON, with everything that one needs to repeat or to doubt them.

In: rows, the seeds and settings they came from, the command. Out: ``NAME.json``. Also the interval of a mean over
seeds, which every experiment reports.
"""

import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from asr.files import write_text
from asr.pretrained import library_versions
from asr.training.run import processor_name

LEVEL = 0.95
_NUMBERS = re.compile(r"\[\n([^\[\]{}\"]*)\n *\]")  # a list of numbers alone: it goes on one line


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with the 95 % interval of Student's t; None for the ends where one value alone says nothing of spread."""

    mean: float
    low: float | None
    high: float | None
    count: int


def mean_interval(values: Sequence[float], level: float = LEVEL) -> Mean:
    """The mean of ``values`` (seeds, utterances) and its interval."""
    from scipy.special import stdtrit  # late: scipy takes a while to import

    count = len(values)
    mean = math.fsum(values) / count
    if count < 2:
        return Mean(mean, None, None, count)
    deviation = math.sqrt(_variance(values, mean))
    half = float(stdtrit(count - 1, (1 + level) / 2)) * deviation / math.sqrt(count)
    return Mean(mean, mean - half, mean + half, count)


def _variance(values: Sequence[float], mean: float) -> float:
    """Exactly 0 where all are the same: their mean, rounded, may differ from each of them."""
    if min(values) == max(values):
        return 0.0
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


@dataclass(frozen=True, slots=True)
class MeanDifference:
    """A difference of two means, its 95 % interval and two-sided p-value; None where the values show no spread."""

    difference: float
    low: float | None = None
    high: float | None = None
    p_value: float | None = None


def welch(first: Sequence[float], second: Sequence[float], level: float = LEVEL) -> MeanDifference:
    """The mean of ``first`` less that of ``second``, by Welch's t (Biometrika 34, 1947)."""
    from scipy.special import stdtr, stdtrit

    means = [math.fsum(values) / len(values) for values in (first, second)]
    difference = means[0] - means[1]
    counts = len(first), len(second)
    if min(counts) < 2:
        return MeanDifference(difference)
    parts = [_variance(values, mean) / len(values) for values, mean in zip((first, second), means, strict=True)]
    variance = math.fsum(parts)
    if variance == 0:
        return MeanDifference(difference)
    freedom = variance**2 / math.fsum(part**2 / (count - 1) for part, count in zip(parts, counts, strict=True))
    half = float(stdtrit(freedom, (1 + level) / 2)) * math.sqrt(variance)
    p_value = 2 * float(stdtr(freedom, -abs(difference) / math.sqrt(variance)))
    return MeanDifference(difference, difference - half, difference + half, p_value)


def geometric_interval(values: Sequence[float]) -> Mean:
    """The same of sizes that spread over orders of magnitude: taken on their logarithms. All must be above 0."""
    found = mean_interval([math.log(value) for value in values])
    low, high = (None if end is None else math.exp(end) for end in (found.low, found.high))
    return Mean(math.exp(found.mean), low, high, found.count)


class Record:
    """The circumstances of an experiment, from its beginning on."""

    def __init__(self, experiment: str, command: str, commit: str, settings: Mapping[str, Any], device: str) -> None:
        self._began_s = time.monotonic()
        name = torch.cuda.get_device_name() if device.startswith("cuda") else processor_name()
        self.facts: dict[str, Any] = {
            "experiment": experiment,
            "command": command,
            "commit": commit,
            "time": datetime.now().astimezone().isoformat(timespec="seconds"),
            "hardware": f"{name}, {torch.get_num_threads()} threads",
            "versions": library_versions(),
            "settings": dict(settings),
        }

    def write(self, path: Path, results: Mapping[str, Any]) -> None:
        """The circumstances and then ``results``, as one JSON file."""
        seconds = round(time.monotonic() - self._began_s, 1)
        text = json.dumps({**self.facts, "seconds": seconds, **_rounded(results)}, indent=2, ensure_ascii=False)
        write_text(path, _NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text) + "\n")


def _rounded(value: Any) -> Any:
    """``value`` with every float in it to six significant digits: more is noise, and fills a page with it."""
    if isinstance(value, Mapping):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
