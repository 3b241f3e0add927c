"""`make bench`: measures tamiz beside a peer or a limit, in one run, and prints a table.

Every figure is of this machine now; the ratios are what to compare. Exits with 1 where a ratio misses what is required.
"""

import csv
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import caches
import fronts
import scoring
import traffic

_HERE = Path(__file__).parent
_WORDS = [
    "river",
    "mountain",
    "city",
    "engine",
    "letter",
    "colour",
    "music",
    "number",
    "planet",
    "animal",
    "winter",
    "bridge",
    "garden",
    "doctor",
    "market",
    "silver",
    "window",
    "history",
    "science",
    "teacher",
    "island",
    "forest",
    "village",
    "morning",
]


class Result(NamedTuple):
    """A line of the table."""

    what: str
    ours: str
    beside: str
    ratio: float
    required: str
    ok: bool


class Finished(NamedTuple):
    """A `tamiz` command that has ended: its summary and what it took."""

    summary: dict[str, Any]
    cpu: float
    peak_mb: float


def write_questions(path: Path, count: int, seed: int = 1) -> Path:
    """Write questions with references, all different."""
    random_ = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "question", "answer"])
        for n in range(count):
            words = random_.choices(_WORDS, k=9)
            writer.writerow([n, f"What do {' '.join(words[:5])} have to do with number {n}?", " ".join(words[5:])])
    return path


