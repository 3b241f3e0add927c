"""`make faults`: what becomes of questions while a provider misbehaves, with tamiz and with what else one would take.

Each scenario of `faulty.py` is run by each client against a server of its own; with LITELLM_PYTHON, the interpreter of
an environment that has litellm, tenacity, uvloop and openai, also by LiteLLM's Router. A cell is: right answers / wrong
ones (text that is no answer, taken for one) / questions given up; then the calls made and the seconds taken. Exits with
1 where tamiz misses what is required of it. Arguments: the scenarios to run; none is all.
"""

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from faulty import SCENARIOS, SERVICE, answer_to, draw

HERE = Path(__file__).parent
PEERS = {"openai": "openai SDK", "tenacity": "aiohttp + tenacity"}
PYTHONS = {"openai": sys.executable, "tenacity": sys.executable}
if "LITELLM_PYTHON" in os.environ:  # no dependency of this project: it needs an environment of its own
    PEERS["litellm"] = "LiteLLM Router"
    PYTHONS["litellm"] = os.environ["LITELLM_PYTHON"]


class Ran(NamedTuple):
    """What a client made of a scenario, and what the server says of it."""

    right: int
    wrong: int
    given_up: int
    seconds: float
    stats: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.right}/{self.wrong}/{self.given_up}, {self.stats['calls']:,} calls, {self.seconds:.1f} s"


class Plan(NamedTuple):
    """A scenario, how it is asked, and what is required of tamiz: (what, figure, bound) with figure <= bound."""

    what: str
    scenario: str
    questions: int
    concurrency: int
    required: Callable[[Ran], list[tuple[str, float, float]]]


