"""A completion as server-sent events: the answer is whole when the first of it is sent, cut as clients expect it."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tamiz.http.guard import Send
from tamiz.http.openai.answer import choices_of, tokens_of, told_of
from tamiz.http.problems import Problem, body_of
from tamiz.messages import ValidatedResponse

__all__ = ["Stream", "chunks_of"]

_PIECE: Final = 2000
"""Characters of a chunk: a line that every client reads."""
_WHOLE: Final = frozenset({"role", "content", "refusal", "tool_calls"})
_encode: Final = msgspec.json.Encoder().encode


class Stream:
    """A response that is sent in parts. Nothing is sent before the first of its calls."""

    def __init__(self, send: Send) -> None:
        self.begun = False
        self._send = send

    async def begin(self, headers: dict[str, str]) -> None:
        """Send the status, once."""
        if self.begun:
            return
        self.begun = True
        told = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
            *((name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()),
        ]
        await self._send({"type": "http.response.start", "status": 200, "headers": told})

    async def keep_alive(self) -> None:
        """Send a comment, which clients skip."""
        await self._send({"type": "http.response.body", "body": b": keep-alive\n\n", "more_body": True})

    async def end(self, data: bytes) -> None:
        """Send the last part."""
        await self._send({"type": "http.response.body", "body": data})

    async def fail(self, problem: Problem) -> None:
        """Send an error in place of an answer, now that the status has been sent."""
        await self.end(b"data: " + body_of(problem, "/v1/") + b"\n\n")


def chunks_of(outcome: ValidatedResponse, created: float, *, usage: bool) -> bytes:
    """Give all events of an answer. With `usage`, the last of them tells the tokens."""
    head = {
        "id": f"chatcmpl-{outcome.message_id}",
        "object": "chat.completion.chunk",
        "created": int(created),
        "model": outcome.answer.model,
        "system_fingerprint": None,
    }
    if usage:
        head["usage"] = None
    choices = msgspec.json.decode(choices_of(outcome.answer))
    parts = [part for at, choice in enumerate(choices) for part in _parts(choice, at)]
    events: list[dict[str, Any]] = [{**head, "choices": [part]} for part in parts]
    events[-1]["tamiz"] = told_of(outcome)  # for who got the headers before anything was known
    if usage:
        events.append({**head, "choices": [], "usage": tokens_of(outcome)})
    return b"".join(b"data: " + _encode(event) + b"\n\n" for event in events) + b"data: [DONE]\n\n"


def _parts(choice: dict[str, Any], at: int) -> Iterator[dict[str, Any]]:
    """Cut a choice into what chunks carry of it."""
    index = choice.get("index", at)
    logprobs = choice.get("logprobs")
    for delta in _deltas(choice.get("message") or {}):
        told = None if "role" in delta else logprobs  # with the first of the text, for all of it
        logprobs = logprobs if told is None else None
        yield {"index": index, "delta": delta, "logprobs": told, "finish_reason": None}
    yield {"index": index, "delta": {}, "logprobs": logprobs, "finish_reason": choice.get("finish_reason")}


def _deltas(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    content = message.get("content")
    yield {"role": message.get("role", "assistant"), "content": "" if isinstance(content, str) else None}
    for name, value in message.items():
        if name not in _WHOLE and value is not None:
            yield {name: value}
    for name in ("content", "refusal"):
        if isinstance(text := message.get(name), str):
            yield from ({name: text[start : start + _PIECE]} for start in range(0, len(text), _PIECE))
    for at, call in enumerate(message.get("tool_calls") or ()):
        yield from _call(call, at)


def _call(call: dict[str, Any], at: int) -> Iterator[dict[str, Any]]:
    function = call.get("function")
    arguments = function.get("arguments") if isinstance(function, dict) else None
    if not isinstance(function, dict) or not isinstance(arguments, str):
        yield {"tool_calls": [{"index": at, **call}]}
        return
    yield {"tool_calls": [{**call, "index": at, "function": {**function, "arguments": ""}}]}
    for start in range(0, len(arguments), _PIECE):
        piece = {"arguments": arguments[start : start + _PIECE]}
        yield {"tool_calls": [{"index": at, "function": piece}]}
