"""Colour, progress and tables: what a person sees, on a terminal and in a log file."""

import io

import pytest

from asr import terminal
from asr.terminal import Progress, colour_enabled, display_width, few_of_each_kind, format_duration, styled, table


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_colour_needs_a_terminal() -> None:
    assert styled("x", "bold", "red", stream=Screen()) == "\x1b[1;31mx\x1b[0m"
    assert styled("x", "bold", stream=io.StringIO()) == "x"


@pytest.mark.parametrize(
    ("name", "value", "coloured"), [("NO_COLOR", "1", False), ("NO_COLOR", "", True), ("TERM", "dumb", False)]
)
def test_colour_honours_the_environment(name: str, value: str, coloured: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    assert colour_enabled(Screen()) is coloured


def test_a_closed_stream_has_no_colour() -> None:
    stream = io.StringIO()
    stream.close()
    assert not colour_enabled(stream)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.7, "1 h 00 min"),
        (3720, "1 h 02 min"),
        (86399, "1 d 00 h"),
        (187200, "2 d 04 h"),
    ],
)
def test_durations_read_in_two_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_a_log_file_gets_a_line_every_thirty_seconds() -> None:
    stream, clock = io.StringIO(), Clock()
    with Progress(100, "training", "steps", stream=stream, clock=clock) as progress:
        for _ in range(50):
            clock.now_s += 2.0
            progress.update(note="loss 1.5")
    # 100 s of work: lines after 30, 60 and 90 s, and the last state
    assert stream.getvalue().splitlines() == [
        "training 15/100 steps, 15%, 30 s, 2 min 50 s left, loss 1.5",
        "training 30/100 steps, 30%, 1 min 00 s, 2 min 20 s left, loss 1.5",
        "training 45/100 steps, 45%, 1 min 30 s, 1 min 50 s left, loss 1.5",
        "training 50/100 steps, 50%, 1 min 40 s, 1 min 40 s left, loss 1.5",
    ]


def test_a_log_file_has_the_end_once() -> None:
    stream, clock = io.StringIO(), Clock()
    with Progress(1, "reading", "files", stream=stream, clock=clock) as progress:
        clock.now_s += 31.0
        progress.update()
    assert stream.getvalue() == "reading 1/1 files, 100%, 31 s\n"


def test_a_terminal_gets_one_line_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    stream, clock = Screen(), Clock()
    with Progress(3, "reading", "files", stream=stream, clock=clock) as progress:
        for _ in range(3):
            clock.now_s += 1.0
            progress.update()
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert all(len(line) <= 19 for line in text.rstrip("\n").split("\r\x1b[K"))


def test_a_terminal_is_not_flooded() -> None:
    stream, clock = Screen(), Clock()
    progress = Progress(1000, "reading", stream=stream, clock=clock)
    for _ in range(1000):
        clock.now_s += 0.001
        progress.update()
    assert stream.getvalue().count("\r") <= 11  # one second at ten a second, and the first


def test_time_left_counts_this_processs_own_speed() -> None:
    clock = Clock()
    progress = Progress(100, "training", done=90, stream=io.StringIO(), clock=clock)
    clock.now_s = 10.0
    progress.update(5)
    assert progress.line() == "training 95/100, 95%, 10 s, 10 s left"


def test_an_unknown_or_empty_total_shows_no_time_left() -> None:
    assert Progress(None, "reading", "s", stream=io.StringIO(), clock=Clock(), done=1.5).line() == "reading 1.5 s, 0 s"
    assert Progress(0, "reading", stream=io.StringIO(), clock=Clock()).line() == "reading 0/0, 100%, 0 s"


def test_lines_written_in_between_are_above_the_progress() -> None:
    stream = Screen()
    progress = Progress(2, "reading", stream=stream, clock=Clock())
    progress.write_line("a.wav is damaged")
    assert stream.getvalue().startswith("\r\x1b[Ka.wav is damaged\n\r\x1b[Kreading 0/2")


def test_tables_align_numbers_right_and_words_left() -> None:
    text = table([["aa", 5, "1.50 %"], ["b", 1519, "-"]], header=["who", "words", "WER"])
    assert text.splitlines() == ["who  words     WER", "aa       5  1.50 %", "b     1519       -"]


def test_ids_that_begin_with_digits_are_words() -> None:
    assert table([["2277-149896-0001", "x"], ["9", "y"]]).splitlines() == ["2277-149896-0001  x", "9                 y"]


def test_tables_count_columns_not_characters() -> None:
    assert display_width("日本") == 4
    assert display_width("e\u0301") == 1
    assert table([["日本", "x"], ["abcd", "y"]]).splitlines() == ["日本  x", "abcd  y"]


def test_an_empty_table_is_empty_and_a_ragged_one_is_refused() -> None:
    assert table([]) == ""
    with pytest.raises(ValueError, match="zip"):
        table([["a"], ["b", "c"]])


def test_every_named_style_is_an_ansi_code() -> None:
    assert all(0 < code < 50 for code in terminal._CODES.values())


def test_of_many_messages_of_one_kind_three_are_shown_and_a_count() -> None:
    messages = [f"a/file_{n}.txt:{n}: the id '{n}' has {n}.5 cells" for n in range(70)]
    messages += ["b.txt:3: is not UTF-8", "b.txt:3: is not UTF-8"]
    assert few_of_each_kind(messages) == [*messages[:3], "… and 67 more like these", "b.txt:3: is not UTF-8"]
    kinds = [f"x: {'a' * n}" for n in range(1, 26)]
    assert few_of_each_kind(kinds) == [*kinds[:20], "… and 5 more of other kinds"]
