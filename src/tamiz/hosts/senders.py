"""Where the questions of a traffic run go: a file, a running service."""

import random
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from tamiz.clock import Clock
from tamiz.errors import UsageError
from tamiz.models.retry_after import retry_at
from tamiz.scoring import as_given
from tamiz.settings import without_password
from tamiz.traffic.emitter import Send
from tamiz.traffic.question import Emission

__all__ = ["HttpSender", "to_file", "to_service"]

_PATIENCE: Final = 30.0
"""Seconds that an answer of the service is waited for."""
_TRIES: Final = 8
"""Times that a question is sent to a service that says to come back later."""
_FIRST_WAIT: Final = 0.5
"""Seconds before the second try, where the service does not say; twice as many before the next."""
_COME_BACK: Final = frozenset({429, 503})


@contextmanager
def to_file(path: str, *, not_this: str) -> Iterator[Send]:
    """Write each question as a line of JSON, as `tamiz run` reads it, at the moment it is due; `-` is standard output.

    Raises `UsageError` where the file cannot be written or is `not_this`, `OSError` on a full disk.
    """
    encode = msgspec.json.Encoder().encode
    if path == "-":
        out, mine = sys.stdout.buffer, False
    else:
        if not path.lower().endswith(".jsonl"):
            raise UsageError(f"{path!r} is of no known kind; the questions of traffic go to a .jsonl file, or to -")
        if Path(path).exists() and Path(not_this).exists() and Path(path).samefile(not_this):
            raise UsageError(f"{path!r} is the dataset, which would be lost; give another --out")
        try:
            out, mine = Path(path).open("wb"), True  # noqa: SIM115 - closed below; only the opening is a matter of usage
        except OSError as error:
            raise UsageError(f"{path!r} cannot be written: {error.strerror}; give another --out") from error

    def send(emission: Emission) -> str:
        asked = emission.question
        row = {
            "id": asked.id,
            "question": asked.title,
            "content": asked.content,
            "reference": as_given(asked.reference),
        }
        out.write(encode(row) + b"\n")
        if not mine:
            out.flush()
        return "written"

    try:
        yield send
    finally:
        out.flush()
        if mine:
            out.close()


class HttpSender:
    """Posts each question to `URL/questions` of a running service.

    Outcomes: `submitted` (202), `answered` (200), `refused` (it said 429 or 503 to the last of several tries),
    `http_N` for any other status, `unreachable` where there was no answer.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, clock: Clock, put_off: dict[int, int]) -> None:
        """Note in `put_off` how often the service said 429 and 503; each time the question waits as long as it said."""
        self._put_off = put_off
        self._session = session
        self._url = f"{url.rstrip('/')}/questions"
        self._clock = clock
        self._random = random.Random()  # noqa: S311 - jitter

    async def send(self, emission: Emission) -> str:
        """Post it, again where the service asks for that, and give the outcome."""
        asked = emission.question
        body = {"id": asked.id, "title": asked.title, "content": asked.content, "reference": as_given(asked.reference)}
        data = msgspec.json.encode({name: value for name, value in body.items() if value is not None})
        for attempt in range(_TRIES):
            try:
                status, wait = await self._post(data)
            except (aiohttp.ClientError, TimeoutError):
                return "unreachable"
            if status not in _COME_BACK:
                return {200: "answered", 202: "submitted"}.get(status, f"http_{status}")
            self._put_off[status] = self._put_off.get(status, 0) + 1
            if attempt < _TRIES - 1:
                usual = _FIRST_WAIT * 2**attempt * (1 + self._random.random())
                await self._clock.sleep(usual if wait is None else wait + self._random.random() * _FIRST_WAIT)
        return "refused"

    async def _post(self, data: bytes) -> tuple[int, float | None]:
        async with self._session.post(self._url, data=data, headers={"Content-Type": "application/json"}) as response:
            await response.read()
            if response.status not in _COME_BACK:
                return response.status, None
            now = self._clock.time()
            again = retry_at(response.headers, now)
            return response.status, None if again is None else max(again - now, 0)


@asynccontextmanager
async def to_service(
    url: str, clock: Clock, put_off: dict[int, int], key: str | None = None
) -> AsyncIterator[HttpSender]:
    """Open connections to a service, with an API key where one is given.

    `put_off` is told how often it said to come back later, by status. Raises `UsageError` where the URL is none, or the
    key cannot be one.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url!r} is no address of a service: write it like --to http://localhost:8000")
    if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
        raise UsageError("the API key (TAMIZ_TRAFFIC_KEY) has blanks or characters in it that no key has")
    if key is not None and without_password(url) != url:
        raise UsageError(
            "a password in --to and an API key (TAMIZ_TRAFFIC_KEY) are two ways to say who asks: leave one out"
        )
    timeout = aiohttp.ClientTimeout(total=_PATIENCE)
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:
        yield HttpSender(session, url, clock, put_off)
