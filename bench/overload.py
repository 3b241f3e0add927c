"""Loads a service of its own with three times what it can answer, and prints what became of it.

`overload.py burst [SECONDS]` (60): no accepted question is lost, each refusal says when to come back, and an accepted
one waits no longer than the queue is long. `overload.py memory [MINUTES]` (10): the same load, with clients that read
slowly, clients that never end their request and clients that go away, and the memory that the service takes meanwhile.
Exits with 1 where that is not so.
"""

import asyncio
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import aiohttp

_LATENCY, _CONCURRENCY, _QUEUE = 0.2, 16, 240
_CAPACITY = _CONCURRENCY / _LATENCY
_TIMES = 3
_SLOW, _HALF_OPEN, _LEAVING = 20, 50, 5
_WARM_UP = 150.0
"""Seconds until the cache in memory is full."""


class Load(NamedTuple):
    """What became of requests."""

    answered: dict[str, float]
    """Seconds by `message_id`."""
    refused: Counter[tuple[int, bool]]
    """By status, and whether there was a `Retry-After`."""
    lost: list[str]
    """Requests that got no answer at all."""


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[tuple[int, int]]:
    """Run a service; give its port and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    model = f"simulated:?latency={_LATENCY * 1000:g}ms"
    command = [sys.executable, "-m", "tamiz", "serve", "--port", str(port), "--model", model, "--threshold", "0"]
    command += ["--concurrency", str(_CONCURRENCY), "--queue", str(_QUEUE), "--state", str(folder / "tamiz.db")]
    log = folder / "serve.log"
    with log.open("w") as told, subprocess.Popen(command, stderr=told, cwd=folder) as process:
        while " serves on " not in log.read_text():
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        try:
            yield port, process.pid
        finally:
            process.terminate()
            began = time.perf_counter()
            process.wait()
            lines = log.read_text().splitlines()
            print(f"stopped within {time.perf_counter() - began:.1f} s, {len(lines):,} lines in its log")
            print("\n".join(lines[-10:]))


async def offer(session: aiohttp.ClientSession, port: int, seconds: float, load: Load) -> None:
    """Send questions at a constant rate, whatever becomes of them, and wait for all that were sent."""
    url = f"http://127.0.0.1:{port}/questions?wait=120"
    sent: set[asyncio.Task[None]] = set()

    async def ask(number: int) -> None:
        started = time.perf_counter()
        try:
            async with session.post(url, json={"title": f"What is {number}?", "reference": f"It is {number}"}) as got:
                told = await got.json()
                if got.status == 200:
                    load.answered[told["message_id"]] = time.perf_counter() - started
                else:
                    load.refused[got.status, "retry-after" in got.headers] += 1
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            load.lost.append(repr(error))

    began, number = time.perf_counter(), time.time_ns()
    while (now := time.perf_counter()) < began + seconds:
        due = int((now - began) * _CAPACITY * _TIMES) - len(load.answered) - load.refused.total() - len(load.lost)
        for _ in range(due - len(sent)):
            number += 1
            task = asyncio.create_task(ask(number))
            sent.add(task)
            task.add_done_callback(sent.discard)
        await asyncio.sleep(0.005)
    while sent:
        await asyncio.wait(sent)


async def kept(session: aiohttp.ClientSession, port: int) -> Counter[str]:
    """Give how often each submission is among the results."""
    found: Counter[str] = Counter()
    async with session.get(f"http://127.0.0.1:{port}/export?outcome=accepted&outcome=exhausted&outcome=failed") as got:
        async for line in got.content:
            found[json.loads(line)["message_id"]] += 1
    return found


async def burst(seconds: float) -> bool:
    """Overload it; tell whether everything was as it should be."""
    load = Load({}, Counter(), [])
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as (port, _):
        connector = aiohttp.TCPConnector(limit=2000)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(200)) as session:
            began = time.perf_counter()
            await offer(session, port, seconds, load)
            took = time.perf_counter() - began
            found = await kept(session, port)
    waits = sorted(load.answered.values())
    p50, p99 = statistics.median(waits), waits[int(len(waits) * 0.99)]
    pace = len(waits) / took
    bound = 2 * _QUEUE / pace
    missing = load.answered.keys() - found.keys()
    twice = [each for each, count in found.items() if count > 1]
    unasked = found.keys() - load.answered.keys()
    hasty = sum(count for (_, told), count in load.refused.items() if not told)
    rows = [
        ("offered", f"{_TIMES} x capacity, {_CAPACITY * _TIMES:g}/s for {seconds:g} s", "", True),
        ("answered", f"{len(waits):,} ({pace:.0f}/s of {_CAPACITY:g}/s)", "", bool(waits)),
        ("refused", f"{load.refused.total():,} {dict(load.refused)}", "> 0", load.refused.total() > 0),
        ("refused without Retry-After", f"{hasty}", "0", hasty == 0),
        ("no answer at all", f"{len(load.lost)} {load.lost[:1]}", "0", not load.lost),
        ("accepted and lost", f"{len(missing)}", "0", not missing),
        ("ended twice", f"{len(twice)}", "0", not twice),
        ("refused and asked all the same", f"{len(unasked)}", "0", not unasked),
        ("waited, p50 / p99", f"{p50:.2f} s / {p99:.2f} s", f"p99 <= {bound:.1f} s", p99 <= bound),
    ]
    return table(rows)


async def slow(port: int) -> None:
    """Read an export at some kilobytes a second, again and again."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2048)
            writer.write(b"GET /export HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while await reader.read(1024):  # noqa: ASYNC110 - nobody tells it to be slow
                await asyncio.sleep(0.25)
            writer.close()
        await asyncio.sleep(0.5)


async def half_open(port: int) -> None:
    """Begin a request and never end it."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /questions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")
            await reader.read()
            writer.close()
        await asyncio.sleep(0.5)


async def leaving(port: int) -> None:
    """Ask, wait, and go away before the answer."""
    number = 0
    while True:
        number += 1
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            body = b'{"title": "left %d"}' % number
            head = b"POST /questions?wait=60 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await asyncio.sleep(0.1)
            writer.transport.abort()


def resident(process: int) -> float:
    """Give the megabytes of memory that a process has."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def memory(minutes: float) -> bool:
    """Load it for long; tell whether its memory stays as it was once it was warm."""
    load = Load({}, Counter(), [])
    samples: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as (port, process):
        connector = aiohttp.TCPConnector(limit=2000)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(200)) as session:
            others = [
                *(asyncio.create_task(slow(port)) for _ in range(_SLOW)),
                *(asyncio.create_task(half_open(port)) for _ in range(_HALF_OPEN)),
                *(asyncio.create_task(leaving(port)) for _ in range(_LEAVING)),
            ]
            offering = asyncio.create_task(offer(session, port, minutes * 60, load))
            began = time.perf_counter()
            while not offering.done():
                now = time.perf_counter() - began
                samples.append((now, resident(process)))
                if len(samples) % 6 == 1:
                    print(f"{now:6.0f} s {samples[-1][1]:7.1f} MB {len(load.answered):,} answered", flush=True)
                await asyncio.wait([offering], timeout=5)
            for each in others:
                each.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await offering
    warm = [(now, size) for now, size in samples if now >= min(_WARM_UP, minutes * 30)]
    slope, _ = statistics.linear_regression([now / 60 for now, _ in warm], [size for _, size in warm])
    rows = [
        ("clients", f"{_SLOW} read slowly, {_HALF_OPEN} never end, {_LEAVING} go away", "", True),
        ("answered, refused", f"{len(load.answered):,}, {load.refused.total():,}", "", bool(load.answered)),
        ("no answer at all", f"{len(load.lost)} {load.lost[:1]}", "0", not load.lost),
        ("memory, warm and at the end", f"{warm[0][1]:.1f} MB, {warm[-1][1]:.1f} MB", "", True),
        ("slope", f"{slope:+.2f} MB a minute", "< 1", slope < 1),
    ]
    return table(rows)


def table(rows: list[tuple[str, str, str, bool]]) -> bool:
    """Print rows; tell whether all are as required."""
    print()
    for what, found, required, fine in rows:
        print(f"{what:32} {found:60} {required:14} {'' if fine else 'MISSED'}")
    return all(fine for *_, fine in rows)


if __name__ == "__main__":
    mode, *given = sys.argv[1:] or ["burst"]
    work = burst(float(given[0]) if given else 60) if mode == "burst" else memory(float(given[0]) if given else 10)
    sys.exit(not asyncio.run(work))
