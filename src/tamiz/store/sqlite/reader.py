"""Reads a state file from outside, also while a run writes it."""

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Self

from tamiz.effects import EndpointState
from tamiz.errors import NoSuchQuestion, StateError, UnreadableMessage
from tamiz.messages import LlmError, LlmRequest, LlmResponse, Outcome, RegenerationRequest, decode
from tamiz.scoring import as_given
from tamiz.statefile import read_only
from tamiz.store.lives import Answered, Dead, Ended, Life, Match, Page, Place, ResultRow, Status, Tried, Waiting, Wanted
from tamiz.store.sqlite.pages import answered, figures_of, recent, selected
from tamiz.store.texts import reasons_of

__all__ = ["StateReader", "holder"]

_PAGE: Final = 500
"""Rows read at once. Each page is a read of its own, so that a slow reader keeps no old state of the file alive."""

_HEX: Final = frozenset("0123456789abcdef")
_LOOKS_LIKE_AN_ID: Final = 12

_MATCH: Final = (
    "SELECT message_id, question_id, title, outcome FROM questions LEFT JOIN outcomes USING (message_id) WHERE "
)
_DEAD: Final = (
    "SELECT kind, reason, question_id, title, content, best_answer, model, attempts, retries, finished_at, message_id "
    "FROM outcomes INDEXED BY failed JOIN questions USING (message_id) WHERE outcome = 'failed' "
)
_FINISHED: Final = (
    "SELECT question_id, title, answer, outcome, score, source, attempts, retries, reason, model, latency_ms, "
    "message_id"
)


