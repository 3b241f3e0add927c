"""How long the vocabulary of a million answered questions takes, and the report of a state file with them.

`PYTHONPATH=src python bench/vocabulary.py [ROWS]`; each is measured in a process of its own, with its peak memory.
"""

import random
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from tamiz.statefile import StateFile

ROWS = 1_000_000
SHAPE = '{"threshold": 0.3, "model": "bench"}'


def texts(rng: random.Random, count: int, least: int, most: int) -> list[str]:
    """Make texts of so many words, which come by Zipf's law from a vocabulary of 20,000."""
    vocabulary = ["".join(rng.choices("etaoinshrdlucmfwáéñ", k=rng.randint(2, 10))) for _ in range(20_000)]
    weights = [1 / rank for rank in range(1, len(vocabulary) + 1)]
    return [
        " ".join(rng.choices(vocabulary, weights, k=rng.randint(least, most))).capitalize() + "." for _ in range(count)
    ]


def make_state(path: Path, rows: int) -> None:
    """Make a state file: references of 1 to 40 words, answers of 5 to 60; one in three was refused once before."""
    rng = random.Random(2008)
    people, models = texts(rng, 50_000, 1, 40), texts(rng, 50_000, 5, 60)
    StateFile(path).close()
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO meta (name, value) VALUES ('shape', ?)", (SHAPE,))
        for start in range(0, rows, 50_000):
            numbers = range(start, min(start + 50_000, rows))
            db.executemany(
                "INSERT INTO questions (message_id, trace_id, title, content, best_answer, cache_key, created_at) "
                "VALUES (?, '', 'Q?', '', ?, ?, ?)",
                [(f"{n:032x}", rng.choice(people), f"{n:032x}", 1.79e9 + n / 1000) for n in numbers],
            )
            db.executemany(
                "INSERT INTO outcomes (message_id, cache_key, outcome, source, answer, score, attempt, attempts, "
                "retries, model, latency_ms, leader, finished_at) "
                "VALUES (?, ?, 'accepted', 'model', ?, ?, ?, ?, 0, 'bench', ?, '', ?)",
                [
                    (
                        f"{n:032x}", f"{n:032x}", rng.choice(models), rng.uniform(0.3, 1), 1 + (n % 3 == 0),
                        1 + (n % 3 == 0), rng.lognormvariate(6, 1), 1.79e9 + n / 1000 + rng.lognormvariate(0, 1),
                    )
                    for n in numbers
                ],
            )  # fmt: skip
            db.executemany(
                "INSERT INTO attempts (message_id, attempt, retry, result, answer, score, model, latency_ms, at) "
                "VALUES (?, 1, 0, 'refused', 'No.', ?, 'bench', ?, 0)",
                [(f"{n:032x}", rng.uniform(0, 0.3), rng.lognormvariate(6, 1)) for n in numbers if n % 3 == 0],
            )


def run(*arguments: str) -> tuple[float, float]:
    """Run `tamiz` in a process of its own; give the seconds and the MB at its peak."""
    start = perf_counter()
    code = (
        "import resource, subprocess, sys; "
        "done = subprocess.run([sys.executable, '-m', 'tamiz', *sys.argv[1:]], stdout=subprocess.DEVNULL); "
        "print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    returncode, peak = map(int, done.stdout.split())
    assert returncode == 0, done.stderr
    return perf_counter() - start, peak / 1024


def main(rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "tamiz.db"
        make_state(state, rows)
        size = state.stat().st_size / 2**20
        for command in (("vocabulary", str(state)), ("report", str(state), "--out", f"{folder}/out")):
            seconds, peak = run(*command)
            print(f"tamiz {command[0]} of {rows:,} answered questions ({size:,.0f} MB): {seconds:.1f} s, {peak:.0f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
