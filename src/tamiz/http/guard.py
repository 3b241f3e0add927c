"""The door: who comes in, how much they may send, and how long that may take. Plain ASGI, around everything."""

import asyncio
import ipaddress
import time
from collections.abc import Awaitable, Callable
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from tamiz.http.current import REQUEST
from tamiz.http.keys import LOCAL, Caller, Keys
from tamiz.http.problems import GONE, Problem, body_of, type_of

__all__ = ["ASGI", "BODY_CAP", "COOKIE", "WATCHED", "Guard", "Receive", "Scope", "Send", "refuse"]

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
ASGI = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_CAP: Final = 1024 * 1024
"""Most bytes of a request's body, but for those that are streamed."""
COOKIE: Final = "tamiz"
"""The cookie that stands for an API key in a browser."""
_BODY_WITHIN: Final = 30.0
"""Seconds until a body must be there."""
_SLOWEST: Final = 1_000
"""Bytes a second of a streamed body, beyond that time."""
_AT_ONCE: Final = 4096
"""Requests at once."""
WATCHED: Final = frozenset({"/health", "/ready", "/metrics"})
"""What is told to whoever asks: monitors have no key."""
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})
_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
)


class Guard:
    """Lets requests through to an application, or refuses them.

    Where `keys` are asked for, each request names one (`Authorization: Bearer KEY`, `x-api-key`, or the cookie that the
    page sets). Where none are, the service is this machine's own, and a request that a web page of elsewhere has a
    browser make is refused: by its `Host`, its `Origin` and `Sec-Fetch-Site`. `streamed` are the beginnings of paths
    whose bodies are read as they come, and may be of any size; `public` are paths that need no key; one that
    ends in a slash stands for all below it.
    """

    def __init__(
        self,
        app: ASGI,
        *,
        keys: Keys | None,
        local: bool,
        streamed: tuple[str, ...] = (),
        public: frozenset[str] = frozenset(),
        sessions: Callable[[str], Caller | None] = lambda _: None,
        log: Callable[[Scope, int, float], None] = lambda *_: None,
    ) -> None:
        self.in_flight = 0
        self._app = app
        self._keys = keys
        self._local = local
        self._streamed = streamed
        self._public = WATCHED | public
        self._below = tuple(path for path in public if path.endswith("/") and path != "/")
        self._sessions = sessions
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            await self._app(scope, receive, send)
            return
        REQUEST.set(scope)
        scope.setdefault("state", {})
        started = time.monotonic()
        status = GONE  # until an answer has begun

        async def answer(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = {name for name, _ in message.get("headers", ())}
                message["headers"] = [
                    *message.get("headers", ()),
                    *((name, value) for name, value in _HEADERS if name not in given),
                ]
                if scope["state"].pop("unread", False) and b"connection" not in given:
                    message["headers"].append((b"connection", b"close"))  # nobody will read the rest of the body
            await send(message)

        self.in_flight += 1
        try:
            await self._serve(scope, receive, answer)
        except (TimeoutError, OSError):
            status = GONE  # or it does not read
            raise
        except Exception:
            status = 500
            raise
        finally:
            self.in_flight -= 1
            self._log(scope, status, time.monotonic() - started)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = _headers(scope)
        if b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0":
            scope["state"]["unread"] = True
        try:
            self._crowded()
            _well_formed(scope, headers)
            self._same_site(scope, headers)
            caller = self._caller(scope, headers)
            scope["state"]["caller"] = caller
            taken = self._taking(scope, receive, headers)
        except Problem as problem:
            await refuse(send, problem, scope["path"])
            return
        try:
            await self._app(scope, taken, send)
        except Problem as problem:
            await refuse(send, problem, scope["path"])

    def _crowded(self) -> None:
        if self.in_flight > _AT_ONCE:
            why = f"{_AT_ONCE:,} requests are being answered, which is all that this service takes"
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, why, retry_after=1, code="busy")

    def _caller(self, scope: Scope, headers: dict[bytes, bytes]) -> Caller | None:
        if self._keys is None:
            return LOCAL
        kind, _, key = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        given = key.strip() if kind.lower() == "bearer" else headers.get(b"x-api-key", b"").decode("latin-1")
        caller = self._keys.caller(given) if given else self._session(headers)
        if caller is None and not self._is_public(scope["path"]):
            what = "this API key is not known" if given else "an API key is asked for: Authorization: Bearer KEY"
            raise Problem(HTTPStatus.UNAUTHORIZED, what, code="invalid_api_key")
        return caller

    def _is_public(self, path: str) -> bool:
        return path in self._public or (bool(self._below) and path.startswith(self._below))

    def _session(self, headers: dict[bytes, bytes]) -> Caller | None:
        for part in headers.get(b"cookie", b"").decode("latin-1").split(";"):
            name, _, value = part.strip().partition("=")
            if name == COOKIE and (caller := self._sessions(value)) is not None:
                return caller
        return None

    def _same_site(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Refuse what a page of another site has a browser send."""
        host = headers.get(b"host", b"").decode("latin-1")
        if self._local and self._keys is None and host and not _is_local(host):
            raise Problem(
                HTTPStatus.FORBIDDEN, f"Host is {host[:100]!r}: this service answers as localhost alone", code="host"
            )
        if scope["method"] in _SAFE:
            return
        origin = headers.get(b"origin", b"").decode("latin-1")
        site = headers.get(b"sec-fetch-site", b"")
        if site in {b"cross-site", b"same-site"} or (origin and not _same_host(origin, host)):
            raise Problem(HTTPStatus.FORBIDDEN, "a page of another site may not do this", code="cross_site")

    def _taking(self, scope: Scope, receive: Receive, headers: dict[bytes, bytes]) -> Receive:
        """Give a `receive` that keeps to the cap and the time, and raises where the client hangs up before the end."""
        streamed = scope["path"].startswith(self._streamed) if self._streamed else False
        declared = headers.get(b"content-length", b"0")
        if not streamed and declared.isdigit() and int(declared) > BODY_CAP:
            raise _too_large()
        size, done = 0, False
        until = asyncio.get_running_loop().time() + _BODY_WITHIN

        async def take() -> dict[str, Any]:
            nonlocal size, done
            if done:
                return await receive()
            try:
                async with asyncio.timeout_at(until + size / _SLOWEST if streamed else until):
                    message = await receive()
            except TimeoutError:
                rate = f" and {_SLOWEST:,} bytes a second" if streamed else ""
                why = f"the body did not come within {_BODY_WITHIN:g} s{rate}"
                raise Problem(HTTPStatus.REQUEST_TIMEOUT, why, code="slow") from None
            done = message["type"] != "http.request" or not message.get("more_body")
            if done and scope["state"].pop("unread", False) and message["type"] != "http.request":
                raise Problem(GONE, "the client hung up before all of the body was there")
            size += len(message.get("body", b""))
            if size > BODY_CAP and not streamed:
                raise _too_large()
            return message

        return take


async def refuse(send: Send, problem: Problem, path: str) -> None:
    """Answer a call of a path with a problem."""
    body = body_of(problem, path)
    headers = [
        (b"content-type", type_of(path).encode()),
        (b"content-length", str(len(body)).encode()),
        *((name.encode(), value.encode("latin-1", "replace")) for name, value in problem.headers.items()),
    ]
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _too_large() -> Problem:
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body has more than {BODY_CAP:,} bytes, which is the most",
        code="size",
    )


def _well_formed(scope: Scope, headers: dict[bytes, bytes]) -> None:
    """Refuse what two readers of the same request could take for two different ones."""
    hosts = sum(name == b"host" for name, _ in scope["headers"])
    if hosts > 1 or (not hosts and scope["http_version"] == "1.1"):
        raise Problem(HTTPStatus.BAD_REQUEST, f"there are {hosts} Host headers, not one", field="host")
    if (coding := headers.get(b"content-encoding", b"identity")).lower() != b"identity":
        shown = coding[:80].decode("latin-1")
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"content-encoding is {shown!r}: send the body as it is",
            field="content-encoding",
            code="encoding",
        )


def _headers(scope: Scope) -> dict[bytes, bytes]:
    return dict(scope["headers"])


@lru_cache(1000)
def _is_local(host: str) -> bool:
    name = (urlsplit(f"//{host}").hostname or "").lower() if host else ""
    if name in _NAMES or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _same_host(origin: str, host: str) -> bool:
    return urlsplit(origin).netloc.lower() == host.lower()
