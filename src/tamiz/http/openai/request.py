"""Chat completion requests: reads and checks what a front has to know of them; the rest is the model's."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal, NoReturn

import msgspec

from tamiz import chat
from tamiz.http.fields import UNREADABLE, no_json, shown, wrong
from tamiz.http.openai.names import Names
from tamiz.http.problems import Problem
from tamiz.http.reference import AskedReference

__all__ = ["DEEPEST", "LONGEST_WAIT", "Gate", "Known", "Request", "read"]

DEEPEST: Final = 100
"""Levels of a body's lists and objects."""
LONGEST_WAIT: Final = 600.0
"""Seconds that a client may wait for an answer."""

_DEEP: Final = f"the body nests lists and objects more than {DEEPEST} deep"
_CODE: Final = "invalid_request"
_NO_TEXT: Final = "(a chat without a text of the user)"
_decode: Final = msgspec.json.Decoder().decode
_Object = dict[str, Any]


class Gate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `tamiz` in the body says."""

    reference: AskedReference = None
    """The human answer, which scores answers; no model ever sees it."""
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    """The least score that is accepted; without it, the service's."""
    on_exhausted: Literal["error", "return"] = "error"
    """What to do with the best answer where none was good enough: an error that tells of it, or the answer itself."""
    wait: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_WAIT)] = LONGEST_WAIT
    """Seconds to wait for the answer."""


_OPEN: Final = Gate()


class _Part(msgspec.Struct):
    type: str


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None


class _StreamOptions(msgspec.Struct, forbid_unknown_fields=True):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Known(msgspec.Struct, kw_only=True):
    """Parameters of OpenAI's API reference, and what they must be whoever the model's server is."""

    model: Annotated[str, msgspec.Meta(min_length=1)]
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)]
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    metadata: _Object | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None
    parallel_tool_calls: bool | None = None
    presence_penalty: float | None = None
    prompt_cache_key: str | None = None
    response_format: _Object | None = None
    safety_identifier: str | None = None
    seed: int | None = None
    service_tier: str | None = None
    stop: str | list[str] | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    tamiz: Gate | None = None
    temperature: float | None = None
    tool_choice: str | _Object | None = None
    tools: list[_Object] | None = None
    top_logprobs: int | None = None
    top_p: float | None = None
    user: str | None = None


class _OfText(Known, kw_only=True):
    """The same where no server has a say: within the ranges of the API reference."""

    max_completion_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None


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
    takes = names.takes(only)
    known = _known(body, _OfText if takes else Known)
    gate = known.tamiz or _OPEN
    _check_choices(known.n, gate)
    if takes:
        _check_text(body, takes, names.servers if only is None else ())
    canonical = chat.canonical(body)
    labelled = not chat.LABELS.isdisjoint(body)
    return Request(
        only=only,
        chat=canonical,
        identity=chat.canonical({name: body[name] for name in body if name not in chat.LABELS})
        if labelled
        else canonical,
        title=chat.asked(body).strip().replace("\0", "\ufffd") or _NO_TEXT,  # files take no NUL
        gate=gate,
        stream=bool(known.stream),
        usage=_wants_usage(known),
    )


def _body(data: bytes) -> dict[str, Any]:
    try:
        body = _decode(data)
    except RecursionError:
        _refuse(None, _DEEP)
    except UNREADABLE as error:
        _refuse(None, f"the body {no_json(data, error)}; it must be JSON: an object with model and messages")
    if not isinstance(body, dict):
        _refuse(None, f"the body is {shown(body)}; it must be an object with model and messages")
    if data.count(b"[") + data.count(b"{") > DEEPEST and _is_deep(body):
        _refuse(None, _DEEP)
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


def _known(body: _Object, kind: type[Known]) -> Known:
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise wrong(error, kind, body, code=_CODE) from None


def _check_choices(count: int | None, gate: Gate) -> None:
    if count is not None and count > 1 and (gate.reference is not None or gate.threshold is not None):
        _refuse("n", f"n is {count}: one answer at a time is held to tamiz.reference and tamiz.threshold; leave n at 1")


def _check_text(body: _Object, takes: Mapping[str, frozenset[str]], servers: Sequence[str]) -> None:
    """Refuse what one of the models that may be asked does not take, whichever it would be: its turn may come.

    `servers` are models that could be named instead.
    """
    for name, each in takes.items():
        if beyond := chat.beyond_text(body, each):
            instead = f", or name a model that may: {', '.join(servers)}" if servers else ""
            why = f"{name} answers with text alone and does not take {', '.join(beyond)}: leave it out{instead}"
            _refuse(beyond[0], why)


def _wants_usage(known: Known) -> bool:
    options = known.stream_options
    if options is None:
        return False
    if not known.stream:
        _refuse("stream_options", "stream_options is for stream: true alone")
    if options.include_obfuscation:
        _refuse("stream_options.include_obfuscation", "stream_options.include_obfuscation: nothing is padded here")
    return bool(options.include_usage)


def _refuse(field: str | None, what: str) -> NoReturn:
    raise Problem(HTTPStatus.BAD_REQUEST, what, field=field, code=_CODE)
