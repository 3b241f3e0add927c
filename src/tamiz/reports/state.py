"""The report of a state file."""

import contextlib
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tamiz.errors import StateError
from tamiz.reports.document import Document, Figure, Table
from tamiz.reports.numbers import count, duration, percent
from tamiz.reports.plots.bar import bar
from tamiz.reports.plots.flow import ARRIVED, flow
from tamiz.reports.plots.latency import latency
from tamiz.reports.plots.scores import Scores, scores
from tamiz.reports.plots.words import words
from tamiz.reports.spread import Spread
from tamiz.reports.timeline import Timeline
from tamiz.statefile import read_only
from tamiz.store.texts import reasons_of
from tamiz.vocabulary.analysis import analyse

__all__ = ["state_report"]

_CHUNK: Final = 50_000
_OUTCOMES: Final = ("accepted", "exhausted", "failed")
_SOURCES: Final = ("model", "coalesced", "cache", "store")
_OF_SETTINGS: Final = 12
"""The first so many digits of a `message_id` are the same for all questions under the same settings."""

Floats = NDArray[np.float64]


def state_report(path: str) -> Document:
    """Read a state file, also while a run writes it, in memory that does not grow with it.

    Raises `StateError` where it is not one that this version reads.
    """
    with contextlib.closing(read_only(path, another="tamiz report FILE")) as db:
        try:
            db.execute("BEGIN")  # everything as of one moment
            return _Reading(db, path).document()
        except sqlite3.Error as error:
            raise StateError(f"the state file {path} cannot be read: {error}. See: tamiz doctor") from error


