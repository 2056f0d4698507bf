"""A server under load: parallel requests, clients that send or read slowly and malformed requests beside them.

    .venv/bin/asr serve english &
    .venv/bin/python benchmarks/serve_load.py http://127.0.0.1:8000 --pid $!
    .venv/bin/python benchmarks/serve_load.py http://127.0.0.1:8000 --pid $! --live-s 3600

In: the address of a running server, and its process. Out: percentiles of the seconds from request to answer (waits
after 429 and 503 counted in), how often each status came, and the largest memory. Or, with --live-s, --sessions of
/v1/realtime at a time: so much sound each, as fast as it goes, a malformed message after each minute; turns, words,
and the server's memory as the sound goes on. The exit code is 1, and the reasons are printed, where a recording was not
answered, or not with the same text as the others; a malformed request was answered by 500 or by nothing; the memory of
live sound grew; or the server does not answer any more.
"""

import argparse
import asyncio
import base64
import collections
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import soundfile
from websockets.asyncio.client import ClientConnection, connect

RECORDING = Path(__file__).resolve().parents[1] / "recipes" / "english" / "sentence.ogg"
PATH = "/v1/audio/transcriptions"
REALTIME, TEXT = "/v1/realtime", "conversation.item.input_audio_transcription."
MOST_WAITS = 200
PIECE_S, PAUSE_S, MINUTE_S = 0.2, 2.0, 60
MOST_GROWTH = 10e6  # bytes of resident memory, after the first sixth of live sound; allocators are not exact


@dataclass
class Seen:
    """What came back."""

    statuses: collections.Counter[str] = field(default_factory=collections.Counter)
    seconds: list[float] = field(default_factory=list)
    texts: set[str] = field(default_factory=set)
    most_memory: int = 0  # bytes


def request_of(body: bytes, length: int | None = None) -> bytes:
    """A whole request; ``length``: what its header says instead of the body's."""
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: multipart/form-data; boundary=cut\r\n"
    )
    return f"{head}Content-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body


def form(recording: bytes) -> bytes:
    """The body of a request that is right."""
    fields = '--cut\r\nContent-Disposition: form-data; name="response_format"\r\n\r\ntext\r\n'
    file = f'--cut\r\nContent-Disposition: form-data; name="file"; filename="{RECORDING.name}"\r\n\r\n'
    return (fields + file).encode() + recording + b"\r\n--cut--\r\n"


async def send(
    address: str, data: bytes, *, piece: int = 1 << 16, pause_s: float = 0.0, end: bool = False
) -> tuple[str, str, str]:
    """Status, Retry-After and body; ("broken off", "", "") where there was no answer. ``end``: send no more."""
    place = urlsplit(address)
    try:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
    except OSError:
        return "not connected", "", ""
    try:
        for start in range(0, len(data), piece):
            writer.write(data[start : start + piece])
            await writer.drain()
            if pause_s:
                await asyncio.sleep(pause_s)
        if end:
            writer.write_eof()
        answer = (await reader.read()).decode("utf-8", "replace")
    except OSError:
        return "broken off", "", ""
    finally:
        writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    if not head:
        return "broken off", "", ""
    headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    return head.split(" ", 2)[1], headers.get("retry-after", ""), body


async def client(address: str, data: bytes, seen: Seen) -> None:
    """One recording, asked for until it is answered."""
    began_s = time.monotonic()
    for _ in range(MOST_WAITS):
        status, retry_after, body = await send(address, data)
        seen.statuses[status] += 1
        if status == "200":
            seen.texts.add(body)
            seen.seconds.append(time.monotonic() - began_s)
            return
        await asyncio.sleep(float(retry_after or 1) * random.uniform(0.8, 1.2))


