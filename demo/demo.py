"""Shows tamiz at work on this machine alone: a small local model, then 2,000 questions through faults and a kill -9."""

import io
import json
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent
OUT: Final = HERE / "out"

LOCAL: Final = "local:smollm2-135m"
LOCAL_SECONDS: Final = 100.0
"""The local model is asked to stop after this time: not every machine is quick enough for all questions."""
INTERRUPTED: Final = 130
"""The exit code of a run that was stopped."""
PATIENCE: Final = 180.0
"""Seconds that a step of the second part gets before the demo gives it up."""

SHOWN: Final = {"4", "12", "13", "36"}
"""Rows worth a look: a wrong answer with the right words, one that cannot be scored, two plain ones."""

ASKED: Final = 2_000
DISTINCT: Final = 1_600
CONCURRENCY: Final = 16
FAULTY: Final = (
    "simulated:?latency=100ms&spread=0.5&overload=0.1&quota=0.02&timeout=0.01&invalid=0.002&quality=0.7&seed=7"
)

Summary = dict[str, Any]
Row = dict[str, Any]

_LINES: Final = (
    ("asked", "rows"),
    ("accepted", "accepted"),
    ("exhausted", "exhausted"),
    ("failed", "failed"),
    ("saved", "saved_calls"),
    ("retried", "failed_calls"),
    ("regenerated", "answers_refused"),
    ("model calls", "model_calls"),
)


class Checks:
    """What was checked, and whether all of it held."""

    def __init__(self) -> None:
        self.held = True

    def __call__(self, what: str, held: bool) -> None:  # noqa: FBT001 - a check is a sentence and its truth
        """Say whether it held."""
        print(f"  {'ok' if held else 'FAILED':<7} {what}")
        self.held = self.held and held


def main() -> int:
    """Run both parts; 0 only if every check held."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # in order with what tamiz itself prints
    print("tamiz asks every question, keeps the good answers, loses none, and pays again for no answer it holds.")
    print("1  a small language model on this machine answers 42 questions")
    print("2  a model with simulated faults gets 2,000 questions; the run is killed half-way and started again")
    print("3  what both came to")
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    check = Checks()
    local = ask_local_model(check)
    faulty = survive_a_kill(check)
    compare(local, faulty)
    print(f"\nThe rows and the state files are in {shown(OUT)}. For example:")
    print(f"  tamiz show 12 --state {shown(OUT / 'faults.db')}")
    print("all checks hold" if check.held else "a check FAILED, see above")
    return 0 if check.held else 1


def ask_local_model(check: Checks) -> Summary | None:
    """Part 1. `None` where the model cannot be had here."""
    title("1  A small language model on this machine")
    if find_spec("xllamacpp") is None:
        print("llama.cpp is not installed (pip install 'tamiz[local]'), so this part is left out.")
        return None
    pull = tamiz("models", "pull", LOCAL.partition(":")[2])
    say(pull)
    if subprocess.run(pull, stdout=subprocess.DEVNULL, check=False).returncode != 0:
        print("The model cannot be fetched here (see above), so this part is left out.")
        return None
    questions, rows = HERE / "questions.csv", OUT / "local.jsonl"
    # 0.2: a right answer is one or two words of the reference among some ten others
    options = ("--model", LOCAL, "--threshold", "0.2", "--attempts", "2", "--concurrency", "4")
    run = tamiz("run", questions, *options, "--state", OUT / "local.db", "--out", rows)
    code, summary = run_to_the_end(run, LOCAL_SECONDS, signal.SIGINT)
    if summary is None:
        check("the local model answers", held=False)
        return None
    written = read(rows)
    show_some(written)
    print("A score rewards words shared with the reference, not truth: some accepted answers are wrong.")
    if code == INTERRUPTED:
        print(f"This machine is slow: the run was stopped after {LOCAL_SECONDS:.0f} s. The same command would go on.")
    else:
        check("one row for each question, in order", ids(written) == [str(n + 1) for n in range(count_rows(questions))])
        check("repeated questions cost no call of their own", summary["saved_calls"] >= repeats(written))
    return summary


def survive_a_kill(check: Checks) -> Summary | None:
    """Part 2."""
    title(f"2  {ASKED:,} questions, faults, and a kill -9 half-way")
    questions, rows, state = OUT / "questions.jsonl", OUT / "faults.jsonl", OUT / "faults.db"
    references = write_questions(questions)
    options = ("--model", FAULTY, "--concurrency", str(CONCURRENCY))
    run = tamiz("run", questions, *options, "--state", state, "--out", rows)
    say(run, " &")
    outcomes = kill_half_way(run, state)
    check(f"killed with SIGKILL at {outcomes:,} of {ASKED:,} outcomes", ASKED / 4 < outcomes < ASKED)
    before = status(state)
    print("\nthe same command again:")
    _, summary = run_to_the_end(run, PATIENCE, signal.SIGKILL)
    if summary is None:
        check("the same command goes on", held=False)
        return None
    written = read(rows)
    outcomes_of = Counter(row["outcome"] for row in written)
    check(f"one row for each of the {ASKED:,} questions, in order", ids(written) == list(references))
    check("no submission twice", len({row["message_id"] for row in written}) == ASKED)
    check(
        "every outcome is accepted, exhausted or failed",
        outcomes_of["accepted"] + outcomes_of["exhausted"] + outcomes_of["failed"] == ASKED,
    )
    check(
        "every accepted answer holds its reference",
        all(references[row["id"]] in row["answer"] for row in written if row["outcome"] == "accepted"),
    )
    needed = summary["answers_judged"] + summary["failed_calls"]
    repeated = before["model_calls"] + summary["this_run"]["model_calls"] - needed
    check(f"of the calls before the kill, {repeated} were made again: at most {CONCURRENCY}", repeated <= CONCURRENCY)
    print("\nand once more without a kill, for comparison:")
    rows = OUT / "unharmed.jsonl"
    run = tamiz("run", questions, *options, "--quiet", "--state", OUT / "unharmed.db", "--out", rows)
    _, unharmed = run_to_the_end(run, PATIENCE, signal.SIGKILL)
    check("the same answers, outcomes and scores as without a kill", unharmed is not None and same(written, read(rows)))
    return summary


def kill_half_way(command: list[str], state: Path) -> int:
    """Start the command, kill it once half of the questions have an outcome, and give how many had."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    give_up = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < give_up:
        if finished(state) >= ASKED / 2:
            break
        time.sleep(0.05)
    process.kill()
    process.wait()
    return finished(state)


