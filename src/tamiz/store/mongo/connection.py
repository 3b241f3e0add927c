"""Calls to a database that may be away for a while."""

import contextlib
import math
import random
import warnings
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeVar
from urllib.parse import unquote

from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, ConfigurationError, DuplicateKeyError, InvalidURI, PyMongoError

from tamiz.clock import Clock
from tamiz.errors import StateError, UsageError
from tamiz.store.mongo.address import MongoAddress
from tamiz.store.mongo.failures import DUPLICATE, passes, remedy, what

__all__ = ["Connection", "Document", "connected", "insert_new", "put", "scrubbed", "secrets_of"]

C = TypeVar("C")
T = TypeVar("T")

Document = dict[str, Any]

_OPTIONS: Final[dict[str, Any]] = {
    "appname": "tamiz",
    # a write is told as done once it is in the journals of most members, so that no crash of the server takes it back
    "w": "majority",
    "journal": True,
    "wTimeoutMS": 10_000,
    "readPreference": "primary",
    "readConcernLevel": "majority",  # what is read can no longer be taken back
    # the driver gives up soon, so that it is `Connection` which waits, and says so
    "serverSelectionTimeoutMS": 2_000,
    "connectTimeoutMS": 2_000,
    "socketTimeoutMS": 60_000,
    "heartbeatFrequencyMS": 500,
}

_FIRST_WAIT: Final = 0.1
_LONGEST_WAIT: Final = 2.0
_A_BLIP: Final = 1.0
"""Seconds that a call may fail before anybody hears of it."""


class Connection:
    """A database, and the patience with it.

    Every call goes through `run`. `say` is told once when the database is away and once when it is back.
    """

    def __init__(
        self, address: MongoAddress, clock: Clock, *, patience: float | None, say: Callable[[str], None]
    ) -> None:
        self._address = address
        self._clock = clock
        self._patience = patience
        self._say = say
        self._away = False
        self._back_at = -math.inf
        self._secrets = secrets_of(address.url)
        self._client: AsyncMongoClient[Document] = connected(AsyncMongoClient, address)
        self.database: AsyncDatabase[Document] = self._client.get_database(address.database)

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do the work; again and again while the database is away, so it has to be safe to repeat.

        Raises `StateError` after `patience` seconds of that, and at once where waiting does not help.
        """
        started = self._clock.monotonic()
        wait = _FIRST_WAIT
        while True:
            tried = self._clock.monotonic()
            try:
                result = await work()
            except PyMongoError as error:
                if not passes(error):
                    raise self._hopeless(error) from None
                await self._wait(error, started, tried, wait)
                wait = min(2 * wait, _LONGEST_WAIT)
            else:
                self._back()
                return result

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def _wait(self, error: PyMongoError, started: float, tried: float, wait: float) -> None:
        now = self._clock.monotonic()
        past = now - started
        text = what(error, self._secrets)
        if self._patience is not None and past >= self._patience:
            raise StateError(
                f"the store {self._address.shown} does not answer ({text}): "
                "start it, or say where it is with --store or MONGO_URI"
            ) from None
        # what was begun before the database was back may still fail of that
        new = tried >= self._back_at and now - max(started, self._back_at) >= _A_BLIP
        if new and not self._away:
            self._away = True
            self._say(f"the store {self._address.shown} does not answer ({text}); work waits")
        if self._patience is not None:
            wait = min(wait, self._patience - past)
        await self._clock.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 - jitter

    def _back(self) -> None:
        if self._away:
            self._away = False
            self._back_at = self._clock.monotonic()
            self._say(f"the store {self._address.shown} answers again")

    def _hopeless(self, error: PyMongoError) -> StateError:
        text = what(error, self._secrets)
        return StateError(f"the store {self._address.shown} cannot be used ({text}): {remedy(error)}")


async def insert_new(collection: Any, documents: list[Document]) -> set[int]:  # noqa: ANN401 - pymongo's, of any kind
    """Insert those documents whose keys are not there yet; give the places of the others."""
    try:
        await collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        found: list[Document] = error.details.get("writeErrors", [])
        others = [each for each in found if each.get("code") != DUPLICATE]
        if others or error.details.get("writeConcernErrors"):
            raise BulkWriteError({**error.details, "writeErrors": others}) from None
        return {each["index"] for each in found}
    return set()


async def put(collection: Any, key: str, document: Document) -> None:  # noqa: ANN401 - pymongo's, of any kind
    """Write a document in place of the one with that key, if there is one."""
    with contextlib.suppress(DuplicateKeyError):
        await collection.replace_one({"_id": key}, document, upsert=True)
        return
    # somebody else inserted it between the server's look and its insert: now it is there to be replaced
    await collection.replace_one({"_id": key}, document, upsert=True)


def connected(client: Callable[..., C], address: MongoAddress, **changes: Any) -> C:  # noqa: ANN401 - any option
    """Make a client, sync or async, with the options that hold for all. Raises `UsageError` where the URL is wrong."""
    with warnings.catch_warnings():
        # of an option that it does not know the driver only warns
        warnings.simplefilter("error", UserWarning)
        try:
            return client(address.url, **{**_OPTIONS, **changes})
        except (InvalidURI, ConfigurationError, ValueError, TypeError, UserWarning) as error:
            text = scrubbed(str(error), secrets_of(address.url))
            raise UsageError(f"the store's address for {address.shown} cannot be used: {text}") from None


def secrets_of(url: str) -> list[str]:
    """Give what no message may show of a URL."""
    _, _, rest = url.partition("://")
    user = rest.partition("/")[0].rpartition("@")[0]
    parts = {part for each in user.split(":") for part in (each, unquote(each))}
    return sorted(filter(None, parts), key=len, reverse=True)


def scrubbed(text: str, secrets: Iterable[str]) -> str:
    """Give the text without the secrets."""
    for secret in secrets:
        text = text.replace(secret, "…")
    return text
