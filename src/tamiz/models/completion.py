"""Reads the body of a chat completion: an answer, or the typed failure that it stands for."""

from typing import Any, Final, NoReturn

import msgspec

from tamiz.chat import CUT
from tamiz.errors import Failed, FailureKind
from tamiz.models.base import RateLimit, Reply
from tamiz.models.classify import is_error_text

__all__ = ["ErrorObject", "check", "plain", "reply_of"]


class _Message(msgspec.Struct, gc=False):
    content: str | None = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None


class _Choice(msgspec.Struct, gc=False):
    message: _Message
    finish_reason: str | None = None
    error: Any = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Completion(msgspec.Struct, gc=False):
    choices: list[_Choice]
    model: str | None = None
    usage: _Usage | None = None
    error: Any = None


class _Choices(msgspec.Struct, gc=False):
    choices: msgspec.Raw


_decoder: Final = msgspec.json.Decoder(_Completion)
_choices: Final = msgspec.json.Decoder(_Choices)
_unreadable: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class ErrorObject(Exception):
    """The body is not a completion but tells of an error; `body` is what it says, decoded."""

    def __init__(self, body: object) -> None:
        super().__init__()
        self.body = body


# What a completion without an answer is. `INVALID` ends the question, `OVERLOAD` brings it back for another try.
_NO_CHOICES: Final = FailureKind.OVERLOAD
_NO_TEXT: Final = FailureKind.OVERLOAD
_REFUSED: Final = FailureKind.INVALID
_CUT_OFF: Final = FailureKind.INVALID
_RUBBISH: Final = FailureKind.OVERLOAD

_WITHHELD: Final = frozenset(
    {"content_filter", "safety", "image_safety", "recitation", "blocklist", "prohibited_content", "spii", "refusal"}
)
"""Finish reasons of an answer that a filter keeps back; those after the first are Google's, the last is Anthropic's."""


def reply_of(data: bytes, model: str, limits: tuple[RateLimit, ...] = (), *, chat: bool = False) -> Reply:
    """Give the answer in the body of a 200 response; `model` names it where the server does not.

    The answer of a `chat` may be a call of a tool, whose text is its JSON, and be cut off where the request says so.

    Raises `Failed` where the body holds no answer, with what it holds instead, and `ErrorObject` where it is an error.
    """
    try:
        done = _decoder.decode(data)
    except _unreadable:
        _explain(data)
    if done.error or not done.choices or done.choices[0].error:
        _explain(data)
    choice = done.choices[0]
    usage = done.usage or _Usage()
    try:
        text = (_chat_text if chat else _text)(choice)
    except Failed as failed:
        failed.tokens = (usage.prompt_tokens or 0) + (usage.completion_tokens or 0) if done.usage else None
        raise
    return Reply(
        text=text,
        model=done.model or model,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        completion=bytes(_choices.decode(data).choices).decode() if chat else None,
        limits=limits,
    )


def _text(choice: _Choice) -> str:
    return check(choice.message.content, choice.finish_reason, choice.message.refusal)


def _chat_text(choice: _Choice) -> str:
    message = choice.message
    if calls := message.tool_calls or message.function_call or message.audio:
        return msgspec.json.encode(calls).decode()
    finish = choice.finish_reason
    return check(message.content, None if (finish or "").lower() in CUT else finish, message.refusal)


def check(content: str | None, finish_reason: str | None, refusal: object = None) -> str:
    """Give the text of an answer, trimmed.

    Raises `Failed` where it is none: blank, refused, filtered, cut off, or a gateway's error message.
    """
    if refusal:
        raise Failed(_REFUSED, f"the model refused: {str(refusal)[:200]}")
    finish = (finish_reason or "").lower()
    if finish in _WITHHELD:
        raise Failed(_REFUSED, f"the answer was withheld by a content filter (finish_reason {finish_reason})")
    if finish in CUT:
        raise Failed(_CUT_OFF, f"the answer was cut off at max_tokens (finish_reason {finish_reason})")
    if finish == "error":
        raise Failed(_RUBBISH, "the server failed while it answered (finish_reason error)")
    if content is None:
        raise Failed(_NO_TEXT, "the answer has no text (content is null)")
    text = content.strip()
    if not text:
        raise Failed(_NO_TEXT, "the answer is blank")
    if len(text) < 250 and is_error_text(text):  # noqa: PLR2004 - longer ones cannot match, so skip the pattern
        raise Failed(_RUBBISH, f"the answer is a server's error message: {text[:100]!r}")
    return text


def plain(data: bytes) -> object:
    """Decode JSON of any shape.

    Raises `Failed` that says what the bytes are where they are no JSON.
    """
    try:
        return msgspec.json.decode(data)
    except _unreadable:
        start = data[:200].lstrip().lower()
        if not start:
            what = "an empty body"
        elif start.startswith(b"<"):
            what = "an HTML page, not JSON"
        else:
            what = "not JSON, or cut off"
        raise Failed(_RUBBISH, f"the server sent rubbish: {what}", tokens=None) from None


def _explain(data: bytes) -> NoReturn:
    """Say why the body is no completion."""
    body = plain(data)
    if isinstance(body, list) and body and isinstance(body[0], dict):
        body = body[0]
    if not isinstance(body, dict):
        raise Failed(_RUBBISH, "the server sent rubbish: JSON that is no completion")
    if body.get("error") or body.get("object") == "error":
        raise ErrorObject(body)
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise Failed(_NO_CHOICES, "the completion has no choices")
    choice = choices[0]
    if isinstance(choice, dict) and choice.get("error"):
        raise ErrorObject({"error": choice["error"]})
    message = choice.get("message") if isinstance(choice, dict) else None
    if message is None and isinstance(choice, dict) and isinstance(choice.get("finish_reason"), str):
        check(None, choice["finish_reason"])
    if not isinstance(message, dict):
        raise Failed(_NO_CHOICES, "the completion's choice has no message")
    if not isinstance(message.get("content"), str | None):
        raise Failed(_NO_TEXT, "the answer's content is not text")
    raise Failed(_RUBBISH, "the server sent rubbish: a completion with fields of the wrong type")