def run_to_the_end(command: list[str], most: float, then: signal.Signals) -> tuple[int, Summary | None]:
    """Run `tamiz run` and give its exit code and summary; after `most` seconds it gets the signal `then`."""
    say(command)
    with subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, text=True) as process:
        try:
            said, _ = process.communicate(timeout=most)
        except subprocess.TimeoutExpired:
            process.send_signal(then)
            said, _ = process.communicate()
    # 3: some questions failed. With these codes there is a summary.
    return process.returncode, json.loads(said) if process.returncode in {0, 3, INTERRUPTED} else None


def finished(state: Path) -> int:
    """Give how many questions have an outcome."""
    outcomes: dict[str, int] = status(state).get("outcomes", {})
    return sum(outcomes.values())


def status(state: Path) -> dict[str, Any]:
    """Give what `tamiz status` says; nothing where there is no state file yet."""
    command = tamiz("status", "--state", state, "--json")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
    return found


def write_questions(path: Path) -> dict[str, str]:
    """Write the generated questions, popular ones many times, and give the references by id."""
    rng = random.Random(7)
    asked = [question(rng) for _ in range(DISTINCT)]
    popularity = [1 / (rank + 1) for rank in range(DISTINCT)]  # Zipf's law
    references = {}
    with path.open("w", encoding="utf-8") as file:
        for number, (text, reference) in enumerate(rng.choices(asked, popularity, k=ASKED), start=1):
            file.write(json.dumps({"id": str(number), "question": text, "reference": reference}) + "\n")
            references[str(number)] = reference
    return references


def question(rng: random.Random) -> tuple[str, str]:
    """Make a question and its reference."""
    one, other = rng.randint(100, 999), rng.randint(10, 99)
    hours, minutes = divmod(60 * one - other, 60)
    kinds = (
        (f"What is {one} plus {other}?", str(one + other)),
        (f"What is {one} times {other}?", str(one * other)),
        (f"What is left of {one} hours after {other} minutes?", f"{hours} hours {minutes} minutes"),
    )
    return rng.choice(kinds)


def show_some(rows: list[Row]) -> None:
    """Print a few rows: the first of each kind, and some more."""
    seen: set[tuple[str, str]] = set()
    print(f"\n  {'question':<46} {'answer':<54} {'score':>5}  outcome")
    for row in rows:
        kind = (row["outcome"], row["source"])
        if kind in seen and row["id"] not in SHOWN:
            continue
        seen.add(kind)
        score = "none" if row["score"] is None else f"{row['score']:.2f}"
        answer = row["answer"] or f"({row['reason']})"
        print(f"  {cut(row['question'], 46):<46} {cut(answer, 54):<54} {score:>5}  {row['outcome']} ({row['source']})")
    print()


def compare(local: Summary | None, faulty: Summary | None) -> None:
    """Print both summaries side by side."""
    title("3  What both came to")
    print(f"  {'':<12} {'local model':>12} {'with faults':>12}")
    for name, key in _LINES:
        cells = ["-" if summary is None else f"{summary[key]:,}" for summary in (local, faulty)]
        print(f"  {name:<12} {cells[0]:>12} {cells[1]:>12}")


def same(some: list[Row], others: list[Row]) -> bool:
    """Tell whether two runs gave the same; how an answer was come by (`source`, times, ids) may differ."""
    return [essence(row) for row in some] == [essence(row) for row in others]


def essence(row: Row) -> tuple[object, ...]:
    """Give what a row says."""
    return (row["id"], row["question"], row["answer"], row["outcome"], row["score"])


def repeats(rows: list[Row]) -> int:
    """Count rows whose question was answered well before: those are never asked again."""
    good = Counter(row["question"] for row in rows if row["outcome"] == "accepted")
    return sum(count - 1 for count in good.values())


def read(path: Path) -> list[Row]:
    """Read JSON Lines."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def ids(rows: Iterable[Row]) -> list[str]:
    """Give the rows' ids, in their order."""
    return [row["id"] for row in rows]


def count_rows(path: Path) -> int:
    """Count the rows of a CSV file without line breaks in fields."""
    return len(path.read_text(encoding="utf-8").splitlines()) - 1


def tamiz(*arguments: str | Path) -> list[str]:
    """Give the command line of a tamiz command."""
    return [sys.executable, "-m", "tamiz", *(shown(each) if isinstance(each, Path) else each for each in arguments)]


def say(command: list[str], end: str = "") -> None:
    """Print a command as a user would type it."""
    print(f"$ tamiz {shlex.join(command[3:])}{end}")


def shown(path: Path) -> str:
    """Give a path as seen from the working directory."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def title(text: str) -> None:
    """Print a heading."""
    print(f"\n{text}\n{'-' * len(text)}")


def cut(text: str, most: int) -> str:
    """Give a text as one line of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


if __name__ == "__main__":
    sys.exit(main())
