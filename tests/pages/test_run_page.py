"""The page of a training run: its points, its hardest utterances, its configuration; and in headless Chromium."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asr.pages.run import MOST_CELLS, hardest, learning_summary, render_hardest, render_run
from asr.pages.run_curves import MOST_POINTS, PLOTS, has_points, kept_epochs, run_points
from asr.pages.run_data import DevHistory, RecognisedText, RunData
from benchmarks.browser import Browser, find_chromium
from tests.pages.made import HOSTILE


def step(number: int, epoch: int, batch: int, **more: Any) -> dict[str, Any]:
    """A record at 10 batches an epoch; 2 s a step, 8 s of audio, 1 s of waiting for them."""
    own = {"kind": "step", "step": number, "epoch": epoch, "batch": batch, "batches": 10, "epochs": 3}
    figures = {"loss": 100.0 / number, "grad_norm": 2.0, "learning_rate": 0.001, "padding": 0.05}
    clock = {"seconds": 2.0 * number, "audio_s": 8.0 * number, "data_seconds": 1.0 * number}
    return own | figures | clock | more


def epoch(number: int, wer: float, **more: Any) -> dict[str, Any]:
    own = {
        "kind": "epoch",
        "epoch": number,
        "step": 10 * number,
        "epochs": 3,
        "train_loss": 5.0 / number,
        "dev_wer": wer,
    }
    dev = {
        "dev_cer": wer / 2,
        "dev_loss": 4.0 / number,
        "dev_blank_share": 0.6,
        "dev_empty_share": 0.0,
        "padding": 0.04,
    }
    return own | dev | {"seconds": 20.0 * number + 5, "audio_s": 80.0 * number, "data_seconds": 10.0 * number} | more


def run_of(name: str = "one", **more: Any) -> RunData:
    values: dict[str, Any] = {
        "name": name,
        "state": "3 of 3 epochs",
        "steps": [step(10 * n + 5, n + 1, 5) for n in range(3)],
        "epochs": [epoch(1, 0.5), epoch(2, 0.2), epoch(3, 0.3)],
        "config": {"model.name": "bilstm", "optimizer.clip_norm": "5.0"},
    }
    return RunData(**(values | more))


def history_of(errors: list[list[int]], **more: Any) -> DevHistory:
    ids = [f"u{n}" for n in range(len(errors))]
    return DevHistory(ids, [4] * len(errors), list(range(1, len(errors[0]) + 1)), errors, more.get("texts", {}))


def test_points_lie_where_the_step_was_taken() -> None:
    steps = run_points(run_of())["steps"]
    assert steps["epoch"] == [0.5, 1.5, 2.5] and steps["step"] == [5, 15, 25]
    assert steps["hours"] == pytest.approx([10 / 3600, 30 / 3600, 50 / 3600])
    assert steps["audio_h"] == pytest.approx([40 / 3600, 120 / 3600, 200 / 3600])


def test_throughput_and_waiting_are_those_of_the_time_since_the_record_before_and_leave_the_dev_pass_out() -> None:
    # the first step's 10 s from the start; then 30 - 25 s from the end of epoch 1 (whose dev pass took 5 s), 120 - 80 s
    steps = run_points(run_of(epochs=[epoch(1, 0.5), epoch(2, 0.2)]))["steps"]
    assert steps["throughput"][:2] == pytest.approx([40 / 10, 40 / 5])
    assert steps["wait"][:2] == pytest.approx([5 / 10, 5 / 5])


def test_many_steps_are_joined_to_means_with_their_lowest_and_highest() -> None:
    steps = [step(n + 1, 1, 1, loss=float(n % 4)) for n in range(4 * MOST_POINTS)]
    columns = run_points(run_of(steps=steps, epochs=[]))["steps"]
    assert len(columns["loss"]) == MOST_POINTS and set(columns["loss"]) == {1.5}
    assert set(columns["loss_low"]) == {0.0} and set(columns["loss_high"]) == {3.0}
    assert columns["throughput"] == pytest.approx([4.0] * MOST_POINTS)


def test_of_many_epochs_the_best_and_the_last_are_kept() -> None:
    epochs = [epoch(n, 0.1 if n == 778 else 0.5) for n in range(1, 2001)]
    kept = [one["epoch"] for one in kept_epochs(run_of(epochs=epochs))]
    assert len(kept) <= MOST_POINTS + 2 and {778, 2000} <= set(kept)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "text", None, True])
def test_a_figure_that_is_none_is_a_gap(value: Any) -> None:
    run = run_of(steps=[step(5, 1, 5, loss=value), step(10, 1, 10)], epochs=[])
    assert run_points(run)["steps"]["loss"] == [None, 10.0]
    assert '"loss":[null,10]' in render_run([run], "t")


def test_what_an_older_run_did_not_record_is_left_out_with_a_note() -> None:
    new = ("padding", "data_seconds")
    old = run_of(
        steps=[{key: value for key, value in step(5, 1, 5).items() if key not in new}],
        epochs=[{key: value for key, value in epoch(1, 0.5).items() if key not in new}],
    )
    points = run_points(old)
    assert [plot.key for plot in PLOTS if not has_points(points, plot)] == ["padding", "wait"]
    page = render_run([old], "t")
    assert "Not recorded, so not shown: padding, waiting for data" in page and 'data-plot="wait"' not in page
    assert "the hardest are not shown" in page and 'data-plot="error"' in page


def test_the_hardest_have_most_errors_in_the_last_epochs() -> None:
    errors = [[4, 0, 0, 0, 0, 0], [4, 4, 4, 4, 4, 1], [0, 0, 0, 0, 0, 2], [4, 0, 0, 0, 0, 2], [0] * 6]
    assert hardest(history_of(errors)) == [1, 3, 2]  # 17, then 2 each with 6 and 2 in all; u0 is long learnt
    summary = learning_summary(history_of(errors))
    assert "Of 5 dev utterances, 2 have no word error after epoch 6; 2 had none earlier" in summary
    assert "1 had word errors in all of epochs 1 to 6" in summary


def test_a_strip_has_a_cell_an_epoch_or_one_for_several() -> None:
    assert render_hardest([run_of(history=history_of([[4, 2, 1]]))]).count("<rect") == 3
    many = render_hardest([run_of(history=history_of([[3] * 1000]))])
    assert 30 < many.count("<rect") <= MOST_CELLS and "epochs 1 to 17: 3 errors in 4 words" in many


def test_two_runs_show_what_differs_in_their_configuration() -> None:
    other = run_of("two", config={"model.name": "gru", "optimizer.clip_norm": "5.0", "seed": "1"})
    page = render_run([run_of(), other], "t")
    assert "2 of 3 settings differ." in page and "<bdi>gru</bdi>" in page and "<bdi>–</bdi>" in page
    assert "Both runs have the same configuration." in render_run([run_of(), run_of("two")], "t")


def hostile_run(value: str) -> RunData:
    texts = {0: [RecognisedText(3, value, value, 4)]}
    history = DevHistory([value], [4], [1, 2, 3], [[4, 4, 4]], texts)
    return run_of(value, history=history, facts={"Command": value}, config={value: value}, notes=[value])


needs_browser = pytest.mark.skipif(find_chromium() is None, reason="no chromium here (apt-get install chromium)")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as one:
        one.size(1400, 900)
        yield one


def opened(browser: Browser, path: Path, *runs: RunData, title: str = "t") -> None:
    path.write_bytes(render_run(runs, title).encode("utf-8", "replace"))
    browser.open(path)


@needs_browser
@pytest.mark.parametrize("name", list(HOSTILE))
def test_hostile_texts_are_shown_as_text_and_nothing_is_requested(browser: Browser, tmp_path: Path, name: str) -> None:
    value = HOSTILE[name]
    opened(browser, tmp_path / "p.html", hostile_run(value), hostile_run(value), title=value)
    assert browser.run("document.querySelectorAll('img, script:not([id])').length") == 1  # the page's own
    assert "owned" not in browser.run("document.title") or name in ("script", "image")
    assert browser.requests == [(tmp_path / "p.html").as_uri()] and browser.errors == []
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")


@needs_browser
def test_pointing_shows_the_values_in_every_plot(browser: Browser, tmp_path: Path) -> None:
    opened(browser, tmp_path / "p.html", run_of(average=(2, 0.1)))
    lines = browser.run("""(() => { const svg = document.querySelector("[data-plot=error] svg.curves");
      const box = svg.getBoundingClientRect(), at = 52 + (2 / 3) * (box.width - 66);
      svg.dispatchEvent(new PointerEvent("pointermove", {clientX: box.left + at, clientY: box.top + 50}));
      return [...document.querySelectorAll(".readout")].map((one) => one.textContent); })()""")
    assert (
        lines[0] == "epoch 2: WER 20 · CER 10" and lines[1].endswith("train 2.5 · dev 2") and len(lines) == len(PLOTS)
    )
    titles = browser.run("[...document.querySelectorAll('[data-plot=error] title')].map((one) => one.textContent)")
    assert titles == ["best epoch: 2", "mean of the last 2 epochs: WER 10.00 %"]


@needs_browser
def test_keys_walk_along_a_curve_and_what_lies_along_it_can_be_chosen(browser: Browser, tmp_path: Path) -> None:
    opened(browser, tmp_path / "p.html", run_of(), run_of("two", epochs=[epoch(1, 0.4)]))
    readout = "document.querySelector('[data-plot=error] .readout').textContent"
    browser.run("document.querySelector('[data-plot=error] svg.curves').focus()")
    assert browser.run(readout).startswith("last: A WER 30")
    browser.press("ArrowRight")
    assert browser.run(readout) == "epoch 1: A WER 50 · A CER 25 · B WER 40 · B CER 20"
    browser.press("ArrowRight")
    assert browser.run(readout) == "epoch 2: A WER 20 · A CER 10"  # the other run has no such epoch
    browser.press("Escape")
    browser.run("document.getElementById('x').value = 'step'")
    browser.run("document.getElementById('x').dispatchEvent(new Event('change'))")
    browser.press("ArrowRight")
    assert browser.run(readout).startswith("step 10: A WER 50")
    assert browser.errors == []


@needs_browser
@pytest.mark.parametrize("width", [360, 1400])
def test_a_run_of_one_step_and_one_of_two_fit_their_window(browser: Browser, tmp_path: Path, width: int) -> None:
    browser.size(width, 900)
    history = history_of([[4, 2, 1]], texts={0: [RecognisedText(3, "said " * 50, "h" * 300, 1)]})
    for place, runs in enumerate(
        ([run_of(steps=[step(10, 1, 10)], epochs=[])], [run_of(history=history), run_of("b")])
    ):
        opened(browser, tmp_path / f"{place}.html", *runs)
        browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert browser.run("document.documentElement.scrollWidth") <= width
        assert browser.errors == []
    browser.size(1400, 900)