@contextmanager
def serving(scenario: str) -> Iterator[int]:
    process = subprocess.Popen([sys.executable, str(HERE / "faulty.py"), scenario], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def stats_of(port: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats") as response:
        stats: dict[str, Any] = json.load(response)
        return stats


def command(port: int, questions: Path, folder: Path, concurrency: int) -> list[str]:
    model = f"openai+http://127.0.0.1:{port}/v1#bench"
    files = ["--state", str(folder / "state.db"), "--out", str(folder / "rows.jsonl")]
    return [
        *(sys.executable, "-m", "tamiz", "run", str(questions), "--model", model, *files),
        *("--concurrency", str(concurrency), "--json", "--quiet"),
    ]


def write_questions(folder: Path, numbers: list[int]) -> Path:
    path = folder / "questions.jsonl"
    path.write_text("".join(json.dumps({"id": n, "question": f"Question {n}"}) + "\n" for n in numbers))
    return path


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


def with_tamiz(plan: Plan) -> Ran:
    with serving(plan.scenario) as port, tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        questions = write_questions(folder, list(range(plan.questions)))
        began = time.monotonic()
        subprocess.run(command(port, questions, folder, plan.concurrency), stdout=subprocess.DEVNULL, check=False)
        seconds = time.monotonic() - began
        return judged([row["answer"] for row in rows_of(folder)], plan.questions, seconds, stats_of(port))


def with_peer(client: str, plan: Plan) -> Ran:
    with serving(plan.scenario) as port:
        arguments = [client, str(port), str(plan.questions), str(plan.concurrency)]
        done = subprocess.run(
            [PYTHONS[client], str(HERE / "peers.py"), *arguments], capture_output=True, text=True, check=True
        )
        told = json.loads(done.stdout)
        return judged(told["answers"], plan.questions, told["seconds"], stats_of(port))


def judged(answers: list[str | None], count: int, seconds: float, stats: dict[str, Any]) -> Ran:
    right = sum(answer == answer_to(number) for number, answer in enumerate(answers))
    given_up = sum(answer is None for answer in answers) + count - len(answers)
    return Ran(right, count - right - given_up, given_up, seconds, stats)


def needed(count: int, share: float) -> int:
    """Count the calls that it takes where each fails with this chance, as `faulty.draw` has it."""
    calls = 0
    for number in range(count):
        call = 1
        while draw(number, call) < share:
            call += 1
        calls += call
    return calls


def all_right(ran: Ran) -> list[tuple[str, float, float]]:
    return [("not answered rightly", ran.wrong + ran.given_up, 0)]


def noisy(ran: Ran) -> list[tuple[str, float, float]]:
    calls = needed(1000, 0.12)
    return [
        *all_right(ran),
        ("calls, of those needed", ran.stats["calls"] / calls, 1.01),
        ("wall time, of the serving time", ran.seconds / (calls * SERVICE / 32), 2),
    ]


def paused(lasts: float, probes: int) -> Callable[[Ran], list[tuple[str, float, float]]]:
    ideal = lasts + 0.5 + 1000 * SERVICE / 32
    return lambda ran: [
        *all_right(ran),
        ("calls into the outage", ran.stats["in_outage"], 32 + probes),
        ("wall time, of what the provider allows", ran.seconds / ideal, 1.15),
    ]


def capacity(places: int) -> Callable[[Ran], list[tuple[str, float, float]]]:
    return lambda ran: [
        *all_right(ran),
        ("capacity left unused", 1 - ran.stats["served"] * SERVICE / (places * ran.stats["seconds"]), 0.1),
        ("refused after the first 100 calls", ran.stats["refused_late"] / ran.stats["calls"], 0.02),
    ]


def goodput(ran: Ran) -> list[tuple[str, float, float]]:
    possible = (ran.stats["seconds"] - 10) * 16 / SERVICE  # it was out for ten seconds
    return [*all_right(ran), ("share of the possible goodput missed", 1 - ran.stats["served"] / possible, 0.15)]


def down(ran: Ran) -> list[tuple[str, float, float]]:
    return [*all_right(ran), ("wall time, of what the provider allows", ran.seconds / (60 + 5000 * SERVICE / 32), 1.15)]


PLANS = (
    Plan("10 % 429 (retry-after) and 2 % 500", "overload", 1000, 32, noisy),
    Plan("quota used up for 30 s, stated", "quota30", 1000, 32, paused(30, 2)),
    Plan("quota used up for 30 s, not stated", "quota30-no-header", 1000, 32, paused(30, 15)),
    Plan("quota used up for 90 s, stated", "quota90", 1000, 32, paused(90, 2)),
    Plan("connections reset for 20 s", "resets20", 1000, 32, paused(20, 10)),
    Plan("16 % rubbish of eight kinds", "rubbish", 1000, 32, all_right),
    Plan("capacity 16 + queue 8, 64 at once", "capacity16", 2000, 64, capacity(16)),
    Plan("capacity 4 + queue 2, 64 at once", "capacity4", 1000, 64, capacity(4)),
    Plan("all of it, and capacity 16", "everything", 6000, 64, goodput),
    Plan("nothing listens for 60 s", "down60", 5000, 32, down),
)


def identical() -> tuple[str, int]:
    """Ask one question fifty times at once."""
    with serving("fine") as port, tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        questions = write_questions(folder, [7] * 50)
        subprocess.run(command(port, questions, folder, 64), stdout=subprocess.DEVNULL, check=True)
        assert [row["answer"] for row in rows_of(folder)] == [answer_to(7)] * 50
        calls = int(stats_of(port)["calls"])
    return f"50 identical at once: {calls} call", calls - 1


def killed() -> tuple[str, int]:
    """Kill a run half-way and start it again: what is paid again beyond what was in flight."""
    with serving("fine") as port, tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        run = command(port, write_questions(folder, list(range(1000))), folder, 32)
        with subprocess.Popen(run, stdout=subprocess.DEVNULL) as process:
            while stats_of(port)["served"] < 500:
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
        subprocess.run(run, stdout=subprocess.DEVNULL, check=True)
        assert [row["answer"] for row in rows_of(folder)] == [answer_to(number) for number in range(1000)]
        again = int(stats_of(port)["calls"]) - 1000
    return f"killed at 500 of 1,000 and started again: {again} calls again, at most 32", again - 32


def main() -> None:
    wanted = sys.argv[1:]
    plans = [plan for plan in PLANS if not wanted or plan.scenario in wanted]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}\n")
    print(f"| | tamiz | {' | '.join(PEERS.values())} |\n|---|---|{'---|' * len(PEERS)}")
    missed = []
    for plan in plans:
        ours = with_tamiz(plan)
        cells = [str(ours), *(str(with_peer(client, plan)) for client in PEERS)]
        print(f"| {plan.what} | {' | '.join(cells)} |", flush=True)
        for what, figure, bound in plan.required(ours):
            line = f"{plan.what}: {what} {figure:.3g}, at most {bound:.3g}"
            print(f"  {'ok    ' if figure <= bound else 'MISSED'} {line}", file=sys.stderr, flush=True)
            missed += [line] * (figure > bound)
    for check in (identical, killed) if not wanted else ():
        line, over = check()
        print(f"  {'ok    ' if over <= 0 else 'MISSED'} {line}", file=sys.stderr, flush=True)
        missed += [line] * (over > 0)
    assert all(plan.scenario in SCENARIOS for plan in PLANS)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
