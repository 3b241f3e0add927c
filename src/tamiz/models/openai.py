"""A model behind any server that speaks OpenAI's chat completions."""

import asyncio
import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final, NoReturn

import aiohttp
import msgspec
from yarl import URL

from tamiz.chat import for_model
from tamiz.clock import Clock
from tamiz.errors import Failed, FailureKind, ModelRefused, Sign, UsageError
from tamiz.identity import digest
from tamiz.models.base import Prompt, RateLimit, Reply
from tamiz.models.classify import MODEL_UNKNOWN, RULES, Refusal, Rule, Said, classify, read, shorten
from tamiz.models.completion import ErrorObject, plain, reply_of
from tamiz.models.listed import has_model, model_names, some_of
from tamiz.models.retry_after import limits_of, retry_at

__all__ = ["BODY_CAP", "OpenAIModel", "Timeouts"]

BODY_CAP: Final = 8 * 1024 * 1024
"""Most bytes of a response's body, after decompression."""

_KEEP_ALIVE: Final = 4.0  # seconds; below the 5 s after which common servers hang up, so that no call meets a dead line
_OK: Final = 200
_NO_LIST: Final = frozenset({404, 405, 501})
_SEED_MASK: Final = 0x7FFF_FFFF  # what every server takes

_TITLE: Final = re.compile(r"<title>\s*([^<]{1,200}?)\s*</title>", re.IGNORECASE)
_TITLE_WITHIN: Final = 2000  # characters of a page

_SHORTEST_SECRET: Final = 12  # characters

_UNSUPPORTED: Final = frozenset({"unsupported_value", "unsupported_parameter"})
_OPTIONAL: Final = frozenset({"temperature", "seed", "max_tokens"})

_TROUBLES: Final[tuple[tuple[type[Exception], Sign, str], ...]] = (
    (aiohttp.ClientConnectorDNSError, Sign.UNREACHABLE, "the address of {host} cannot be found: {cause}"),
    (aiohttp.ClientConnectorCertificateError, Sign.UNREACHABLE, "TLS with {host} failed: {cause}"),
    (aiohttp.ClientConnectorSSLError, Sign.UNREACHABLE, "TLS with {host} failed: {cause}"),
    (aiohttp.ClientConnectorError, Sign.UNREACHABLE, "no connection to {host}: {cause}"),
    (aiohttp.ServerDisconnectedError, Sign.LOST, "{host} closed the connection without an answer"),
    (aiohttp.ClientPayloadError, Sign.ALIVE, "the answer of {host} was cut off or cannot be decompressed"),
    (aiohttp.ClientResponseError, Sign.LOST, "{host} sent rubbish: not HTTP"),
    (OSError, Sign.LOST, "the connection to {host} was lost: {cause}"),
    (aiohttp.ClientError, Sign.LOST, "the call to {host} failed: {cause}"),
)
"""How a call is lost; the first type that fits names it."""

_BUSY: Final = frozenset({408, 409, 423, 425, 429, 503, 529})
_GATEWAY: Final = frozenset({502, 504, *range(520, 528)})
"""What a gateway says of a server that it cannot reach; 520 to 527 are Cloudflare's."""


class _Message(msgspec.Struct, gc=False):
    role: str
    content: str


class _Body(msgspec.Struct, omit_defaults=True, gc=False):
    model: str
    messages: tuple[_Message, ...]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """How long a call may take, in seconds."""

    total: float = 60.0
    connect: float = 10.0
    first_byte: float | None = None
    """Until the server's answer begins, which for most servers is when it has been made; `None`: as long as `total`."""
    stall: float = 30.0
    """Between two parts of an answer that has begun."""


