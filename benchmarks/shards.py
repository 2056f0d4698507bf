"""How fast recordings are read from files and from shards: cached by the system, from the disk, and over HTTP.

In: nothing; synthetic recordings are written to ``--folder``. Out: a table of recordings a second and ratios. From the
disk: what the system keeps of a file is dropped before it is read (POSIX_FADV_DONTNEED), in turn for both kinds. HTTP
is a server on this machine that waits ``--delay-ms`` before each answer, as a distant store does.
"""

import argparse
import http.server
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from asr.audio.shards import read_member, shard_place
from asr.data.manifest import Utterance, read_manifest, write_manifest
from asr.data.recordings import load_utterance
from asr.data.shards import write_shards

RATE = 16_000


def make(folder: Path, count: int, seconds: float) -> tuple[list[Utterance], list[Utterance]]:
    """The same recordings as FLAC files and in shards."""
    generator = np.random.default_rng(0)
    (folder / "files").mkdir()
    made = []
    for number in range(count):
        samples = 0.1 * np.cumsum(generator.standard_normal(round(seconds * RATE))) / 100
        path = folder / "files" / f"{number % 100:02d}" / f"{number:06d}.flac"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, np.clip(samples, -1, 1), RATE, subtype="PCM_16")
        made.append(Utterance(id=f"u{number}", audio=str(path), duration_s=seconds, text="a"))
    write_manifest(folder / "train.jsonl", made)
    write_shards(folder, str(folder / "shards"), 200.0)
    os.sync()
    return made, list(read_manifest(folder / "train.jsonl"))


def forget(folder: Path) -> None:
    """Have the system drop what it keeps of the files' contents."""
    for path in folder.rglob("*.*"):
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def content(one: Utterance) -> None:
    """The bytes alone."""
    place = shard_place(one.audio)
    if place is None:
        Path(one.audio).read_bytes()
    else:
        read_member(place)


def decoded(one: Utterance) -> None:
    """As a training reads it."""
    load_utterance(one, RATE)


def speed(utterances: Sequence[Utterance], read: Callable[[Utterance], None], threads: int = 1) -> float:
    """Recordings a second."""
    began = time.perf_counter()
    if threads == 1:
        for one in utterances:
            read(one)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(read, utterances))
    return len(utterances) / (time.perf_counter() - began)


class Ranges(http.server.BaseHTTPRequestHandler):
    """Parts of the shards, each after a delay."""

    protocol_version = "HTTP/1.1"
    folder: Path
    delay_s = 0.0

    def do_GET(self) -> None:
        """Answer a request for a range."""
        start, stop = (int(one) for one in self.headers["Range"].removeprefix("bytes=").split("-"))
        time.sleep(self.delay_s)
        with (self.folder / Path(self.path).name).open("rb") as stream:
            stream.seek(start)
            data = stream.read(stop + 1 - start)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{start + len(data) - 1}/*")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def in_turn(rounds: int, ways: dict[str, Callable[[], float]]) -> dict[str, float]:
    """The median of each over the rounds."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            found[name].append(way())
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="on the disk to measure; default: a temporary folder")
    parser.add_argument("--recordings", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--delay-ms", type=float, default=20.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        files, shards = make(folder, options.recordings, options.seconds)
        order = np.random.default_rng(1).permutation(len(files))
        files, shards = [files[one] for one in order], [shards[one] for one in order]
        in_order = sorted(shards, key=place_of)

        def cold(which: str, utterances: Sequence[Utterance], read: Callable[[Utterance], None]) -> float:
            forget(folder / which)
            return speed(utterances, read)

        rows: dict[str, dict[str, float]] = {}
        for what, read in (("bytes", content), ("decoded", decoded)):
            rows[f"{what}, cached"] = in_turn(
                options.rounds,
                {"files": partial(speed, files, read), "shards": partial(speed, shards, read)},
            )
            rows[f"{what}, from the disk"] = in_turn(
                options.rounds,
                {
                    "files": partial(cold, "files", files, read),
                    "shards": partial(cold, "shards", shards, read),
                    "shards in order": partial(cold, "shards", in_order, read),
                },
            )
        Ranges.folder = folder / "shards"
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ranges) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url = f"http://127.0.0.1:{server.server_address[1]}"
            served = [replace(one, audio=f"{url}/{Path(one.audio).name}") for one in shards[: options.recordings // 4]]
            for delay_ms in (0.0, options.delay_ms):
                Ranges.delay_s = delay_ms / 1000
                for threads in (1, 8):
                    row = {"shards": speed(served, decoded, threads)}
                    rows[f"decoded, HTTP with {delay_ms:g} ms, {threads} at a time"] = row
            server.shutdown()
    print(
        f"{options.recordings} recordings of {options.seconds:g} s, 16-bit FLAC; "
        f"recordings a second, median of {options.rounds}"
    )
    for name, row in rows.items():
        ratios = "".join(
            f", {one} {value:,.0f} ({value / row['files']:.2f})" for one, value in row.items() if "files" in row
        )
        print(f"{name}{ratios or ', shards ' + format(row['shards'], ',.0f')}")


def place_of(one: Utterance) -> tuple[str, int]:
    """Shard and offset."""
    place = shard_place(one.audio)
    assert place is not None
    return place.shard, place.offset


if __name__ == "__main__":
    main()
