"""docs/lstm.md links to existing files and commands, and the figures of their JSON files."""

import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.image import imread

from asr.commands.probe import EXPERIMENTS

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = (DOCS / "lstm.md").read_text(encoding="utf-8")


PROSE = " ".join(PAGE.split())  # sentences, wherever their lines end


def figures(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((DOCS / "lstm" / f"{name}.json").read_text(encoding="utf-8"))["rows"]
    return rows


def test_every_picture_and_file_that_the_page_links_is_there() -> None:
    linked = re.findall(r"\]\(([^)#:]+)\)", PAGE)
    assert len(linked) >= 5 and [link for link in linked if not (DOCS / link).exists()] == []


def test_pictures_are_as_wide_as_a_page() -> None:
    wider = [path.name for path in (DOCS / "lstm").glob("*.png") if imread(path).shape[1] > 1000]
    assert wider == [], "shrunk to the page's width their letters could not be read"


def test_every_experiment_is_on_the_page_and_none_that_is_not_there() -> None:
    assert set(re.findall(r"asr probe ([a-z]+)", PAGE)) == set(EXPERIMENTS)


def test_the_gates_table_is_what_was_measured() -> None:
    for row in figures("gates"):
        line = next(line for line in PAGE.splitlines() if line.startswith(f"| {row['label']}"))
        assert line.endswith(f"| {row['wer']:.2f} | [{row['low']:.2f}, {row['high']:.2f}] |")


def test_the_gradients_table_is_what_was_measured() -> None:
    for row in figures("gradients"):
        reach = row["reach_0.001"]
        shown = f"| {row['label']} | {reach['mean']:.1f} [{reach['low']:.1f}, {reach['high']:.1f}] |"
        assert shown in PAGE


def test_the_context_table_is_what_was_measured() -> None:
    for row in figures("context"):
        name = "whole recordings" if row["frames"] is None else f"{row['seconds']:.2f} s"
        each = ", ".join(f"{one:.2f}" for one in row["wers"])
        wer = f"{each} | {row['wer']:.2f} | [{row['low']:.2f}, {row['high']:.2f}]"
        assert f"| {name} | {wer} | {row['substitutions']} | {row['deletions']} | {row['insertions']} |" in PAGE


@pytest.mark.parametrize("row", figures("recall"), ids=lambda row: f"{row['member']} {row['distance']}")
def test_the_recall_table_is_what_was_measured(row: dict[str, Any]) -> None:
    line = next(line for line in PAGE.splitlines() if line.startswith(f"| {row['label']} |") and "%" in line)
    shown = line.split("|")[2:-1]
    seeds = ", ".join(f"{100 * one:.0f}" for one in row["accuracies"])
    assert shown[[10, 30, 100].index(int(row["distance"]))].strip() == f"{100 * row['accuracy']:.0f} % ({seeds})"


def test_figures_in_the_text_on_small_inputs_are_those_measured() -> None:
    rnn, gru, lstm = (row["reach_0.001"] for row in figures("gradients-small-inputs"))
    shown = [f"{one['mean']:.0f} [{one['low']:.0f}, {one['high']:.0f}]" for one in (rnn, gru)]
    mean, interval = shown[0].split(" ", 1)
    assert f"from {mean} frames {interval} in the RNN, {shown[1]} in the GRU" in PROSE
    assert lstm["low"] == lstm["high"] == figures("gradients-small-inputs")[2]["distance"][-1] == 200
    assert "from the farthest frame measured, 200, in the LSTM" in PROSE


def test_figures_in_the_text_on_gradients_in_speech_are_those_measured() -> None:
    def shown(row: dict[str, Any], frames: int) -> str:
        place = row["distance"].index(frames)
        assert row["seconds"][place] == frames * 0.02
        if row["size"][place] < 1e-290:  # no path in time leads there
            return "–"
        size, low, high = (f"{100 * row[key][place]:.2g}" for key in ("size", "low", "high"))
        return f"{size} % [{low}, {high}]"

    errors = {f"{row['member']}-{n}": wer for row in figures("family-fsdd") for n, wer in enumerate(row["wers"], 1)}
    plain = [row for row in figures("gradients-speech") if row["encoder"] == "rnn"]
    left = {row["label"]: row["size"][row["distance"].index(20)] for row in plain}
    assert sorted(left, key=lambda one: left[one]) == sorted(
        left, key=lambda one: -errors[one]
    )  # the shorter, the more
    for row in figures("gradients-speech"):
        assert f"| {row['label']} | {shown(row, 20)} | {shown(row, -20)} | {errors[row['label']]:.2f} |" in PAGE


def test_figures_in_the_text_on_errors_are_those_measured() -> None:
    pieces = {row["label"]: row for row in figures("context")}
    missed = [pieces[frames]["substitutions"] + pieces[frames]["deletions"] for frames in ("32", "64")]
    assert (
        f"In pieces of 0.32 s {missed[0]} words of 900 were" in PROSE and f"most of these words, {missed[1]}." in PROSE
    )
    assert sorted(round(one) for one in pieces["48"]["wers"]) == [9, 10, 33]
    gates = {row["label"]: row for row in figures("gates")}
    closed = gates["forget gate at 0"]
    errors = sum(closed[key] for key in ("substitutions", "deletions", "insertions"))
    assert f"({closed['deletions']} of {errors} errors are deletions)" in PROSE
    assert sorted(round(100 - one) for one in gates["output gate at 1"]["wers"]) == [0, 0, 72]


def test_the_trials_of_the_trap_are_those_that_were_made() -> None:
    trapped = [row["dev_wer"] > 80 for row in figures("trap") if row["member"] == "gru" and row["what"] != "flat start"]
    assert trapped == [True] * 4
    rows = [f"| {row['member']}: {row['what']} | {row['epochs']} | {row['dev_wer']:.1f} |" for row in figures("trap")]
    assert len(rows) == 17 and all(row in PAGE.splitlines() for row in rows)


@pytest.mark.parametrize("name", ["family-fsdd", "family-an4", "directions", "directions-an4"])
def test_the_tables_of_trainings_are_those_that_were_written(name: str) -> None:
    rows = [line for line in (DOCS / "lstm" / f"{name}.md").read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    assert len(rows) == 2 + len(figures(name)) and all(row in PAGE.splitlines() for row in rows)


def test_the_sizes_and_the_failures_of_recall_are_what_was_measured() -> None:
    rows = {(row["member"], row["distance"]): row for row in figures("recall")}
    sizes = sorted(row["parameters"] for row in rows.values())
    assert f"{sizes[0]:,} to {sizes[-1]:,} weights" in PROSE
    learned = {key: sum(one >= 0.99 for one in row["accuracies"]) for key, row in rows.items()}
    assert [learned[f"lstm-{bias}", 30] for bias in (0, 1, 2, 5)] == [0, 3, 5, 5]
    assert [learned[f"lstm-{bias}", 100] for bias in (0, 1, 2, 5)] == [0, 0, 3, 5]
    assert [learned[name, 100] for name in ("gru", "gru-2", "gru-5", "minlstm", "rnn")] == [0, 5, 5, 0, 3]
    assert learned["gru", 30] == learned["minlstm", 30] == 0 and learned["rnn", 30] == learned["transformer", 100] == 5
    for row in rows.values():  # "had its loss, too"
        at_guessing = [loss for right, loss in zip(row["accuracies"], row["losses"], strict=True) if right < 0.2]
        assert at_guessing == pytest.approx([math.log(8)] * len(at_guessing), abs=0.02)


def test_what_closed_forms_say_is_worked_out_right() -> None:
    """The gate at σ(bias): frames until a thousandth or a half is left; the minLSTM's at its share in both."""
    opened = {bias: 1 / (1 + math.exp(-bias)) for bias in (0, 1, 2, 5)}
    frames = [round(math.log(0.001) / math.log(opened[bias])) for bias in (0, 1, 2)]
    assert f"would be left after {frames[0]}, {frames[1]} and {frames[2]} frames" in PROSE
    half = [math.log(0.5) / math.log(opened[bias]) for bias in opened]
    assert "after {:.1f}, {:.1f}, {:.1f} and {:.0f} frames (bias 0, 1, 2 and 5)".format(*half) in PROSE
    assert f"{opened[1] / (opened[1] + 0.5):.2f} with bias 1 and below {1 / 1.5:.2f} with any" in PROSE
    reach = [f"{row['reach_0.001']['mean']:.0f}" for row in figures("gradients-small-inputs")]
    assert (
        "from {1} frames in the GRU, from {0} in the plain network and from all {2} in the LSTM".format(*reach) in PROSE
    )


def test_figures_in_the_text_on_time_are_those_measured() -> None:
    found = {(row["model"], row["mode"], row["batch"], row["length_s"]): row for row in figures("time")}
    names = list(dict.fromkeys(row["model"] for row in figures("time")))

    def steps(name: str, batch: int) -> list[float]:
        return [found[name, "forward_backward", batch, length]["seconds"] for length in (1, 16, 40)]

    def peak(name: str, length: int, batch: int = 1, mode: str = "forward_backward") -> float:
        return float(found[name, mode, batch, length]["peak_mb"])

    eight_for_one = {name: steps(name, 8)[1] / steps(name, 1)[1] for name in names}
    for name in names:
        one, eight = (" / ".join(f"{1000 * value:,.0f}" for value in steps(name, batch)) for batch in (1, 8))
        memory = f"{peak(name, 16):.0f} / {peak(name, 40):.0f}"
        assert f"| {name} | {one} | {eight} | {eight_for_one[name]:.1f} | {memory} |" in PAGE
    parallel = {"minlstm", "transformer", "conformer"}
    recurrent = [name for name in names if name not in parallel]
    assert all(2 <= round(eight_for_one[name]) <= 5 for name in recurrent)
    assert all(7 <= round(eight_for_one[name]) <= 8 for name in parallel)

    def ends(values: list[float]) -> str:
        return f"{min(values):.1f} to {max(values):.1f}"

    def batched(members: Iterable[str], length: int, mode: str = "forward_backward") -> str:
        seconds = [[found[name, mode, batch, length]["seconds"] for batch in (1, 8)] for name in members]
        return ends([eight / one for one, eight in seconds])

    assert f"ranges are {batched(recurrent, 4)} and {batched(parallel, 4)} at 4 s" in PROSE
    assert f"at 4 s, {batched(recurrent, 40)} and {batched(parallel, 40)} at 40 s" in PROSE
    assert f"in transcription of 16 s the recurrent networks' are {batched(recurrent, 16, 'forward')}." in PROSE
    grown = {name: [steps(name, batch)[2] / steps(name, batch)[1] for batch in (1, 8)] for name in names}
    fatter = {name: peak(name, 40) / peak(name, 16) for name in names}
    rest = [*recurrent, "minlstm"]
    assert f"step takes {grown['transformer'][0]:.1f} times as long for one" in PROSE
    assert f"its memory is {fatter['transformer']:.1f} times as large" in PROSE
    assert f"minLSTM's steps take {ends([grown[name][0] for name in rest])} times as long" in PROSE
    assert f"their memory is {ends([fatter[name] for name in rest])} times as large" in PROSE
    ratio, others = grown["transformer"][1], ends([grown[name][1] for name in rest])
    assert f"For eight it is {ratio:.1f} against {others}." in PROSE
    assert max(names, key=lambda name: peak(name, 40)) == "transformer"
    assert peak("transformer", 40) / peak("lstm", 40) == pytest.approx(2, abs=0.1)
    whole = ends([peak(name, 40, mode="forward") for name in names]).replace(" to ", " and ")
    assert f"all members need between {whole} MB at 40 s" in PROSE
    for name, said in (("lstm", "takes {} times"), ("gru", "(GRU {},"), ("rnn", "plain network {})")):
        stream, at_once = (found[name, mode, 1, 40]["seconds"] for mode in ("stream", "forward"))
        assert said.format(f"{stream / at_once:.1f}") in PROSE
    for name, said in (("gru", "the GRU 0.4 MB"), ("rnn", "the plain network 0.5"), ("lstm", "the LSTM 10.1")):
        peaks = {round(peak(name, length, mode="stream"), 1) for length in (1, 4, 16, 40)}
        assert peaks == {float(re.findall(r"[\d.]+", said)[0])} and said in PROSE
    for batch, first, second in ((1, "transformer", "lstm"), (8, "lstm", "transformer")):  # by all rounds, not medians
        quick, slow = (found[name, "forward_backward", batch, 16] for name in (first, second))
        assert quick["seconds_high"] < slow["seconds_low"]
    sizes = [row["parameters"] / 1e6 for row in figures("time")]
    assert f"({min(sizes):.1f} to {max(sizes):.1f} million weights)" in PROSE


GATED = ("ligru", "lnlstm", "gru", "bigru", "bilstm", "bilstmp", "minlstm", "lstm", "conformer")


def differences(name: str) -> dict[tuple[str, str], dict[str, Any]]:
    """By the names of the pair, the better one first."""
    found = json.loads((DOCS / "lstm" / f"{name}.json").read_text(encoding="utf-8"))["differences"]
    return {(row["first"], row["second"]) if row["points"] > 0 else (row["second"], row["first"]): row for row in found}


def test_figures_in_the_text_on_the_transformer_on_digits_are_those_measured() -> None:
    (row,) = figures("family-fsdd-transformer")
    short = {one["member"]: one for one in figures("family-fsdd")}
    first, second, third = (f"{wer:.2f}" for wer in row["wers"])
    assert f"it has {first}, {second} and {third} %, mean {row['wer']:.2f}" in PROSE
    assert f"transformer has {short['transformer']['wer']:.1f} % on this budget" in PROSE
    assert f"what those reach after 15 ({row['wer']:.1f} %)" in PROSE
    assert all(round(one / 60) == 9 for one in row["training_s"])
    gated = [wer for name in GATED for wer in short[name]["wers"]]
    assert max(gated) < min(short["transformer"]["wers"])  # "in every training more than any training"
    assert max(row["wers"]) < max(gated)  # "which the gated networks reach after 15"
    results = json.loads((DOCS.parent / "recipes" / "fsdd" / "results.json").read_text(encoding="utf-8"))
    own = [one for one in results if one["model"] == "bilstm" and one["test"] == "published split"]
    wers = [f"{one['wer']:.2f}" for one in sorted(own, key=lambda one: one["seed"])]
    assert "`bilstm` with its recipe's 40 epochs has {}, {} and {} %".format(*wers) in PROSE


def test_figures_in_the_text_on_pairs_on_digits_are_those_measured() -> None:
    found = differences("family-fsdd")
    differ = {pair for pair, row in found.items() if row["p_corrected"] < 0.05}
    assert len(found) == 66 and not any(one in GATED and other in GATED for one, other in differ)
    assert not any("rnn" in pair for pair in differ)  # "Welch's t finds no difference"
    wers = {row["member"]: row["wers"] for row in figures("family-fsdd")}
    for one in GATED:  # "differs significantly from no gated network, though each pair's own intervals exclude 0"
        row = found[one, "birnn"]
        sign = 1 if row["first"] == one else -1
        ends = [sign * end for unit in ("utterances", "speakers", "seeds") for end in row[f"over_{unit}"]]
        assert row["p_corrected"] > 0.05 and min(ends) > 0
    assert min(wers["rnn"]) > 2 * max(wer for name, each in wers.items() if name != "rnn" for wer in each)
    assert sum(pair[1] == "transformer" and pair[0] in GATED for pair in differ) == 7 == len(GATED) - 2


def test_figures_in_the_text_on_an4_are_those_measured() -> None:
    rows = {row["member"]: row for row in figures("family-an4")}
    assert f"{rows['rnn']['wer'] / rows['lstm']['wer']:.1f} times the LSTM's errors" in PROSE
    ends = (min(rows["transformer"]["wers"]), max(rows["transformer"]["wers"]))
    assert "five of the 20 epochs, has {:.0f} to {:.0f} %".format(*ends) in PROSE
    found = differences("family-an4")
    differ = {pair for pair, row in found.items() if row["p_corrected"] < 0.05}
    assert len(found) == 10 and differ == {(name, "rnn") for name in ("bilstm", "gru", "lstm")}
    alike = found["gru", "lstm"]
    shown = ["[{:.2f}, {:.2f}]".format(*alike[f"over_{unit}"]) for unit in ("utterances", "seeds")]
    assert (
        "do not differ significantly: {:.2f} points {} over utterances, {} over seeds".format(alike["points"], *shown)
        in PROSE
    )
    alone, among = differences("directions-an4")["bilstm", "lstm"]["p_value"], found["bilstm", "lstm"]["p_corrected"]
    assert f"(p = {alone:.3f} for this one pair" in PROSE and f"it would not be significant, {among:.2f})" in PROSE
    gated = [wer for name in ("bilstm", "gru", "lstm") for wer in rows[name]["wers"]]
    assert max(gated) < min(rows["transformer"]["wers"])  # "more than every gated network here, in every training"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "directions",
            "`lstm` has {points:.2f} points of WER more: {} over utterances, {} over six speakers, all in "
            "the training data, {} over seeds.",
        ),
        ("directions-an4", "it is {points:.2f} points: {} over utterances, {} over nine speakers, {} over seeds."),
    ],
)
def test_what_the_second_direction_buys_is_what_was_measured(name: str, said: str) -> None:
    row = differences(name)["bilstm", "lstm"]
    utterances, speakers, seeds = (row[f"over_{unit}"] for unit in ("utterances", "speakers", "seeds"))
    shown = [f"[{low:.2f}, {high:.2f}]" for low, high in (utterances, speakers, seeds)]
    assert said.format(*shown, points=row["points"]) in PROSE
    if name == "directions":  # "no difference could be shown"
        assert row["speakers"] == 6 and utterances[0] < 0 < utterances[1] and seeds[0] < 0 and speakers[0] <= 0
    else:
        assert row["speakers"] == 9 and min(utterances[0], speakers[0], seeds[0]) > 0
        points = f"has {row['points']:.1f} points less WER than `lstm` with as many weights"
        assert f"{points}, {seeds[0]:.1f} to {seeds[1]:.1f}" in PROSE