class OpenAIModel:
    """Asks a server at `base_url` (with its `/v1`) for chat completions.

    `name` is what outputs show. `api_key` is sent to that server alone and is in no message. `system` and `max_tokens`
    are sent where given. `rules` classify the server's refusals. A first attempt leaves sampling to the server; later
    ones set temperature and seed, so that none repeats the one before. Any number of calls may be under way; nothing
    here limits them.

    Raises `UsageError` where the address or the key cannot be used in a request.
    """

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        model: str,
        api_key: str | None,
        timeouts: Timeouts,
        clock: Clock,
        system: str | None = None,
        max_tokens: int | None = None,
        rules: Iterable[Rule] = RULES,
    ) -> None:
        self.name = name
        base = _address(base_url, name)
        self._url = base.joinpath("chat", "completions").with_query(base.query)
        self._list = base.joinpath("models").with_query(base.query)
        self._where = str(base.with_query(None)).rstrip("/")
        self._host = base.authority
        self._model = model
        self._key = api_key or ""
        self._timeouts = timeouts
        self._clock = clock
        self._system = () if system is None else (_Message("system", system),)
        self._max_tokens = max_tokens
        self._rules = tuple(rules)
        self._headers = _headers(self._key)
        self.account = digest(str(self._url), self._key, size=8)
        self._without: frozenset[str] = frozenset()  # optional fields that this server has refused
        self._encode = msgspec.json.Encoder().encode
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, prompt: Prompt) -> Reply:
        """Answer the prompt; see `Model.ask`."""
        while True:
            without = self._without
            try:
                data = self._encode(self._body(prompt))
            except UnicodeEncodeError:
                raise Failed(FailureKind.INVALID, "the question is not valid Unicode") from None
            said, headers = await self._post(data, chat=prompt.chat is not None)
            if isinstance(said, Reply):
                return said
            if said.codes & _UNSUPPORTED and said.param in _OPTIONAL and said.param not in without:
                self._without |= {said.param}  # free of charge: the server has refused before it worked
                continue
            self._refuse(said, headers, chat=prompt.chat is not None)

    async def check(self, within: float) -> bool:
        """Ask the server, free of charge, whether it is of use; `False` where it does not tell which models it has.

        Raises `ModelRefused` where it refuses the key or does not list the model, and `Failed` where it gives no
        answer that can be understood `within` so many seconds.
        """
        session = self._session or self._connect()
        try:
            async with session.get(
                self._list, allow_redirects=False, timeout=aiohttp.ClientTimeout(total=within)
            ) as response:
                if response.status in _NO_LIST:
                    return False
                if response.status != _OK:
                    self._refuse(await self._said(response), response.headers)
                names = model_names(await self._read(response))
        except TimeoutError:
            raise Failed(FailureKind.TIMEOUT, f"no answer from {self._host} in {within:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._lost(error) from None  # not chained, as in `_post`
        if names is None:
            raise Failed(FailureKind.FATAL, f"{self._where} answers, but not as an OpenAI-compatible server does")
        if not has_model(names, self._model):
            said = f"it has {some_of(names)}"
            raise ModelRefused(MODEL_UNKNOWN.text.format(where=self._where, model=self._model, said=said))
        return True

    async def close(self) -> None:
        """Close the connections; see `Model.close`."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _body(self, prompt: Prompt) -> _Body | dict[str, Any]:
        return self._plain(prompt) if prompt.chat is None else self._chat(prompt, prompt.chat)

    def _chat(self, prompt: Prompt, chat: str) -> dict[str, Any]:
        sampling: dict[str, Any] = {}
        if prompt.attempt > 1:
            sampling = {"temperature": _temperature(prompt), "seed": prompt.seed & _SEED_MASK}
        return for_model(
            chat,
            self._model,
            prompt.hint,
            {name: value for name, value in sampling.items() if name not in self._without},
        )

    def _plain(self, prompt: Prompt) -> _Body:
        body = _Body(self._model, (*self._system, _Message("user", prompt.text)), self._max_tokens)
        if prompt.attempt > 1:
            body.temperature = _temperature(prompt)
            body.seed = prompt.seed & _SEED_MASK
        for field in self._without:
            if field == "max_tokens":  # newer servers want it by another name
                body.max_completion_tokens = body.max_tokens
            setattr(body, field, None)
        return body

    def _connect(self) -> aiohttp.ClientSession:
        """Make the session within the running loop, as its timers need."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300, keepalive_timeout=_KEEP_ALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=self._timeouts.total, connect=self._timeouts.connect),
        )
        return self._session

    async def _post(self, data: bytes, *, chat: bool) -> tuple[Reply | Said, Mapping[str, str]]:
        """Give the server's answer, or what it says instead of one, and the headers.

        Raises `Failed` where it says nothing that can be understood.
        """
        session = self._session or self._connect()
        try:
            # A redirect is not followed: it would carry the question, and the key, to an address nobody gave.
            async with asyncio.timeout(self._timeouts.first_byte):
                response = await session.post(self._url, data=data, allow_redirects=False)
            async with response:
                if response.status != _OK:
                    return await self._said(response), response.headers
                body = await self._read(response)
                try:
                    reply = reply_of(body, self._model, self._limits(response.headers), chat=chat)
                    return self._clean(reply), response.headers
                except ErrorObject as error:
                    return read(_OK, error.body), response.headers
                except Failed as failed:
                    raise Failed(failed.kind, self._scrub(failed.reason), tokens=failed.tokens) from None
        except TimeoutError as error:
            raise self._timed_out(error) from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._lost(error) from None  # not chained: aiohttp's errors hold the request, and that holds the key

    def _limits(self, headers: Mapping[str, str]) -> tuple[RateLimit, ...]:
        return limits_of(headers, self._clock.time())

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """Read the body whole, up to the cap."""
        content = response.content
        chunks = [await self._next(content)]
        size = len(chunks[0])
        while not content.at_eof():
            chunks.append(await self._next(content))
            size += len(chunks[-1])
            if size > BODY_CAP:
                response.close()
                why = f"{self._host} sent rubbish: a body of more than {BODY_CAP // 1024**2} MB"
                raise Failed(FailureKind.OVERLOAD, why, tokens=None)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def _next(self, content: aiohttp.StreamReader) -> bytes:
        """Read what there is of the body, or wait for more of it."""
        waiting = asyncio.timeout(self._timeouts.stall)
        try:
            async with waiting:
                return await content.readany()
        except TimeoutError:
            if not waiting.expired():
                raise
            why = f"the answer of {self._host} stalled: nothing more of it in {self._timeouts.stall:g} s"
            raise Failed(FailureKind.TIMEOUT, why, sign=Sign.LOST, tokens=None) from None

    async def _said(self, response: aiohttp.ClientResponse) -> Said:
        """Read a refusal; where its body is of no use the status says enough."""
        body: object = None
        with contextlib.suppress(aiohttp.ClientPayloadError, aiohttp.ClientOSError, Failed):
            data = await self._read(response)
            try:
                body = plain(data)
            except Failed:
                text = data.decode(errors="replace")
                title = _TITLE.search(text[:_TITLE_WITHIN]) if text.lstrip().startswith("<") else None
                body = title[1] if title else "" if text.lstrip().startswith("<") else text
        if response.status // 100 == 3:  # noqa: PLR2004 - HTTP's redirects
            body = "it redirects to " + response.headers.get("location", "nowhere").partition("?")[0]
        return read(response.status, body)

    def _refuse(self, said: Said, headers: Mapping[str, str], *, chat: bool = False) -> NoReturn:
        """Raise what the refusal means.

        Whoever sends a `chat` may have set what is refused (a file, a tool, a tier), so that it stands for no other.
        """
        message = shorten(self._scrub(said.message))
        told = ": ".join(part for part in (str(said.status or "an error"), message) if part)
        verdict = classify(said, self._rules)
        if isinstance(verdict, Refusal):
            why = verdict.text.format(where=self._where, model=self._model, said=told)
            raise Failed(FailureKind.FATAL, why) if chat else ModelRefused(why)
        due = retry_at(headers, self._clock.time(), said.message, said.wait)
        # what is wrong with a question is told to whoever asked it, and where the server is is not theirs to know
        who = self._model if verdict is FailureKind.INVALID else self._host
        raise Failed(verdict, f"{who} answered {told}", retry_at=due, sign=_sign(said.status, verdict))

    def _timed_out(self, error: TimeoutError) -> Failed:
        timeouts = self._timeouts
        connecting = isinstance(error, aiohttp.ConnectionTimeoutError)
        if connecting:
            why = f"no connection to {self._host} in {min(timeouts.connect, timeouts.total):g} s"
        else:
            why = f"no answer from {self._host} in {min(timeouts.first_byte or timeouts.total, timeouts.total):g} s"
        return Failed(FailureKind.TIMEOUT, why, sign=Sign.LOST, tokens=0 if connecting else None)

    def _lost(self, error: aiohttp.ClientError | OSError) -> Failed:
        sign, what = next((sign, what) for kind, sign, what in _TROUBLES if isinstance(error, kind))
        why = self._scrub(what.format(host=self._host, cause=_cause(error)))
        return Failed(FailureKind.OVERLOAD, why, sign=sign, tokens=0 if sign is Sign.UNREACHABLE else None)

    def _clean(self, reply: Reply) -> Reply:
        """Take the key out of an answer that repeats it, before it is kept anywhere."""
        text, model = self._scrub(reply.text), self._scrub(reply.model)
        completion = None if reply.completion is None else self._scrub(reply.completion)
        if text == reply.text and model == reply.model and completion == reply.completion:
            return reply
        return msgspec.structs.replace(reply, text=text, model=model, completion=completion)

    def _scrub(self, text: str) -> str:
        # a shorter one is no secret but a word that stands for none, and may be a word of the answer
        return text.replace(self._key, "***") if len(self._key) >= _SHORTEST_SECRET else text


