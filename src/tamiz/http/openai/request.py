"""Chat completion requests: reads and checks what a front has to know of them; the rest is the model's."""

from http import HTTPStatus
from typing import Annotated, Any, Final, Literal, NoReturn

import msgspec

from tamiz import chat
from tamiz.http.openai.names import Names
from tamiz.http.problems import Problem
from tamiz.http.reference import Reference

__all__ = ["DEEPEST", "LONGEST_WAIT", "Gate", "Request", "read"]

DEEPEST: Final = 100
"""Levels of a body's lists and objects."""
LONGEST_WAIT: Final = 600.0
"""Seconds that a client may wait for an answer."""

_MOST_CHOICES: Final = 128
_LABELS: Final = frozenset({"metadata", "prompt_cache_key", "safety_identifier", "user"})
"""Parameters that say who asks and what for: they go to the model, and make no other request of the same one."""
_NO_TEXT: Final = "(a chat without a text of the user)"
_unreadable: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_decode: Final = msgspec.json.Decoder().decode


class Gate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `tamiz` in the body says."""

    reference: Reference = None
    """The human answer, which scores answers; no model ever sees it."""
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    """The least score that is accepted; without it, the service's."""
    on_exhausted: Literal["error", "return"] = "error"
    """What to do with the best answer where none was good enough: an error that tells of it, or the answer itself."""
    wait: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_WAIT)] = LONGEST_WAIT
    """Seconds to wait for the answer."""


_OPEN: Final = Gate()


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request that can be served."""

    only: str | None
    """The one model that may be asked; `None`: as the settings have it."""
    chat: str
    """What of the body goes to the model, as JSON."""
    identity: str
    """What makes it another request than others; equal where the answer of one would do for the other."""
    title: str
    """What the user said last."""
    gate: Gate
    stream: bool
    usage: bool
    """Whether a stream ends with the tokens that were used."""


def read(data: bytes, names: Names) -> Request:
    """Read a request's body. Raises `Problem` that names the parameter that is wrong."""
    body = _body(data)
    model = body.get("model")
    if not isinstance(model, str) or not model:
        _refuse("model", "you must name a model: " + ", ".join(names.listed))
    only = names.only(model)
    _check_messages(body.get("messages"))
    gate = _gate(body.get("tamiz"))
    _check_choices(body.get("n"), gate)
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        _refuse("stream", f"stream is {_shown(stream)}; it is true or false")
    canonical = chat.canonical(body)
    labelled = not _LABELS.isdisjoint(body)
    return Request(
        only=only,
        chat=canonical,
        identity=chat.canonical({name: body[name] for name in body if name not in _LABELS}) if labelled else canonical,
        title=chat.asked(body).strip() or _NO_TEXT,
        gate=gate,
        stream=bool(stream),
        usage=_wants_usage(body.get("stream_options"), stream=bool(stream)),
    )


def _body(data: bytes) -> dict[str, Any]:
    try:
        body = _decode(data)
    except _unreadable as error:
        _refuse(None, f"the body is not JSON that can be read: {error}")
    if not isinstance(body, dict):
        _refuse(None, f"the body is {_shown(body)}; it is an object with model and messages")
    if data.count(b"[") + data.count(b"{") > DEEPEST and _is_deep(body):
        _refuse(None, f"the body nests lists and objects more than {DEEPEST} deep")
    return body


def _is_deep(body: object) -> bool:
    """Tell whether lists and objects nest too deep for whoever reads them later, on whatever stack."""
    level: list[Any] = [body]
    depth = 0
    while level:
        depth += 1
        if depth > DEEPEST:
            return True
        level = [
            child
            for each in level
            for child in (each.values() if isinstance(each, dict) else each)
            if isinstance(child, (list, dict))
        ]
    return False


def _check_messages(messages: object) -> None:
    if messages is None:
        _refuse("messages", "messages are missing: a list of what was said so far")
    if not isinstance(messages, list):
        _refuse("messages", f"messages is {_shown(messages)}; it is a list of messages")
    if not messages:
        _refuse("messages", "messages is empty; there must be at least one")
    for at, message in enumerate(messages):
        where = f"messages[{at}]"
        if not isinstance(message, dict):
            _refuse(where, f"{where} is {_shown(message)}; it is an object with role and content")
        if not isinstance(message.get("role"), str):
            _refuse(f"{where}.role", f"{where}.role is {_shown(message.get('role'))}; it is a text such as 'user'")
        _check_content(message.get("content"), f"{where}.content")


def _check_content(content: object, where: str) -> None:
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list):
        _refuse(where, f"{where} is {_shown(content)}; it is a text or a list of parts")
    for at, part in enumerate(content):
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            _refuse(f"{where}[{at}]", f"{where}[{at}] is {_shown(part)}; it is an object with a type")


def _gate(value: object) -> Gate:
    if value is None:
        return _OPEN
    try:
        return msgspec.convert(value, Gate)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        _refuse(f"tamiz{where.rstrip('`')}", f"tamiz{where.rstrip('`')}: {what}")


def _check_choices(count: object, gate: Gate) -> None:
    if count is None:
        return
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= _MOST_CHOICES:
        _refuse("n", f"n is {_shown(count)}; it is a whole number from 1 to {_MOST_CHOICES}")
    if count > 1 and (gate.reference is not None or gate.threshold is not None):
        _refuse("n", f"n is {count}: one answer at a time is held to tamiz.reference and tamiz.threshold; leave n at 1")


def _wants_usage(options: object, *, stream: bool) -> bool:
    if options is None:
        return False
    if not isinstance(options, dict):
        _refuse("stream_options", f"stream_options is {_shown(options)}; it is an object")
    if not stream:
        _refuse("stream_options", "stream_options is for stream: true alone")
    for name, value in options.items():
        if name not in {"include_usage", "include_obfuscation"} or not isinstance(value, bool | None):
            _refuse(f"stream_options.{name}", f"stream_options.{name} is {_shown(value)}, which is not known here")
    if options.get("include_obfuscation"):
        _refuse("stream_options.include_obfuscation", "stream_options.include_obfuscation: nothing is padded here")
    return bool(options.get("include_usage"))


def _shown(value: object) -> str:
    match value:
        case None:
            return "missing"
        case str():
            return f"the text {value[:40]!r}"
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return str(value).lower()[:40]


def _refuse(field: str | None, what: str) -> NoReturn:
    raise Problem(HTTPStatus.BAD_REQUEST, what, field=field, code="invalid_request")