class StateReader:
    """A state file, opened for reading; whoever works on it goes on undisturbed.

    Raises `StateError` where it does not exist, is not a state file that this version reads, or is damaged.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._db = read_only(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def find(self, text: str, limit: int) -> list[Match]:
        """Give up to `limit` questions that a user may mean by `text`, of the first kind that has any.

        The kinds: a `message_id`, the dataset's id, the beginning of a `message_id`; of a text that looks like a
        long beginning, the last two change places, since the dataset's ids take a look at every question.
        """
        exact = self._matches("message_id = ?", (text,), limit)
        if exact:
            return exact
        ways: list[tuple[str, tuple[str, ...]]] = [("question_id = ?", (text,))]
        if text and _HEX.issuperset(text):
            by_beginning = ("message_id >= ? AND message_id < ?", (text, text + "g"))
            ways.insert(0 if len(text) >= _LOOKS_LIKE_AN_ID else 1, by_beginning)
        return next((found for where, values in ways if (found := self._matches(where, values, limit))), [])

    def life(self, message_id: str) -> Life:
        """Give all that is known of a submission. Raises `NoSuchQuestion` where there is none of that id."""
        with self._moment():
            rows = self._rows(
                "SELECT question_id, title, content, best_answer, cache_key, created_at, tenant FROM questions "
                "WHERE message_id = ?",
                (message_id,),
            )
            if not rows:
                raise NoSuchQuestion(f"no question {message_id} is in {self._path}")
            id_, title, content, best_answer, key, created_at, tenant = rows[0]
            outcome = self._outcome(message_id)
            return Life(
                message_id=message_id,
                id=id_,
                question=title,
                content=content,
                reference=as_given(best_answer),
                cache_key=key,
                created_at=created_at,
                tenant=tenant,
                tried=self._tried(message_id),
                place=None if outcome else self._place(message_id, key),
                outcome=outcome,
            )

    def status(self) -> Status:
        """Count everything, at one moment. It reads the whole file."""
        with self._moment():
            questions: int = self._one("SELECT count(*) FROM questions")
            outcomes: dict[str, int] = {}
            sources: dict[str, int] = {}
            for outcome, source, count in self._rows("SELECT outcome, source, count(*) FROM outcomes GROUP BY 1, 2"):
                outcomes[outcome] = outcomes.get(outcome, 0) + count
                if outcome != Outcome.FAILED:
                    sources[source] = count + sources.get(source, 0)
            return Status(
                questions=questions,
                open=questions - sum(outcomes.values()),
                outcomes={outcome: outcomes.get(outcome, 0) for outcome in Outcome},
                sources=sources,
                dead_letters=self.dead_kinds(),
                log=dict(self._rows("SELECT topic, count(*) FROM log GROUP BY topic ORDER BY topic")),
                parked=self._one("SELECT count(*) FROM parked"),
                deferred=self._one("SELECT count(*) FROM deferrals"),
                next_due=self._one("SELECT min(due) FROM deferrals"),
                claims=self._one("SELECT count(*) FROM claims"),
                model_calls=self._one("SELECT coalesce(sum(calls), 0) FROM usage")
                + self._meta("lost_calls")
                + self._meta("reserved_calls"),
                tokens=self._one("SELECT coalesce(sum(prompt_tokens + completion_tokens), 0) FROM usage"),
                endpoints=self._endpoints(),
                process=holder(self._path),
            )

    def waiting(self) -> Waiting:
        """Count what waits and what failed; it reads little of the file."""
        with self._moment():
            return Waiting(
                parked=self._one("SELECT count(*) FROM parked"),
                deferred=self._one("SELECT count(*) FROM deferrals"),
                next_due=self._one("SELECT min(due) FROM deferrals"),
                dead_letters=self.dead_kinds(),
                endpoints=self._endpoints(),
            )

    def dead_kinds(self, tenant: str | None = None) -> dict[str, int]:
        """Count dead letters by kind, those of one tenant or all."""
        of_tenant, values = ("", ()) if tenant is None else ("JOIN questions USING (message_id)", (tenant,))
        return dict(
            self._rows(
                f"SELECT kind, count(*) FROM outcomes INDEXED BY failed {of_tenant} "  # noqa: S608 - a constant
                f"WHERE outcome = 'failed' {'AND tenant = ?' if values else ''} GROUP BY kind",
                values,
            )
        )

    def dead(self, kind: str | None, limit: int | None = None, tenant: str | None = None) -> Iterator[list[Dead]]:
        """Give dead letters of one kind or all, page by page, by kind and then in the order of their submission."""
        filters = {"kind": kind, "tenant": tenant}
        given = {name: value for name, value in filters.items() if value is not None}
        order = f"AND (kind, message_id) > (?, ?) {' '.join(f'AND {name} = ?' for name in given)}"
        order += " ORDER BY kind, message_id"
        last = ("", "")
        while limit is None or limit > 0:
            size = _PAGE if limit is None else min(limit, _PAGE)
            rows = self._rows(f"{_DEAD} {order} LIMIT {size}", (*last, *given.values()))
            if not rows:
                return
            page = [Dead(**dict(zip(Dead.__struct_fields__, row, strict=True))) for row in rows]
            yield page
            last = page[-1].kind, page[-1].message_id
            limit = None if limit is None else limit - len(page)

    def finished(self, wanted: Wanted) -> Iterator[list[ResultRow]]:
        """Give those that are wanted, page by page, ordered by `message_id`."""
        tail, (last, *values) = selected(wanted, "", _PAGE)
        while rows := self._rows(f"{_FINISHED} {tail}", (last, *values)):
            page = [ResultRow(*row) for row in rows]
            yield page
            last = page[-1].message_id

    def page(self, wanted: Wanted, after: str, limit: int) -> Page:
        """Give the first of those that are wanted whose `message_id` comes after `after`, at most `limit` of them."""
        return Page.of(answered(self._each, wanted, after, limit + 1), limit)

    def asked(self, message_ids: Sequence[str]) -> set[str]:
        """Tell which of these submissions are known, with an outcome or without."""
        marks = ", ".join("?" * len(message_ids))
        rows = self._rows(f"SELECT message_id FROM questions WHERE message_id IN ({marks})", message_ids)  # noqa: S608
        return {row[0] for row in rows}

    def recent(self, limit: int, tenant: str | None = None) -> list[Answered]:
        """Give those that ended last, the last one first; of one tenant, those among the last `LOOKED_BACK` of all."""
        return recent(self._each, limit, tenant)

    def metrics(self, now: float, tenant: str | None = None) -> dict[str, Any]:
        """Count everything, or what is a tenant's, at one moment. It reads the whole file."""
        with self._moment():
            return figures_of(self._each, now, tenant)

    def damage(self, seconds: float) -> str | None:
        """Look for damage, for at most so many seconds, and give the first that is found, or `None`.

        Raises `TimeoutError` where the time was too short to look at everything; nothing was found up to there.
        """
        until = time.monotonic() + seconds
        # it is asked every so many steps of SQLite's machine; saying yes interrupts the statement
        self._db.set_progress_handler(lambda: time.monotonic() > until, 100_000)
        try:
            found: str = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                raise TimeoutError from None
            return str(error)
        except sqlite3.Error as error:
            return str(error)
        finally:
            self._db.set_progress_handler(None, 0)
        return None if found == "ok" else " ".join(found.split())

    def _endpoints(self) -> list[EndpointState]:
        sql = "SELECT name, since, opens_at, kind, reason, probes FROM endpoints ORDER BY name"
        return [EndpointState(*row) for row in self._rows(sql)]

    def _outcome(self, message_id: str) -> Ended | None:
        names = ", ".join(Ended.__struct_fields__)
        rows = self._rows(f"SELECT {names} FROM outcomes WHERE message_id = ?", (message_id,))  # noqa: S608 - our names
        if not rows:
            return None
        told = dict(zip(Ended.__struct_fields__, rows[0], strict=True))
        return Ended(**{**told, "reasons": reasons_of(told["reasons"])})

    def _tried(self, message_id: str) -> list[Tried]:
        names = ", ".join(Tried.__struct_fields__)
        rows = self._rows(
            f"SELECT {names} FROM attempts WHERE message_id = ? ORDER BY at, attempt, retry, result",  # noqa: S608
            (message_id,),
        )
        told = [dict(zip(Tried.__struct_fields__, row, strict=True)) for row in rows]
        return [Tried(**{**each, "reasons": reasons_of(each["reasons"])}) for each in told]

    def _place(self, message_id: str, key: str) -> Place | None:
        deferred = self._rows(
            "SELECT due, event FROM deferrals WHERE message_id = ? ORDER BY due DESC LIMIT 1", (message_id,)
        )
        if deferred:
            due, value = deferred[0]
            attempt, retry = _tried_so_far(value)
            return Place(kind="deferred", due=due, attempt=attempt, retry=retry)
        if self._rows("SELECT 1 FROM parked WHERE message_id = ?", (message_id,)):
            leader = self._one("SELECT max(leader) FROM claims WHERE cache_key = ?", (key,))
            return Place(kind="parked", leader=leader)
        # Of several records the last is where it is now; those before it only wait to be remembered.
        for topic, value in self._rows("SELECT topic, value FROM log WHERE key = ? ORDER BY seq DESC", (key,)):
            with contextlib.suppress(UnreadableMessage):
                if decode(value).message_id == message_id:
                    attempt, retry = _tried_so_far(value)
                    return Place(kind="log", topic=topic, attempt=attempt, retry=retry)
        return None

    def _matches(self, where: str, values: Sequence[str], limit: int) -> list[Match]:
        rows = self._rows(f"{_MATCH} {where} ORDER BY message_id LIMIT {limit}", values)
        return [Match(message_id=row[0], id=row[1], question=row[2], outcome=row[3]) for row in rows]

    def _meta(self, name: str) -> int:
        return self._one("SELECT max(value) FROM meta WHERE name = ?", (name,)) or 0

    def _one(self, sql: str, values: Sequence[Any] = ()) -> Any:  # noqa: ANN401 - the column's
        return self._rows(sql, values)[0][0]

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        return [*self._each(sql, values)]

    def _each(self, sql: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        try:
            yield from self._db.execute(sql, values)
        except sqlite3.Error as error:
            raise StateError(
                f"the state file {self._path} cannot be read: {error}. See: tamiz doctor --state {self._path}"
            ) from error

    @contextlib.contextmanager
    def _moment(self) -> Iterator[None]:
        """Have all reads of the block see the file as it is at the first of them."""
        self._rows("BEGIN")
        try:
            yield
        finally:
            with contextlib.suppress(StateError):
                self._rows("ROLLBACK")


def _tried_so_far(value: bytes) -> tuple[int | None, int | None]:
    """Give the attempt and the retry that an event is about; `None` where it is not about a model call."""
    with contextlib.suppress(UnreadableMessage):
        event = decode(value)
        if isinstance(event, LlmRequest | LlmResponse | LlmError | RegenerationRequest):
            return event.attempt, event.retry
    return None, None


def holder(path: str) -> int | None:
    """Give the process that works on a state file, or `None` where none does.

    A process that was killed leaves its lock's file behind but not the lock, so this tries the lock, for a moment.
    """
    try:
        lock = os.open(os.path.realpath(path) + ".lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(lock, 32, 0).decode(errors="replace").strip()
        return int(text) if text.isdecimal() else 0
    except OSError:
        return None
    finally:
        os.close(lock)
    return None