async def slow_client(address: str, data: bytes, seen: Seen) -> None:
    """Takes 20 s to send a recording, until it is answered. A refusal while it still sends breaks it off."""
    for _ in range(MOST_WAITS):
        status, retry_after, _ = await send(address, data, piece=max(1, len(data) // 400), pause_s=0.05)
        seen.statuses[f"slow: {status}"] += 1
        if status == "200":
            return
        await asyncio.sleep(float(retry_after or 1))


async def slow_reader(address: str, seen: Seen) -> None:
    """Asks for the page again and again, and reads 20 kB a second of it for 10 s."""
    place = urlsplit(address)
    reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=1024)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
    for _ in range(100):
        await asyncio.sleep(0.1)
        if not await reader.read(2000):
            break
    else:
        seen.statuses["slow to read: 200"] += 1
    writer.close()


async def healthy(address: str) -> bool:
    """Whether the server still answers."""
    status, _, _ = await send(address, b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    return status == "200"


async def malformed(address: str, count: int, seen: Seen, recording: bytes) -> None:
    """Requests that are wrong, one after the other: noise, forms cut off, damaged recordings, false lengths."""
    chance = random.Random(1)
    good = form(recording)
    for number in range(count):
        noise = chance.randbytes(chance.randrange(1, 4000))
        damaged = bytearray(good)
        for _ in range(200):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        kinds = [
            noise,
            request_of(noise),
            request_of(good[: chance.randrange(len(good))]),
            request_of(form(noise)),
            request_of(bytes(damaged)),
            request_of(good, chance.randrange(len(good))),
            b"GET /" + noise[:100] + b" HTTP/1.1\r\n\r\n",
        ]
        task = asyncio.create_task(send(address, kinds[number % len(kinds)], end=number % len(kinds) in (0, 6)))
        done, _ = await asyncio.wait([task], timeout=20)
        status = task.result()[0] if done else "no answer in 20 s"
        task.cancel()
        seen.statuses[f"malformed: {status}"] += 1


def memory(pid: int) -> int:
    """Resident bytes of the process."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(text.split("VmRSS:")[1].split()[0]) * 1024


async def watch(pid: int, seen: Seen) -> None:
    """The largest resident memory of the process."""
    while True:
        seen.most_memory = max(seen.most_memory, memory(pid))
        await asyncio.sleep(0.2)


def wrong_message(number: int) -> str:
    """A message that is wrong, each time in another way."""
    chance = random.Random(number)
    noise = chance.randbytes(chance.randrange(1, 4000))
    good = json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(noise).decode()})
    kinds = [
        noise.decode("latin-1"),
        good[: chance.randrange(len(good))],
        good.replace("==", "").replace('"audio": "', '"audio": "*'),
        json.dumps({"type": noise[:99].decode("latin-1")}),
        "[" * chance.randrange(1, 100_000),
        json.dumps({"type": "session.update", "session": {"audio": {"input": {"format": noise.decode("latin-1")}}}}),
        json.dumps({"type": "session.update", "session": {"include": [0] * chance.randrange(1, 100_000)}}),
        json.dumps({"type": "input_audio_buffer.append", "audio": chance.randrange(10**9)}),
    ]
    return kinds[number % len(kinds)]


async def send_live(socket: ClientConnection, seconds: float) -> int:
    """The recording and a pause, over and over; the number of messages that were wrong."""
    sound, rate = soundfile.read(RECORDING, dtype="int16")
    turn = np.concatenate((sound, np.zeros(round(PAUSE_S * rate), np.int16)))
    given = {"format": {"type": "audio/pcm", "rate": rate}}
    await socket.send(json.dumps({"type": "session.update", "session": {"audio": {"input": given}}}))
    piece, wrong = round(PIECE_S * rate), 0
    for number in range(round(seconds / PIECE_S)):
        samples = turn.take(range(number * piece, (number + 1) * piece), mode="wrap")
        audio = base64.b64encode(samples.tobytes()).decode()
        await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
        if (number + 1) % round(MINUTE_S / PIECE_S) == 0:
            await socket.send(wrong_message(wrong))
            wrong += 1
    await socket.send('{"type": "input_audio_buffer.commit"}')
    await socket.send('{"type": "input_audio_buffer.clear"}')  # whose answer comes last
    return wrong


async def session(address: str, seconds: float, on_minute: Callable[[], None]) -> list[str]:
    """One session, and what was wrong with it; ``on_minute`` is called after each minute of its sound."""
    events, words, began_s = collections.Counter[str](), 0, time.monotonic()
    async with connect(address.replace("http", "ws") + REALTIME, max_size=None, ping_timeout=None) as socket:
        sending = asyncio.create_task(send_live(socket, seconds))
        async for message in socket:
            event = json.loads(message)
            events[event["type"].removeprefix(TEXT)] += 1
            words += len(event["words"]) if event["type"] == f"{TEXT}completed" else 0
            if event["type"] == "error":
                on_minute()
            if event["type"] == "input_audio_buffer.cleared":
                break
        wrong = await sending
    took_s = time.monotonic() - began_s
    print(f"{seconds:g} s of sound in {took_s:.1f} s ({seconds / took_s:.1f} times as fast as it lasts)")
    print(f"{events['completed']} turns, {words} words; {events['error']} errors for {wrong} messages that were wrong")
    right = events["error"] == wrong and (words or seconds < PAUSE_S)
    return [] if right else ["a session without words, or with another number of errors than of wrong messages"]


async def live(address: str, pid: int | None, seconds: float, sessions: int) -> list[str]:
    """Sessions at a time; what was wrong."""
    minutes: list[int] = []  # resident bytes after each minute of each session's sound

    def on_minute() -> None:
        if pid:
            minutes.append(memory(pid))

    found = await asyncio.gather(*(session(address, seconds, on_minute) for _ in range(sessions)))
    wrong = [one for each in found for one in each]
    if minutes:
        shown = [minutes[round(share * (len(minutes) - 1) / 6)] for share in range(7)]
        print(f"memory after each sixth of the sound: {', '.join(f'{one / 1e6:.0f}' for one in shown)} MB")
        if shown[6] - shown[1] > MOST_GROWTH:
            wrong.append(f"memory grew by {(shown[6] - shown[1]) / 1e6:.0f} MB after the first sixth of the sound")
    return wrong if await healthy(address) else [*wrong, "the server does not answer any more"]


async def load(address: str, pid: int | None, requests: int, slow: int, wrong: int) -> Seen:
    """All at once."""
    seen, recording = Seen(), RECORDING.read_bytes()
    data = request_of(form(recording))
    watching = asyncio.create_task(watch(pid, seen)) if pid else None
    await asyncio.gather(
        *(client(address, data, seen) for _ in range(requests)),
        *(slow_client(address, data, seen) for _ in range(slow)),
        *(slow_reader(address, seen) for _ in range(slow)),
        malformed(address, wrong, seen, recording),
    )
    if watching:
        watching.cancel()
    seen.statuses["not healthy"] = not await healthy(address)
    return seen


def faults(seen: Seen, requests: int, slow: int, wrong: int) -> list[str]:
    """What is not as it must be."""
    count = seen.statuses
    checks = {
        f"{count['200']} of {requests} requests were answered": count["200"] != requests,
        f"{len(seen.texts)} different texts of one recording": len(seen.texts) != min(1, requests),
        f"{count['slow: 200']} of {slow} clients that send slowly were answered": count["slow: 200"] != slow,
        f"{count['slow to read: 200']} of {slow} clients that read slowly were": count["slow to read: 200"] != slow,
        "malformed requests were answered by 500": count["malformed: 500"] > 0,
        "malformed requests were not answered in 20 s": count["malformed: no answer in 20 s"] > 0,
        "malformed requests are missing": sum(n for name, n in count.items() if name.startswith("mal")) != wrong,
        "the server does not answer any more": count["not healthy"] > 0,
    }
    return [fault for fault, found in checks.items() if found]


def print_seen(seen: Seen, took_s: float) -> None:
    """Statuses, seconds, memory."""
    print(f"{took_s:.1f} s in all")
    for status, count in sorted(seen.statuses.items()):
        print(f"  {count:6,}  {status}")
    if len(seen.seconds) > 1:
        parts = statistics.quantiles(seen.seconds, n=20)
        print(
            f"answered: {len(seen.seconds)}; seconds: median {parts[9]:.2f}, 95 % {parts[18]:.2f}, "
            f"most {max(seen.seconds):.2f}"
        )
    if seen.most_memory:
        print(f"largest memory of the server: {seen.most_memory / 1e6:.0f} MB")


def main() -> int:
    """Parse arguments, load, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("address")
    parser.add_argument("--pid", type=int, help="the server's process, for its memory")
    parser.add_argument("--requests", type=int, default=200, help="at a time (default: 200)")
    parser.add_argument(
        "--slow", type=int, default=20, help="clients that send slowly, and that read slowly (default: 20)"
    )
    parser.add_argument("--malformed", type=int, default=1000, help="requests that are wrong (default: 1000)")
    parser.add_argument("--live-s", type=float, help="instead: sessions of so many seconds of live sound")
    parser.add_argument("--sessions", type=int, default=1, help="of live sound at a time (default: 1)")
    found = parser.parse_args()
    if found.live_s:
        wrong = asyncio.run(live(found.address, found.pid, found.live_s, found.sessions))
    else:
        began_s = time.monotonic()
        seen = asyncio.run(load(found.address, found.pid, found.requests, found.slow, found.malformed))
        print_seen(seen, time.monotonic() - began_s)
        wrong = faults(seen, found.requests, found.slow, found.malformed)
    for fault in wrong:
        print(f"FAILED: {fault}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