def _temperature(prompt: Prompt) -> float:
    """Give one that rises with the attempts."""
    return min(1.0, round(0.5 + 0.1 * prompt.attempt, 1))


def _sign(status: int, verdict: FailureKind) -> Sign:
    """Tell what a refusal says of the server."""
    if verdict is FailureKind.QUOTA:
        return Sign.SPENT
    if verdict not in {FailureKind.OVERLOAD, FailureKind.TIMEOUT}:
        return Sign.ALIVE
    if status in _GATEWAY:
        return Sign.LOST
    if status in _BUSY or 0 < status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Sign.BUSY
    return Sign.ERROR


def _cause(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return str(error.certificate_error)
    if isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)  # asyncio's own text names the address again
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def _address(base_url: str, name: str) -> URL:
    try:
        url = URL(base_url)
    except ValueError as error:
        raise UsageError(f"{name}: {base_url!r} is not an address: {error}") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise UsageError(f"{name}: {base_url!r} is not an address; write it like http://localhost:8001/v1")
    if url.raw_user is not None or url.raw_password is not None:
        raise UsageError("a password in a model's address would be shown in outputs; put the key in OPENAI_API_KEY")
    return url.with_fragment(None)


def _headers(key: str) -> dict[str, str]:
    headers = {
        "content-type": "application/json",
        "accept": "application/json",
        "accept-encoding": "gzip, deflate",
        "user-agent": "tamiz",
    }
    if key:
        if not (key.isascii() and key.isprintable()):
            raise UsageError("the API key holds characters that no header takes: check OPENAI_API_KEY")
        headers["authorization"] = f"Bearer {key}"
    return headers