def tamiz(*arguments: str, folder: Path) -> Finished:
    """Run the command and account for it."""
    command = [sys.executable, "-m", "tamiz", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TAMIZ_")}
    with (folder / "summary").open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.DEVNULL, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (command, process.returncode)
    said = (folder / "summary").read_text()
    summary = json.loads(said) if said.startswith("{") else {}
    return Finished(summary, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def run(questions: Path, model: str, folder: Path, *more: str) -> Finished:
    """Run all questions anew; every one must end with an outcome."""
    for old in folder.glob("bench.db*"):
        old.unlink()
    return tamiz(
        *("run", str(questions), "--model", model, "--state", "bench.db", "--out", "out.jsonl", "--json", *more),
        folder=folder,
    )


def rate(finished: Finished) -> float:
    """Give questions a second."""
    return float(finished.summary["rows"]) / float(finished.summary["this_run"]["seconds"])


@contextmanager
def server(delay: float, every: int = 0, slow: float = 0) -> Iterator[int]:
    """Run the benchmark server in a process of its own."""
    command = [sys.executable, str(_HERE / "server.py"), str(delay), str(every), str(slow)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def embedded(folder: Path) -> Iterator[Result]:
    """Every hop durable, the model answers at once."""
    questions = write_questions(folder / "embedded.csv", 20_000)
    ours = statistics.median(rate(run(questions, "simulated:", folder)) for _ in range(3))
    yield Result("embedded, durable, model at 0 ms", f"{ours:,.0f} q/s", "", ours / 5000, "5,000 q/s", ours >= 5000)


def latency(folder: Path) -> Iterator[Result]:
    """How much of what 64 slots of 50 ms allow is used."""
    questions = write_questions(folder / "latency.csv", 10_000)
    limit = 64 / 0.05
    ours = statistics.median(
        rate(run(questions, "simulated:?latency=50ms", folder, "--concurrency", "64")) for _ in range(3)
    )
    yield Result(
        "model at 50 ms, 64 at once",
        f"{ours:,.0f} q/s",
        f"{limit:,.0f} possible",
        ours / limit,
        "0.95",
        ours >= 0.95 * limit,
    )


def http(folder: Path) -> Iterator[Result]:
    """Over HTTP to a server that answers at once, beside a hand-written loop."""
    questions = write_questions(folder / "http.csv", 10_000)
    pairs = []
    with server(0) as port:
        for _ in range(3):
            model = f"openai+http://127.0.0.1:{port}/v1#bench"
            ours = rate(run(questions, model, folder, "--concurrency", "64", "--threshold", "0"))
            command = [sys.executable, str(_HERE / "loop.py"), str(port), str(questions), "64"]
            loop = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            pairs.append((ours / loop, ours, loop))
    ratio, ours, loop = statistics.median(pair[0] for pair in pairs), *sorted(pairs)[1][1:]
    ours = statistics.median(pair[1] for pair in pairs)
    yield Result("over HTTP, server at 0 ms", f"{ours:,.0f} q/s", f"loop {loop:,.0f} q/s", ratio, "0.2", ratio >= 0.2)
    yield Result("over HTTP, server at 0 ms", f"{ours:,.0f} q/s", "", ours / 3000, "3,000 q/s", ours >= 3000)


def hop(_: Path) -> Iterator[Result]:
    """Call a model, 256 times at once at 50 ms, by the hop alone; beside bare aiohttp and the openai SDK."""

    def measure(client: str, count: int) -> tuple[float, float]:
        command = [sys.executable, str(_HERE / "hop.py"), client, str(port), str(count), "256"]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return told["rate"], told["cpu_us"]

    with server(0.05) as port:
        rounds = [(measure("tamiz", 20_000), measure("bare", 20_000), measure("openai", 2_000)) for _ in range(3)]
    ours, bare, sdk = (
        [statistics.median(figures) for figures in zip(*of, strict=True)] for of in zip(*rounds, strict=True)
    )
    for what, other, required in (("aiohttp", bare, 0.9), ("openai SDK", sdk, 7.0)):
        ratio = statistics.median(each[0][0] / each[1 if other is bare else 2][0] for each in rounds)
        yield Result(
            "the hop, 50 ms, 256 at once",
            f"{ours[0]:,.0f} calls/s",
            f"{what} {other[0]:,.0f} calls/s",
            ratio,
            f"{required:g}",
            ratio >= required,
        )
    ratio = statistics.median(each[2][1] / each[0][1] for each in rounds)
    yield Result("the hop, CPU a call", f"{ours[1]:,.0f} us", f"openai SDK {sdk[1]:,.0f} us", ratio, "10", ratio >= 10)


def memory(folder: Path) -> Iterator[Result]:
    """Memory does not grow with the input."""
    few = run(write_questions(folder / "few.csv", 20_000), "simulated:", folder).peak_mb
    many = run(write_questions(folder / "many.csv", 200_000), "simulated:", folder).peak_mb
    yield Result(
        "peak memory, 200,000 rows",
        f"{many:.0f} MB",
        f"20,000 rows {few:.0f} MB",
        many / few,
        "at most 1.1",
        many <= 1.1 * few,
    )


def start_up(folder: Path) -> Iterator[Result]:
    """Start the command for nothing but its help."""
    tamiz("--help", folder=folder)
    ours = statistics.median(tamiz("--help", folder=folder).cpu for _ in range(7)) * 1000
    yield Result("tamiz --help, CPU", f"{ours:.0f} ms", "", ours / 150, "under 150 ms", ours < 150)


def copies(folder: Path) -> Iterator[Result]:
    """Ask one question a thousand times."""
    path = folder / "copies.csv"
    path.write_text("question,answer\n" + "What is the capital of France?,Paris\n" * 1000, encoding="utf-8")
    calls = run(path, "simulated:?latency=50ms", folder).summary["this_run"]["model_calls"]
    yield Result("1,000 copies of a question", f"{calls} call", "", float(calls), "1 call", calls == 1)


def score(_: Path) -> Iterator[Result]:
    """Pairs scored a second, beside scikit-learn."""
    for what, ours, theirs, ratio, required in scoring.measure():
        yield Result(what, ours, theirs, ratio, f"{required:g}", ratio >= required)


def front(folder: Path) -> Iterator[Result]:
    """Serve chats over HTTP, beside bare servers and other proxies."""
    for line in fronts.measure(folder):
        yield Result(*line)


def emission(_: Path) -> Iterator[Result]:
    """Events of traffic a second, scheduled alone, and sent to a file with their log."""
    for what, found, required in traffic.measure():
        yield Result(what, f"{found:,.0f}/s", "", found / required, f"{required:,.0f}/s", found >= required)


def simulator(_: Path) -> Iterator[Result]:
    """Ask the cache simulator for keys; LRU alone has a figure to meet."""
    for policy, found, required in caches.measure():
        wanted = required or 0.0
        what = f"cache simulator: {policy}"
        yield Result(what, f"{found:,.0f}/s", "", found / (required or found), f"{wanted:,.0f}/s", found >= wanted)


def main() -> None:
    wanted = sys.argv[1:]
    cores = os.cpu_count()
    print(f"{platform.machine()}, {cores} cores, Python {platform.python_version()}, {platform.system()}\n")
    print("| what | tamiz | beside | ratio | required | |\n|---|---|---|---|---|---|")
    missed = 0
    for measure in (embedded, latency, http, hop, memory, start_up, copies, score, front, emission, simulator):
        if wanted and measure.__name__ not in wanted:
            continue
        with tempfile.TemporaryDirectory(dir=".") as folder:
            for line in measure(Path(folder).resolve()):
                missed += not line.ok
                print(
                    f"| {line.what} | {line.ours} | {line.beside} | {line.ratio:.2f} | {line.required} | "
                    f"{'ok' if line.ok else 'MISSED'} |",
                    flush=True,
                )
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
