"""`POST /v1/chat/completions`: a chat is a question like others, and its answer is a completion."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Final

import msgspec

from tamiz.errors import TamizError
from tamiz.hosts.desk import Desk
from tamiz.http.context import Context, asked_by
from tamiz.http.guard import Receive, Scope, Send
from tamiz.http.keys import Caller
from tamiz.http.openai.answer import completion_of, headers_of, problem_of
from tamiz.http.openai.names import Names
from tamiz.http.openai.request import Request, read
from tamiz.http.openai.stream import Stream, chunks_of
from tamiz.http.problems import Problem, as_problem
from tamiz.http.reference import text_of
from tamiz.messages import QuestionAsked, Terminal, Terms, ValidatedResponse

__all__ = ["PATH", "Chat"]

PATH: Final = "/v1/chat/completions"

_KEEP_ALIVE: Final = 3.0
"""Seconds after which a stream that has nothing to say yet says so."""

_encode: Final = msgspec.json.Encoder().encode
_Expected = Callable[[float], Awaitable[Terminal | None]]


class _Gone(Exception):
    """The client hung up."""


class Chat:
    """Answers chat completion requests; an ASGI application of that one call.

    A request becomes a question that ends in one outcome whether or not its client waits for it. Raises `Problem` as
    long as nothing has been sent.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        caller: Caller = scope["state"]["caller"]
        try:
            await self._serve(caller, receive, send)
        except _Gone:
            return
        except TamizError as error:
            raise as_problem(error, caller) from error

    async def _serve(self, caller: Caller, receive: Receive, send: Send) -> None:
        desk = self._context.desk
        if desk is None:
            raise Problem(HTTPStatus.NOT_FOUND, "this service takes no questions")
        request = read(await _body(receive), Names(self._context.models()))
        gate = request.gate
        asked = asked_by(
            self._context,
            title=request.title,
            reference=text_of(gate.reference),
            terms=Terms(
                tenant=caller.tenant,
                threshold=gate.threshold,
                model=request.only,
                chat=request.chat,
            ),
            identity=(request.identity,),
        )
        if (known := await desk.known(asked)) is not None:
            await desk.record(asked, known)
            await self._tell(Stream(send), send, request, known, caller)
            return
        stream = Stream(send)
        try:
            outcome = await self._outcome(desk, asked, request, receive, stream)
            await self._tell(stream, send, request, outcome, caller)
        except TamizError as error:
            if not stream.begun:
                raise
            await stream.fail(as_problem(error, caller))

    async def _outcome(
        self, desk: Desk, asked: QuestionAsked, request: Request, receive: Receive, stream: Stream
    ) -> Terminal:
        """Hand the question in and wait for its outcome, no longer than it may take, and not for nobody."""
        with desk.queue.expect(asked.message_id) as expected:
            await desk.submit(asked)
            async with _watched(receive) as unless_gone:
                loop = asyncio.get_running_loop()
                until = loop.time() + request.gate.wait
                while (left := until - loop.time()) > 0:
                    beat = min(left, _KEEP_ALIVE) if request.stream else left
                    if (outcome := await unless_gone(expected(beat))) is not None:
                        return outcome
                    if desk.queue.gave_up:
                        raise _still_open(asked.message_id, HTTPStatus.SERVICE_UNAVAILABLE, desk.queue.stop())
                    if request.stream and left > _KEEP_ALIVE:
                        await stream.begin({"x-tamiz-message-id": asked.message_id})
                        await stream.keep_alive()
        raise _still_open(
            asked.message_id, HTTPStatus.GATEWAY_TIMEOUT, f"there is no answer within {request.gate.wait:g} s"
        )

    async def _tell(self, stream: Stream, send: Send, request: Request, outcome: Terminal, caller: Caller) -> None:
        """Send the answer. Raises `Problem` where there is none to release."""
        if not isinstance(outcome, ValidatedResponse) or not (
            outcome.accepted or request.gate.on_exhausted == "return"
        ):
            bar = self._context.policy().under(outcome.terms).threshold
            raise problem_of(outcome, bar, self._opens_in(request), caller)
        now = self._context.clock.time()
        if request.stream:
            events = chunks_of(outcome, now, usage=request.usage)
            await stream.begin(headers_of(outcome))
            await stream.end(events)
            return
        body = _encode(completion_of(outcome, now))
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            *((name.encode(), value.encode("latin-1", "replace")) for name, value in headers_of(outcome).items()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _opens_in(self, request: Request) -> float | None:
        """Give the seconds until a model may be called, where none may now."""
        fleet = self._context.fleet
        opens_at = None if fleet is None else fleet.opens_at(1, request.only)
        return None if opens_at is None else opens_at - self._context.clock.time()


def _still_open(message_id: str, status: HTTPStatus, why: str) -> Problem:
    return Problem(
        status,
        f"{why}; the question is kept and goes on: the same request again gets its answer, as does "
        f"GET /questions/{message_id}",
        retry_after=5,
        code="still_open",
        more={"message_id": message_id},
        headers={"x-tamiz-message-id": message_id},
    )


async def _body(receive: Receive) -> bytes:
    message = await receive()
    parts = [message.get("body", b"")]
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
    return parts[0] if len(parts) == 1 else b"".join(parts)


@contextlib.asynccontextmanager
async def _watched(
    receive: Receive,
) -> AsyncIterator[Callable[[Awaitable[Terminal | None]], Awaitable[Terminal | None]]]:
    """Give a call that waits for something, and raises `_Gone` where the client hangs up meanwhile."""
    gone = asyncio.ensure_future(_until_gone(receive))

    async def unless_gone(waiting: Awaitable[Terminal | None]) -> Terminal | None:
        task = asyncio.ensure_future(waiting)
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise _Gone
            return await task
        finally:
            task.cancel()

    try:
        yield unless_gone
    finally:
        gone.cancel()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
