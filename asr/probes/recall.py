"""Recall: which networks remember a symbol over N frames of distraction, all trained for equally long.

In: members, distances N, seeds, a budget of steps. Out: for each member, N and seed the accuracy on unseen sequences,
with the loss of each training. The task: a sequence begins with one of ``SYMBOLS`` symbols, then come N random frames
of other symbols, then a frame that asks; the answer is the first symbol. Guessing gives 1 in ``SYMBOLS``. After
Hochreiter & Schmidhuber 1997, section 5. All members have about equally many weights, and the same batches, optimiser,
learning rate and steps. Trainings are stored in a file and not repeated; it also keeps those of other budgets.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor, nn

from asr.errors import DataError
from asr.figures import new_figure, save_figure
from asr.files import write_json
from asr.probes.members import LABELS, MEMBERS, count_weights, fit_hidden_size, make_encoder
from asr.probes.record import mean_interval
from asr.seeds import derive_seed

SYMBOLS = 8
INPUTS = 2 * SYMBOLS + 1  # symbols to remember, symbols of distraction, the question
TEST_SEQUENCES = 512
MOST_SHOWN = 6  # seeds shown in a cell of the plot; of more, the range
Message = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class RecallOptions:
    """``parameters``: weights of each encoder, about. ``clip_norm`` as in training (asr/training)."""

    members: Sequence[str] = tuple(MEMBERS)
    distances: Sequence[int] = (10, 30, 100)
    seeds: Sequence[int] = (1, 2, 3, 4, 5)
    steps: int = 1000
    batch: int = 32
    parameters: int = 5_000
    learning_rate: float = 3e-3
    clip_norm: float = 1.0


class Training(TypedDict):
    """One training: its accuracy on unseen sequences, the mean loss of its last 20 steps, the commit that ran it."""

    accuracy: float
    loss: float
    commit: str


class RecallRow(TypedDict):
    """The trainings of one member at one distance: the mean accuracy with its interval, and each seed's."""

    member: str
    label: str
    distance: int
    accuracy: float
    low: float | None
    high: float | None
    accuracies: list[float]
    losses: list[float]
    commits: list[str]
    parameters: int


class RecallResults(TypedDict):
    """``chance``: the accuracy of guessing."""

    seeds: list[int]
    chance: float
    rows: list[RecallRow]


class RecallModel(nn.Module):
    """An encoder, and a linear layer on its last frame that gives the answer."""

    def __init__(self, name: str, parameters: int) -> None:
        super().__init__()
        self.encoder = make_encoder(name, INPUTS, fit_hidden_size(name, INPUTS, parameters))
        size: int = self.encoder.output_size  # type: ignore[assignment]
        self.head = nn.Linear(size, SYMBOLS)

    def forward(self, inputs: Tensor) -> Tensor:
        """``(batch, frames, INPUTS)`` -> logits ``(batch, SYMBOLS)``."""
        hidden = self.encoder(inputs, torch.full((len(inputs),), inputs.size(1)))
        logits: Tensor = self.head(hidden[:, -1])
        return logits


def make_sequences(count: int, distance: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """One-hot frames ``(count, distance + 2, INPUTS)`` and the symbols to remember ``(count,)``."""
    symbols = torch.randint(SYMBOLS, (count, 1), generator=generator)
    distraction = SYMBOLS + torch.randint(SYMBOLS, (count, distance), generator=generator)
    question = torch.full((count, 1), INPUTS - 1)
    frames = torch.cat((symbols, distraction, question), dim=1)
    return nn.functional.one_hot(frames, INPUTS).float(), symbols.squeeze(1)


def train_recall(name: str, distance: int, seed: int, options: RecallOptions, commit: str = "") -> Training:
    """One training from its random start, and its accuracy on unseen sequences."""
    torch.manual_seed(derive_seed(seed, "recall", name, distance))
    generator = torch.Generator().manual_seed(derive_seed(seed, "recall data", distance))  # the same for all members
    model = RecallModel(name, options.parameters)
    optimizer = torch.optim.Adam(model.parameters(), lr=options.learning_rate)
    losses = []
    for _ in range(options.steps):
        inputs, symbols = make_sequences(options.batch, distance, generator)
        loss = nn.functional.cross_entropy(model(inputs), symbols)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), options.clip_norm)
        optimizer.step()
        losses.append(loss.item())
    last = losses[-20:]
    return {"accuracy": accuracy(model.eval(), distance, seed), "loss": sum(last) / len(last), "commit": commit}