class _Reading:
    """One pass over the outcomes, one over the refused attempts and one over the questions."""

    def __init__(self, db: sqlite3.Connection, path: str) -> None:
        self._db = db
        self._path = path
        text = self._one("SELECT max(value) FROM meta WHERE name = 'shape'")
        self._settings: dict[str, Any] = json.loads(text) if text else {}
        found = self._settings.get("threshold")
        self._threshold = float(found) if isinstance(found, int | float) else None
        self._start: float | None = self._one("SELECT min(created_at) FROM questions")
        self._end: float | None = self._one("SELECT max(finished_at) FROM outcomes")
        self._ended: Counter[tuple[str, str]] = Counter()
        self._whole = {source: Spread() for source in _SOURCES}
        self._calls: dict[str, Spread] = {}
        self._scores = Scores()
        self._timeline = Timeline()
        self._attempts: Counter[int] = Counter()
        self._against: Counter[str] = Counter()
        self._shapes: set[str] = set()

    def document(self) -> Document:
        self._read_outcomes()
        self._read_refused()
        self._read_questions()
        questions: int = self._one("SELECT count(*) FROM questions")
        calls: int = self._one("SELECT coalesce(sum(calls), 0) FROM usage")
        by_outcome = {each: sum(n for (o, _), n in self._ended.items() if o == each) for each in _OUTCOMES}
        ended = sum(by_outcome.values())
        document = Document(
            title=f"Report of {Path(self._path).name}",
            lead=self._lead(questions, ended),
            facts=[
                ("questions", count(questions)),
                *(
                    (outcome, f"{count(n)} ({percent(n / ended)})" if ended else "0")
                    for outcome, n in by_outcome.items()
                ),
                ("open", count(questions - self._known_ended())),
                ("model calls", count(calls)),
            ],
            parameters=[
                (name, "none" if value in {None, ""} else str(value)) for name, value in self._settings.items()
            ],
        )
        if self._start is not None and self._end is not None:
            document.facts.append(("from the first question to the last outcome", duration(self._end - self._start)))
        document.figures = [figure for figure in self._figures() if figure is not None]
        document.tables = [table for table in self._tables() if table.rows]
        if not ended:
            document.missing.append("No question has an outcome yet, so there is little to show.")
        elif not sum(self._scores.first):
            document.missing.append("No answer of a model has a score, so there is no plot of scores.")
        if len(self._shapes) > 1:
            document.missing.append(
                f"The file holds questions under {len(self._shapes)} different settings. They are shown together; the "
                "parameters and the threshold are those of the last run."
            )
        return document

    def _lead(self, questions: int, ended: int) -> str:
        if self._start is None:
            return "The state file holds no questions."
        when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self._start))
        reused = sum(n for (outcome, source), n in self._ended.items() if outcome == "accepted" and source != "model")
        accepted = sum(n for (outcome, _), n in self._ended.items() if outcome == "accepted")
        said = f"The first of {count(questions)} questions was asked at {when}. "
        if not ended:
            return said + "None has an outcome yet."
        said += f"{percent(accepted / ended)} of the {count(ended)} outcomes are accepted answers"
        return said + (f"; {percent(reused / accepted)} of these cost no model call of their own." if reused else ".")

    def _figures(self) -> Iterator[Figure | None]:
        yield flow(self._timeline)
        yield latency(
            "latency",
            "From question to outcome, by source of the answer",
            "answers",
            "Accepted and exhausted questions; from the moment they were submitted, waiting included.",
            self._whole,
        )
        yield latency(
            "calls",
            "Model calls that gave an answer",
            "calls",
            "As the model's client timed them; without waiting, and without calls that failed.",
            dict(sorted(self._calls.items())),
        )
        yield scores(self._scores, self._threshold)
        yield bar(self._scores, self._threshold)
        yield self._words()

    def _words(self) -> Figure | None:
        return words(analyse(self._path))

    def _tables(self) -> Iterator[Table]:
        yield Table(
            "Outcomes by source",
            ("outcome", "source", "questions"),
            [(outcome, source or "none", count(n)) for (outcome, source), n in sorted(self._ended.items())],
        )
        yield Table(
            "Attempts that a model's answer took",
            ("attempts", "questions"),
            [(str(attempts), count(n)) for attempts, n in sorted(self._attempts.items())],
            "Accepted and exhausted questions whose answer is a model's own.",
        )
        yield Table(
            "What spoke most against answers that fell short",
            ("check", "answers"),
            [(check, count(n)) for check, n in sorted(self._against.items(), key=lambda pair: (-pair[1], pair[0]))],
        )
        yield Table(
            "Failed calls by kind",
            ("kind", "calls"),
            [
                (kind, count(n))
                for kind, n in self._db.execute(
                    "SELECT result, count(*) FROM attempts WHERE result != 'refused' GROUP BY 1 ORDER BY 2 DESC, 1"
                )
            ],
        )
        yield Table(
            "Dead letters by kind",
            ("kind", "questions"),
            [
                (kind or "none", count(n))
                for kind, n in self._db.execute(
                    "SELECT kind, count(*) FROM outcomes WHERE outcome = 'failed' GROUP BY 1 ORDER BY 2 DESC, 1"
                )
            ],
        )
        yield Table(
            "Models",
            ("model", "calls", "prompt tokens", "completion tokens"),
            [
                (model, *map(count, numbers))
                for model, *numbers in self._db.execute(
                    "SELECT model, calls, prompt_tokens, completion_tokens FROM usage ORDER BY model"
                )
            ],
        )

    def _read_outcomes(self) -> None:
        sql = (
            "SELECT outcome, source, score, attempt, attempts, latency_ms, finished_at, created_at, model "
            "FROM outcomes LEFT JOIN questions USING (message_id)"
        )
        for rows in self._chunks(sql):
            outcomes, sources, values, attempt, attempts, took, finished, created, models = zip(*rows, strict=True)
            outcome, source = np.array(outcomes), np.array([each or "" for each in sources])
            self._ended.update(zip(outcomes, source.tolist(), strict=True))
            ended = np.array(finished, dtype=float)
            whole = (ended - _floats(created)) * 1000
            answered = outcome != "failed"
            for name, spread in self._whole.items():
                spread.add(whole[answered & (source == name)])
            for name in _OUTCOMES:
                self._timeline.add(name, ended[outcome == name] - (self._start or 0.0))
            own = answered & (source == "model")
            self._attempts.update(np.array(attempts)[own].tolist())
            # the answer that an exhausted question keeps is among the refused attempts
            passed = own & (outcome == "accepted")
            first = np.array([each == 1 for each in attempt])
            everywhere = np.ones(int(passed.sum()), dtype=bool)
            self._scores.add(_floats(values)[passed], everywhere, first[passed], self._threshold)
            self._time_calls(np.array([each or "" for each in models])[passed], _floats(took)[passed])

    def _read_refused(self) -> None:
        sql = "SELECT score, attempt, latency_ms, model, reasons FROM attempts WHERE result = 'refused'"
        for rows in self._chunks(sql):
            values, attempt, took, models, reasons = zip(*rows, strict=True)
            self._against.update(told[0].partition(": ")[0] for told in map(reasons_of, reasons) if told)
            nowhere = np.zeros(len(rows), dtype=bool)
            self._scores.add(_floats(values), nowhere, np.array(attempt) == 1, self._threshold)
            self._time_calls(np.array([each or "" for each in models]), _floats(took))

    def _read_questions(self) -> None:
        for rows in self._chunks("SELECT created_at, message_id FROM questions"):
            created, ids = zip(*rows, strict=True)
            self._timeline.add(ARRIVED, np.array(created, dtype=float) - (self._start or 0.0))
            self._shapes.update(each[:_OF_SETTINGS] for each in ids)

    def _time_calls(self, models: NDArray[np.str_], took: Floats) -> None:
        for model in np.unique(models).tolist():
            self._calls.setdefault(model, Spread()).add(took[models == model])

    def _known_ended(self) -> int:
        found: int = self._one("SELECT count(*) FROM outcomes JOIN questions USING (message_id)")
        return found

    def _one(self, sql: str) -> Any:  # noqa: ANN401 - the column's
        return self._db.execute(sql).fetchone()[0]

    def _chunks(self, sql: str) -> Iterator[Sequence[tuple[Any, ...]]]:
        cursor = self._db.execute(sql)
        while rows := cursor.fetchmany(_CHUNK):
            yield rows


def _floats(values: Sequence[float | None]) -> Floats:
    return np.array(values, dtype=float)  # None becomes a value that is not a number
