"""`tamiz report`: one page of a run, an experiment or traffic, that opens anywhere."""

import hashlib
import json
import re
import sqlite3
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from experiments import arrivals, caches
from rows import write_questions
from running import run_tamiz

MODEL = "simulated:?overload=0.1&invalid=0.05&quality=0.5&seed=1"
QUESTIONS = 1_000
UNREADABLE = """() => {
  const found = [];
  for (const plot of document.querySelectorAll('figure svg')) {
    const frame = plot.getBoundingClientRect();
    const texts = [...plot.querySelectorAll('text')].map(each => [each.textContent, each.getBoundingClientRect()]);
    for (const [n, [text, box]] of frame.width ? texts.entries() : []) {
      if (box.left < frame.left - 1 || box.right > frame.right + 1) found.push(`${text} is cut off`);
      for (const [other, its] of texts.slice(n + 1))
        if (Math.min(box.right, its.right) - Math.max(box.left, its.left) > 2 &&
            Math.min(box.bottom, its.bottom) - Math.max(box.top, its.top) > 4) found.push(`${text} is over ${other}`);
    }
  }
  return found;
}"""
"""Labels of the plots that are shown which are cut off, or lie over one another."""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a finished run of every outcome and source, and its report."""
    folder = tmp_path_factory.mktemp("report")
    questions = [
        {
            "id": str(n),
            "question": f"What is <b>number</b> {n % 800}?",
            "reference": f"number {n % 800} of them" if n % 9 else "",
        }
        for n in range(QUESTIONS)
    ]
    write_questions(folder / "q.csv", questions)
    done = run_tamiz("run", "q.csv", "--out", "rows.jsonl", "--attempts", "2", "--model", MODEL, cwd=folder)
    assert done.returncode == 3, done.stderr
    said = run_tamiz("report", cwd=folder)
    assert (said.returncode, said.stdout) == (0, "tamiz-report/report.html\n"), said.stderr
    return folder


@pytest.fixture(scope="module")
def pages(ran: Path) -> dict[str, Path]:
    """Give a page of each kind."""
    found = {"state": ran / "tamiz-report" / "report.html"}
    for name, make in (("caches", caches), ("arrivals", arrivals)):
        folder = make(ran / name)
        done = run_tamiz("report", name, cwd=ran)
        assert done.returncode == 0, done.stderr
        found[name] = folder / "report.html"
    (ran / "traffic").mkdir()
    events = [
        {"n": n, "at_s": n / 100, "sent_s": n / 100, "late_ms": 0.0, "ended_s": n / 100 + 0.2, "latency_ms": 200.0,
         "outcome": "accepted" if n % 5 else "failed", "rank": n % 30, "id": None, "question": "Q?"}
        for n in range(300)
    ]  # fmt: skip
    (ran / "traffic" / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    about = {"parameters": {"rate": 100.0}, "started": 1.79e9, "ended": 1.79e9 + 3, "events": "events.jsonl"}
    (ran / "traffic" / "run.json").write_text(json.dumps(about))
    assert run_tamiz("report", "traffic", cwd=ran).returncode == 0
    return {**found, "traffic": ran / "traffic" / "report.html"}


def text_of(page: Path) -> str:
    """Give what a reader sees, with plain blanks."""
    parts: list[str] = []

    class Parser(HTMLParser):
        def handle_data(self, data: str) -> None:
            parts.append(data)

    Parser().feed(page.read_text(encoding="utf-8"))
    return re.sub(r"\s+", " ", " ".join(parts))


def test_the_figures_are_those_of_the_run(ran: Path) -> None:
    rows = [json.loads(line) for line in (ran / "rows.jsonl").read_text().splitlines()]
    text = text_of(ran / "tamiz-report" / "report.html")
    assert f"questions {QUESTIONS:,} " in text
    for outcome in ("accepted", "exhausted", "failed"):
        number = sum(row["outcome"] == outcome for row in rows)
        assert 0 < number < QUESTIONS
        assert f"{outcome} ({number:,})" in text
        assert f"{number:,} {outcome}" in text
    with sqlite3.connect(ran / "tamiz.db") as db:
        (refused,) = db.execute(
            "SELECT count(*) FROM attempts WHERE result = 'refused' AND score IS NOT NULL"
        ).fetchone()
        accepted = sum(
            row["outcome"] == "accepted" and row["source"] == "model" and row["score"] is not None for row in rows
        )
    assert f"{accepted:,} of {accepted + refused:,} scored answers" in text
    assert "parts the two without exception" in text
    assert f"{QUESTIONS:,} questions arrived" in text
    assert "At the end none was open." in text


def test_the_same_data_give_the_same_bytes(ran: Path) -> None:
    def digests(folder: Path) -> dict[str, str]:
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}

    assert run_tamiz("report", "tamiz.db", "--out", "again", cwd=ran).returncode == 0
    first = digests(ran / "tamiz-report")
    assert first == digests(ran / "again")
    names = {Path(name).stem for name in first} - {"report"}
    assert names == {"flow", "latency", "calls", "scores", "threshold", "words"}
    assert set(first) == {"report.html"} | {f"{name}.{kind}" for name in names for kind in ("svg", "png")}


def test_a_page_needs_nothing_and_runs_nothing(pages: dict[str, Path]) -> None:
    for page in pages.values():
        html = page.read_text(encoding="utf-8")
        assert "default-src 'none'" in html
        assert "<script" not in html
        assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", html)
        ids = re.findall(r'\bid="([^"]*)"', html)
        assert len(ids) == len(set(ids))


def test_an_experiment_without_single_questions_has_its_plots(pages: dict[str, Path]) -> None:
    text = text_of(pages["caches"])
    assert "Hit ratio by cache size" in text
    assert "belady, which knows the future" in text
    assert "From question to outcome" not in text
    assert "[grid] name = '<script>'" in text


def test_an_experiment_with_single_questions_has_all_plots(pages: dict[str, Path]) -> None:
    text = text_of(pages["arrivals"])
    for title in ("by arrivals", "by source of the answer", "Scores of the answers", "Questions waiting, over time"):
        assert title in text
    assert "2 repetitions are few. The bootstrap interval of so few holds the true mean in some 50 of 100 cases" in text
    assert "8 of 16 runs are measured" in text
    assert "runs are measured" not in text_of(pages["caches"])


def test_a_traffic_run_has_its_plots(pages: dict[str, Path]) -> None:
    text = text_of(pages["traffic"])
    assert "Outcomes: 240 accepted and 60 failed." in text
    assert "300 times one of 30 different questions was asked. 30 questions were asked most, 10 times each" in text


def test_a_traffic_run_without_a_schedule_says_from_when_it_measures(tmp_path: Path) -> None:
    """And that a question that was submitted has ended before it is answered."""
    event = {"at_s": None, "late_ms": None, "sent_s": 0.1, "ended_s": 0.2, "latency_ms": 100.0, "outcome": "submitted"}
    (tmp_path / "events.jsonl").write_text(json.dumps(event) + "\n")
    (tmp_path / "run.json").write_text('{"parameters": {"duration": null}, "ended": 1.79e9}')
    assert run_tamiz("report", ".", cwd=tmp_path).returncode == 0
    text = text_of(tmp_path / "report.html")
    assert "From sending to the end, by outcome" in text
    assert "There was no schedule: from when a question was sent." in text
    assert "The end of what was submitted is that the service had taken it, not its answer." in text
    assert "duration none" in text


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("missing", "there is no 'missing'"),
        ("empty", "neither an experiment.json nor a run.json"),
        ("rows.jsonl", "not a state file of tamiz (file is not a database). Choose another: tamiz report FILE"),
        ("broken", "experiment.json' cannot be read"),
        ("killed", "'killed' has no cells.parquet yet: a `tamiz experiment` that was killed gathers its cells"),
    ],
)
def test_what_is_no_report_is_told(ran: Path, path: str, said: str) -> None:
    for name in ("empty", "broken", "killed"):
        (ran / name).mkdir(exist_ok=True)
    (ran / "broken" / "experiment.json").write_text("{")
    (ran / "killed" / "experiment.json").write_text("{}")
    done = run_tamiz("report", path, cwd=ran)
    assert done.returncode in {1, 2}
    assert said in done.stderr
    assert done.stderr.count("\n") <= 2
    assert "Traceback" not in done.stderr


def test_a_run_that_has_only_begun_has_a_report(tmp_path: Path) -> None:
    write_questions(tmp_path / "q.csv", [{"id": "1", "question": "One?", "reference": "one"}])
    assert (
        run_tamiz("run", "q.csv", "--out", "o.jsonl", "--model", "simulated:?quality=1", cwd=tmp_path).returncode == 0
    )
    with sqlite3.connect(tmp_path / "tamiz.db") as db:
        db.execute("DELETE FROM outcomes")
    done = run_tamiz("report", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text = text_of(tmp_path / "tamiz-report" / "report.html")
    assert "No question has an outcome yet" in text
    assert "At the end 1 was open." in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_a_page_is_right_in_a_browser(pages: dict[str, Path], browser: Browser, scheme: str, width: int) -> None:
    """Nothing sticks out or overlaps, no network is asked, one plot of two is shown, axe has nothing to complain."""
    for name, path in pages.items():
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        page = context.new_page()
        said: list[str] = []
        asked: list[str] = []
        page.on("console", partial(_note, said, "text"))
        page.on("request", partial(_note, asked, "url"))
        page.goto(path.as_uri())
        assert (said, asked) == ([], [path.as_uri()])
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        shown = page.evaluate("[...document.querySelectorAll('figure svg')].map(e => e.getBoundingClientRect().width)")
        assert len(shown) == 2 * sum(each > 0 for each in shown) > 0
        assert page.evaluate(UNREADABLE) == [], name
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 28)"
        assert dark is (scheme == "dark")
        for summary in page.locator("summary").all():
            summary.click()
        found = Axe().run(page)
        assert not found.response["violations"], (name, found.generate_report())
        context.close()


def _note(notes: list[str], name: str, event: object) -> None:
    notes.append(getattr(event, name))