@torch.inference_mode()
def accuracy(model: nn.Module, distance: int, seed: int) -> float:
    """The share of right answers on TEST_SEQUENCES sequences of their own seed."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "recall test", distance))
    inputs, symbols = make_sequences(TEST_SEQUENCES, distance, generator)
    return float((model(inputs).argmax(dim=1) == symbols).float().mean())


def measure_recall(
    options: RecallOptions, store: Path, on_step: Message = lambda text: None, commit: str = ""
) -> RecallResults:
    """A row for each member and distance; each training is saved in ``store``, with ``commit``, as soon as it ends.

    Raises DataError if the store is damaged.
    """
    done, budget = _read(store), _budget(options)
    rows = []
    for distance in options.distances:
        for name in options.members:
            runs = []
            for seed in options.seeds:
                key = f"{name} {distance} {seed} {budget} {json.dumps(MEMBERS[name], sort_keys=True)}"
                if key not in done:
                    done[key] = train_recall(name, distance, seed, options, commit)
                    write_json(store, done)
                on_step(f"{LABELS[name]}, {distance} frames: {done[key]['accuracy']:.0%}")
                runs.append(done[key])
            rows.append(_row(name, distance, runs, options))
    return {"seeds": list(options.seeds), "chance": 1 / SYMBOLS, "rows": rows}


def _row(name: str, distance: int, runs: list[Training], options: RecallOptions) -> RecallRow:
    accuracies = [run["accuracy"] for run in runs]
    found = mean_interval(accuracies)
    return {
        "member": name,
        "label": LABELS[name],
        "distance": distance,
        "accuracy": found.mean,
        "low": None if found.low is None else max(0.0, found.low),
        "high": None if found.high is None else min(1.0, found.high),
        "accuracies": accuracies,
        "losses": [run["loss"] for run in runs],
        "commits": sorted({run["commit"] for run in runs}),
        "parameters": count_weights(RecallModel(name, options.parameters).encoder),
    }


def _budget(options: RecallOptions) -> str:
    """What a training depends on besides its member, distance and seed."""
    keys = ("steps", "batch", "parameters", "learning_rate", "clip_norm")
    return " ".join(f"{key}={getattr(options, key)!r}" for key in keys)


def _read(store: Path) -> dict[str, Training]:
    """The trainings of earlier runs, of this budget and of others."""
    if not store.exists():
        return {}
    try:
        known: dict[str, Training] = json.loads(store.read_text(encoding="utf-8"))
        list(map(itemgetter("accuracy", "loss", "commit"), known.values()))
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise DataError(
            f"{store}: damaged, so its trainings cannot be reused. Move it away, or give another --out"
        ) from error
    return known


def draw_recall(found: RecallResults, path: Path) -> None:
    """A cell for each member and N, darker for more correct answers, with the mean and each seed."""
    rows = {(row["label"], row["distance"]): row for row in found["rows"]}
    labels = list(dict.fromkeys(label for label, _ in rows))
    distances = list(dict.fromkeys(distance for _, distance in rows))
    figure, (axes,) = new_figure(size=(2.6 + 1.9 * len(distances), 1.4 + 0.5 * len(labels)))
    means = [[rows[label, distance]["accuracy"] for distance in distances] for label in labels]
    axes.imshow(
        means, cmap="Blues", vmin=found["chance"], vmax=2.0, aspect="auto"
    )  # never so dark that text on it cannot be read
    for place, label in enumerate(labels):
        for column, distance in enumerate(distances):
            row = rows[label, distance]
            each = "  ".join(f"{100 * one:.0f}" for one in row["accuracies"])
            if len(row["accuracies"]) > MOST_SHOWN:
                each = f"{100 * min(row['accuracies']):.0f} to {100 * max(row['accuracies']):.0f}"
            axes.text(column, place - 0.16, f"{100 * row['accuracy']:.0f} %", ha="center", va="center", fontsize=11)
            axes.text(column, place + 0.24, each, ha="center", va="center", fontsize=7.5)
    axes.set_xticks(range(len(distances)), list(map(str, distances)))
    axes.set_yticks(range(len(labels)), labels)
    axes.set(
        xlabel=f"frames of distraction N; guessing: {100 * found['chance']:.1f} %",
        title=f"Correct answers: mean, and each of {len(found['seeds'])} seeds",
    )
    save_figure(figure, path)
