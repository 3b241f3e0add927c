"""The state file: one SQLite database that one process writes, in transactions that span many events."""

import contextlib
import errno
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tamiz.errors import StateError

__all__ = ["FORMAT", "StateFile", "read_only"]

FORMAT: Final = 3
"""The version of the file's layout, kept in SQLite's `user_version`."""

_BY_FLAG: Final = "--state FILE"
"""How most commands are told of a state file."""
_APPLICATION_ID: Final = 0x74616D7A  # "tamz"

_SCHEMA: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE log (
    seq INTEGER PRIMARY KEY, topic TEXT NOT NULL, key TEXT NOT NULL, pending INTEGER NOT NULL, value BLOB NOT NULL
);
CREATE TABLE questions (
    message_id TEXT PRIMARY KEY, trace_id TEXT NOT NULL, question_id TEXT, title TEXT NOT NULL, content TEXT NOT NULL,
    best_answer TEXT, cache_key TEXT NOT NULL, created_at REAL NOT NULL, tenant TEXT NOT NULL DEFAULT '', terms TEXT
) WITHOUT ROWID;
CREATE INDEX of_tenant ON questions (tenant) WHERE tenant <> '';
CREATE TABLE outcomes (
    message_id TEXT PRIMARY KEY, cache_key TEXT NOT NULL, outcome TEXT NOT NULL, source TEXT, answer TEXT, score REAL,
    reason TEXT, kind TEXT, attempt INTEGER, attempts INTEGER NOT NULL, retries INTEGER NOT NULL, model TEXT,
    latency_ms REAL, leader TEXT NOT NULL, finished_at REAL NOT NULL, reasons TEXT, completion TEXT
) WITHOUT ROWID;
CREATE INDEX finished ON outcomes (finished_at);
CREATE TABLE reusable (cache_key TEXT PRIMARY KEY, message_id TEXT NOT NULL, score REAL) WITHOUT ROWID;
CREATE TABLE reusable_soon (seq INTEGER PRIMARY KEY, cache_key TEXT NOT NULL, message_id TEXT NOT NULL);
CREATE INDEX failed ON outcomes (kind) WHERE outcome = 'failed';
CREATE TABLE attempts (
    message_id TEXT NOT NULL, attempt INTEGER NOT NULL, retry INTEGER NOT NULL, result TEXT NOT NULL, answer TEXT,
    score REAL, reason TEXT, model TEXT, latency_ms REAL, at REAL NOT NULL, reasons TEXT,
    PRIMARY KEY (message_id, attempt, retry, result)
) WITHOUT ROWID;
CREATE TABLE claims (cache_key TEXT PRIMARY KEY, leader TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE parked (
    seq INTEGER PRIMARY KEY, cache_key TEXT NOT NULL, message_id TEXT NOT NULL UNIQUE, event BLOB NOT NULL
);
CREATE INDEX parked_by_key ON parked (cache_key, seq);
CREATE TABLE deferrals (
    message_id TEXT NOT NULL, attempt INTEGER NOT NULL, retry INTEGER NOT NULL, due REAL NOT NULL, event BLOB NOT NULL,
    PRIMARY KEY (message_id, attempt, retry)
) WITHOUT ROWID;
CREATE INDEX deferrals_by_due ON deferrals (due);
CREATE TABLE endpoints (
    name TEXT PRIMARY KEY, since REAL NOT NULL, opens_at REAL NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL,
    probes INTEGER NOT NULL, account TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE usage (
    model TEXT PRIMARY KEY, calls INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL
) WITHOUT ROWID;
"""

_UPGRADES: Final = {
    1: """
ALTER TABLE questions ADD COLUMN tenant TEXT NOT NULL DEFAULT '';
ALTER TABLE questions ADD COLUMN terms TEXT;
ALTER TABLE outcomes ADD COLUMN reasons TEXT;
ALTER TABLE outcomes ADD COLUMN completion TEXT;
CREATE INDEX finished ON outcomes (finished_at);
CREATE INDEX of_tenant ON questions (tenant) WHERE tenant <> '';
""",
    2: "ALTER TABLE attempts ADD COLUMN reasons TEXT;",
}
"""What makes a file of a format one of the next."""

_DISK_FULL: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_IOERR_SHMSIZE,
    }
)


class StateFile:
    """The database behind bus and store, held by one process at a time.

    What is written between two commits is one transaction: before the commit everyone in this process already sees it,
    and after a crash nobody does. What `commit` has returned from survives the death of the process; what `sync` has
    returned from after that survives a power cut. (SQLite's WAL mode with `synchronous=NORMAL`, where the commit does
    not wait for the disk, and the sync of the log that `FULL` would do in the commit, which a thread can do here.)
    """

    def __init__(self, path: str | Path) -> None:
        """Open or make the file; `:memory:` is a file that nobody else sees.

        Raises `StateError` where another process holds it, a newer tamiz wrote it, or it is not a state file.
        """
        self.path = str(path)
        self.broken = False
        """Whether a transaction was lost: memory and file differ then, and nothing more is committed."""
        self.folder = "." if self.path == ":memory:" else str(Path(self.path).resolve().parent)
        """Where the file is; there is room there, or the run stops anyway."""
        self._wal: int | None = None
        self._before_commit: list[Callable[[], None]] = []
        self._lock = None if self.path == ":memory:" else _Lock(self.path)
        try:
            self._db = _connect(self.path)
        except BaseException:
            # whatever it was, nobody will close a file that was never opened
            if self._lock is not None:
                self._lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @staticmethod
    def remove(path: str) -> None:
        """Remove a state file that nobody uses; one that is something else is left alone.

        Raises `StateError` where another process holds it or it is not a state file of this version.
        """
        StateFile(path).close()
        lock = _Lock(path)
        try:
            for part in ("-wal", "-shm", ""):
                Path(os.path.realpath(path) + part).unlink(missing_ok=True)
        finally:
            lock.release()

    def before_commit(self, flush: Callable[[], None]) -> None:
        """Have `flush` called in every commit, before it: to write what was held back until then."""
        self._before_commit.append(flush)

    def execute(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run a statement within the transaction that is open, or a new one."""
        try:
            if not self._db.in_transaction:
                self._db.execute("BEGIN IMMEDIATE")
            return self._db.execute(sql, values)
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each row, within the transaction."""
        try:
            if not self._db.in_transaction:
                self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(sql, rows)
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def commit(self) -> None:
        """Keep everything since the last commit, all or nothing.

        Raises `StateError` where the disk is full or broken; nothing since the last commit is kept then.
        """
        if self.broken:
            raise StateError(f"the state file {self.path} lost its last transaction. Run the same command again")
        for flush in self._before_commit:
            flush()
        if not self._db.in_transaction:
            return
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def sync(self) -> None:
        """Wait until all that was committed before the call is on the disk. May be called from another thread."""
        if self.path == ":memory:":
            return
        try:
            if self._wal is None:
                self._wal = os.open(os.path.realpath(self.path) + "-wal", os.O_RDWR | os.O_CLOEXEC)
            _sync(self._wal)
        except OSError as error:
            raise StateError(f"the state file {self.path} failed: {_plain(error)}") from error

    def abandon(self) -> None:
        """Forget everything since the last commit and refuse any further one: a new `StateFile` starts from there."""
        self.broken = True
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def close(self) -> None:
        """Forget what was not committed, close the file and let others have it."""
        self.abandon()
        if self._wal is not None:
            os.close(self._wal)
        self._db.close()
        if self._lock is not None:
            self._lock.release()

    def meta(self, name: str) -> Any:  # noqa: ANN401 - text or number, as it was set
        """Give a value kept by `set_meta`, or `None`."""
        row = self.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def set_meta(self, **values: str | float) -> None:
        """Keep small values under their names."""
        self.execute_many("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(values.items()))

    def _explain(self, error: sqlite3.Error) -> StateError:
        self.abandon()
        code = getattr(error, "sqlite_errorcode", 0)
        if code in _DISK_FULL:
            return _full(self.path, error)
        return StateError(f"the state file {self.path} failed: {error}")


class _Lock:
    """An advisory lock on `PATH.lock` that dies with its process and says whose it is."""

    def __init__(self, path: str) -> None:
        self._path = os.path.realpath(path) + ".lock"
        try:
            while True:
                self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
                self._acquire(path)
                if self._still_there():
                    break
                os.close(self._fd)  # its holder removed the file between our open and our lock
        except OSError as error:
            raise StateError(
                f"the state file {path} cannot be used: {_plain(error)}. Choose another: --state"
            ) from error
        with contextlib.suppress(OSError):  # on a full disk; whose it is is a courtesy to others
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, str(os.getpid()).encode(), 0)

    def _acquire(self, path: str) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._fd, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._fd)
            raise StateError(
                f"the state file {path} is in use by process {holder}. "
                "Wait for it, stop it, or use another file: --state FILE"
            ) from None

    def _still_there(self) -> bool:
        try:
            return os.path.samestat(Path(self._path).stat(), os.fstat(self._fd))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        Path(self._path).unlink()  # while it is held, so that nobody can hold a removed one
        os.close(self._fd)


def _connect(path: str) -> sqlite3.Connection:
    try:
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    except sqlite3.Error as error:
        raise StateError(f"the state file {path} cannot be opened: {error}. Choose another: --state FILE") from error
    try:
        found = _check_format(db, path, _BY_FLAG)  # before anything is changed: the file may be another program's
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA temp_store = MEMORY")
        if found == 0:
            db.executescript(
                f"BEGIN IMMEDIATE; PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {FORMAT};"
                f"{_SCHEMA} COMMIT;"
            )
        elif found < FORMAT:
            upgrades = "".join(_UPGRADES[each] for each in range(found, FORMAT))
            db.executescript(f"BEGIN IMMEDIATE; PRAGMA user_version = {FORMAT}; {upgrades} COMMIT;")
    except sqlite3.Error as error:
        db.close()
        raise _cannot_open(path, error, _BY_FLAG) from error
    except StateError:
        db.close()
        raise
    return db


def _check_format(db: sqlite3.Connection, path: str, another: str) -> int:
    """Give the file's format, 0 for a new file."""
    found: int = db.execute("PRAGMA user_version").fetchone()[0]
    application: int = db.execute("PRAGMA application_id").fetchone()[0]
    tables: int = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if tables and application != _APPLICATION_ID:
        raise StateError(f"{path} is another program's database, not a state file of tamiz. Choose another: {another}")
    if found > FORMAT:
        raise StateError(
            f"the state file {path} has format {found}, written by a newer tamiz; this one reads up to {FORMAT}: "
            f"upgrade tamiz, or use another file: {another}"
        )
    return found


def _full(path: str, error: sqlite3.Error) -> StateError:
    return StateError(
        f"the disk is full: {path} cannot grow ({error}). "
        "Free some space and run the same command again; everything up to here is kept"
    )


def _cannot_open(path: str, error: sqlite3.Error, another: str) -> StateError:
    if getattr(error, "sqlite_errorcode", 0) in _DISK_FULL:
        return _full(path, error)
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_NOTADB:
        return StateError(f"{path} is not a state file of tamiz ({error}). Choose another: {another}")
    return StateError(f"the state file {path} cannot be opened: {error}. Choose another: {another}")


def read_only(path: str, *, any_thread: bool = False, another: str = _BY_FLAG) -> sqlite3.Connection:
    """Open a state file for reading, also while another process writes it; `any_thread` may use it, one at a time.

    `another` is how the user names another file. Raises `StateError` where it does not exist or is not a state file
    that this version reads.
    """
    if not Path(path).is_file():
        raise StateError(f"there is no state file {path}: run `tamiz run` first, or name it: {another}")
    try:
        uri = f"{Path(path).resolve().as_uri()}?mode=ro"
        db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=not any_thread)
    except sqlite3.Error as error:
        raise _cannot_open(path, error, another) from error
    try:
        found = _check_format(db, path, another)
    except sqlite3.Error as error:
        db.close()
        raise _cannot_open(path, error, another) from error
    except StateError:
        db.close()
        raise
    if found < FORMAT:
        db.close()
        if found:
            raise StateError(f"the state file {path} is an older tamiz's: the next `tamiz run` on it makes it new")
        raise StateError(f"the state file {path} is empty: run `tamiz run` first")
    return db


_sync: Final = getattr(os, "fdatasync", os.fsync)  # macOS has only the latter


def _plain(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, "") + f" {error.strerror}"
