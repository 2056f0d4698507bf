"""Terminal output: colour, a progress line with the time left, aligned tables.

In: numbers and text. Out: text on a stream (stderr by default, so that stdout holds nothing but transcripts).
A terminal gets one live line; a log file gets a plain line every 30 seconds; colour needs a terminal and no NO_COLOR.
"""

import contextlib
import io
import os
import re
import shutil
import sys
import time
import unicodedata
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Literal, Self, TextIO

_CODES = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36}
_LIVE_INTERVAL_S = 0.1
_LOG_INTERVAL_S = 30.0
_NUMBER = re.compile(r"[+\-−±]?\.?\d[\d.,]*( ?(%|[A-Za-z]{1,3}))?( ?[±(\[].*)?")  # 1,519 · 5.13 % · 4.9 ± 0.2 · 12 s

# control characters, line ends, and what changes the direction of writing
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_OURS = re.compile("\r\x1b\\[K|\x1b\\[[0-9;]*m|[\n\t]")  # a line written over, a style

Align = Literal["<", ">"]


def printable(text: object) -> str:
    """``text`` with control characters and line ends escaped (``\\x1b``, ``\\n``).

    File names, ids and tokens come from other people: unescaped they could move the cursor, or look like our lines.
    """
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


class SafeStream(io.TextIOWrapper):
    """A copy of standard output or error that escapes what ``printable`` does, but for line ends and our own styles.

    Characters that the terminal cannot show are escaped too, so that no file name or transcript breaks printing.
    """

    def __init__(self, stream: TextIO) -> None:
        copy = open(os.dup(stream.fileno()), "wb")  # noqa: SIM115 - closed with the wrapper
        super().__init__(copy, stream.encoding, "backslashreplace", line_buffering=stream.isatty())

    def __del__(self) -> None:
        """Closed where nobody can write to it any more, and without the ResourceWarning of `python -X dev`."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self.close()

    def write(self, text: str) -> int:
        """As ``io.TextIOWrapper.write``."""
        pieces, position = [], 0
        for ours in _OURS.finditer(text):
            pieces += [printable(text[position : ours.start()]), ours[0]]
            position = ours.end()
        return super().write("".join([*pieces, printable(text[position:])]))


def is_live(stream: TextIO) -> bool:
    """Whether ``stream`` is a terminal on which a line can be written over."""
    try:
        return stream.isatty() and os.environ.get("TERM") != "dumb"
    except ValueError:  # closed
        return False


def colour_enabled(stream: TextIO) -> bool:
    """Whether to colour: a terminal, and NO_COLOR (https://no-color.org) absent or empty."""
    return is_live(stream) and not os.environ.get("NO_COLOR")


def styled(text: str, *styles: str, stream: TextIO | None = None) -> str:
    """``text`` in the given styles (``bold``, ``red``, ...) where ``stream`` (default stdout) shows colour."""
    if not styles or not colour_enabled(stream or sys.stdout):
        return text
    codes = ";".join(str(_CODES[style]) for style in styles)
    return f"\x1b[{codes}m{text}\x1b[0m"


def format_duration(seconds: float) -> str:
    """Seconds in the two largest units: ``8 s``, ``3 min 05 s``, ``1 h 02 min``, ``2 d 04 h``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(whole / 60)
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(whole / 3600)
    return f"{hours // 24} d {hours % 24:02d} h"


def display_width(text: str) -> int:
    """Columns that ``text`` takes on a terminal: wide East Asian characters two, combining marks none."""
    return sum(_character_width(character) for character in text)


def pad(text: str, columns: int, align: Align = "<") -> str:
    """``text`` with spaces behind (``<``) or before it (``>``) to fill ``columns`` of a terminal."""
    space = " " * (columns - display_width(text))
    return space + text if align == ">" else text + space


def shorten(text: str, most: int = 60) -> str:
    """``text``, or its beginning and ``...``, in at most ``most`` characters."""
    return text if len(text) <= most else text[: most - 3] + "..."


_PLACE = re.compile(r"^.*?: ")  # the file and line at the beginning of a message
_VALUES = re.compile(r"'[^']*'|\d[\d.]*")


def few_of_each_kind(messages: Sequence[str], shown: int = 3, kinds: int = 20) -> list[str]:
    """The messages, but of those that differ in place, quoted values and numbers only the first ``shown`` and a count.

    ``kinds``: of more kinds than this the rest is a count, too.
    """
    groups: dict[str, list[str]] = {}
    for message in dict.fromkeys(messages):
        groups.setdefault(_VALUES.sub("", _PLACE.sub("", message, count=1)), []).append(message)
    lines: list[str] = []
    for group in list(groups.values())[:kinds]:
        lines += group[:shown]
        lines += [f"… and {len(group) - shown:,} more like these"] if len(group) > shown else []
    rest = sum(map(len, list(groups.values())[kinds:]))
    return [*lines, f"… and {rest:,} more of other kinds"] if rest else lines


def table(rows: Sequence[Sequence[object]], header: Sequence[str] | None = None, gap: str = "  ") -> str:
    """Rows as aligned columns, without a trailing newline; columns of numbers are right-aligned.

    Args:
        rows: cells, one sequence a row, all of the same length; ``str`` is applied to each.
        header: titles above the columns.
        gap: the text between two columns.

    Raises:
        ValueError: rows differ in length.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    lines = [list(header), *cells] if header is not None else cells
    if not lines:
        return ""
    columns = list(zip(*lines, strict=True))
    widths = [max(display_width(cell) for cell in column) for column in columns]
    first = 1 if header is not None else 0
    aligns: list[Align] = [">" if _is_numeric(column[first:]) else "<" for column in columns]
    return "\n".join(gap.join(map(pad, line, widths, aligns)).rstrip() for line in lines)


class Progress:
    """Progress of a long task and the time left.

    On a terminal one line is written over at most ten times a second; elsewhere a line is added every 30 seconds and
    one at the end. Use it as a context manager, so that an error leaves the cursor on a line of its own.

    Args:
        total: units of work in all; None where unknown (no time left is shown then).
        label: the task, at the start of the line.
        unit: what is counted, in the plural (``files``, ``steps``).
        done: units finished before this process started (a resumed run); they do not count as speed.
        stream: where to write; default stderr.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        total: float | None,
        label: str,
        unit: str = "",
        *,
        done: float = 0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.label, self.unit = total, label, unit
        self.done = done
        self._initial, self._last, self._note = done, done, ""  # _last: as it was shown
        self._stream = stream or sys.stderr
        self._clock = clock
        self.live = is_live(self._stream)
        self._started_s = self._clock()
        self._shown_s = float("-inf") if self.live else self._started_s

    def update(self, count: float = 1, note: str = "") -> None:
        """Count ``count`` more units as done; ``note`` (a loss, a file name) is shown at the end of the line."""
        self.done += count
        self._note = note or self._note
        now_s = self._clock()
        if now_s - self._shown_s >= (_LIVE_INTERVAL_S if self.live else _LOG_INTERVAL_S):
            self._shown_s = now_s
            self._show()

    def write_line(self, line: str) -> None:
        """Write ``line`` above the progress line."""
        self._write(f"\r\x1b[K{line}\n" if self.live else f"{line}\n")
        if self.live:
            self._show()

    def close(self) -> None:
        """Show the final state and end the line; without a terminal, only where it is not what was shown last."""
        if self.live:
            self._show()
            self._write("\n")
        elif self.done > self._last:
            self._show()

    def line(self) -> str:
        """The progress as text: label, count, share, time taken, time left, note."""
        elapsed_s = self._clock() - self._started_s
        parts = [f"{self.label} {_count(self.done)}"]
        if self.total is not None:
            share = min(1.0, self.done / self.total) if self.total else 1.0
            parts[0] += f"/{_count(self.total)}"
            parts.append(f"{share:.0%}")
        if self.unit:
            parts[0] += f" {self.unit}"
        parts.append(format_duration(elapsed_s))
        left_s = self._left_s(elapsed_s)
        if left_s is not None:
            parts.append(f"{format_duration(left_s)} left")
        return printable(", ".join([*parts, self._note] if self._note else parts))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _left_s(self, elapsed_s: float) -> float | None:
        finished = self.done - self._initial
        if self.total is None or finished <= 0 or self.done >= self.total:
            return None
        return elapsed_s / finished * (self.total - self.done)

    def _show(self) -> None:
        self._last = self.done
        if self.live:
            columns = shutil.get_terminal_size().columns
            self._write(f"\r\x1b[K{_cut(self.line(), columns - 1)}")
        else:
            self._write(f"{self.line()}\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class RewrittenLine:
    """A line that changes until it ends. Where the stream is no terminal, only lines that have ended are written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._live = stream, is_live(stream)

    def show(self, text: str) -> None:
        """The line so far; of a long one the end."""
        if self._live:
            shown, columns = printable(text), shutil.get_terminal_size().columns
            while display_width(shown) > max(columns - 1, 1):
                shown = shown[1:]
            self._write(f"\r\x1b[K{shown}")

    def end(self, text: str) -> None:
        """The line as it stays."""
        self._write(f"\r\x1b[K{printable(text)}\n" if self._live else f"{text}\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _count(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def _cut(text: str, columns: int) -> str:
    while display_width(text) > max(columns, 1):
        text = text[:-1]
    return text


def _is_numeric(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell not in ("", "-", "–")]
    return bool(filled) and all(_NUMBER.fullmatch(cell) for cell in filled)


def _character_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
