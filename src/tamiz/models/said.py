"""What a server's refusal says, whatever its shape: code, type, status, message and wait in one place."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

import msgspec

__all__ = ["Said", "read", "shorten"]

_STATUS: Final = re.compile(r"[45][0-9][0-9]")
_DEEPEST: Final = 6  # errors inside errors; real ones end at four
_LONGEST_MESSAGE: Final = 4000  # characters of it that are kept; it bounds the work of every pattern that is searched
_LONGEST_REASON: Final = 300  # characters of it that a reason repeats

_INSIDE: Final = ("error", "errors", "innererror", "metadata", "raw")
"""Where the rest of an error stands; the first that a layer has is the next layer."""


class Said(msgspec.Struct, frozen=True):
    """What a refusal's body says, whatever its shape."""

    status: int
    """The HTTP status; for an error that came with a 200 the status that the body names, or 0 where it names none."""
    codes: frozenset[str]
    """Each `code`, `type`, `status` and `reason` of the error and of what stands inside it, case-folded."""
    message: str
    """One line, at most 4000 characters; the outermost message first."""
    param: str | None
    wait: str | None = None
    """The duration or the moment after which to try again, where the body has a field for it."""


def read(status: int, body: object) -> Said:
    """Find code, type and message in a refusal's decoded body (or its text); every provider has a shape of its own.

    `status` 200 gives way to the status that the body names, else to 0.
    """
    layers = list(_layers(body))
    details = [detail for layer in layers for detail in _dicts(layer.get("details"))]
    codes = [_folded(layer.get(key)) for layer in layers for key in ("code", "type", "status")]
    codes += [_folded(detail.get("reason")) for detail in details]
    if status == HTTPStatus.OK:
        status = next((int(code) for code in codes if _STATUS.fullmatch(code)), 0)
    param = next((layer["param"] for layer in layers if isinstance(layer.get("param"), str)), None)
    return Said(
        status, frozenset(filter(None, codes)), _message(layers, details), _text(param) or None, _wait(layers, details)
    )


def shorten(message: str) -> str:
    """Give a message fit for one line of a report."""
    return message if len(message) <= _LONGEST_REASON else message[: _LONGEST_REASON - 1] + "…"


def _layers(body: object) -> Iterator[dict[str, object]]:
    """Give the body, the error inside it, the upstream's error inside that, and so on."""
    for _ in range(_DEEPEST):
        if isinstance(body, list):  # some wrap it once more
            body = body[0] if body else None
        if isinstance(body, str):
            body = _decoded(body)
        if not isinstance(body, dict):
            return
        yield body
        body = next((body[key] for key in _INSIDE if body.get(key)), None)


def _decoded(text: str) -> object:
    """Give the error that a text is: OpenRouter repeats an upstream's body as a string, JSON or not."""
    if text.lstrip().startswith(("{", "[{")):
        try:
            found = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            pass
        else:
            return found[0] if isinstance(found, list) else found
    return {"message": text}


def _message(layers: list[dict[str, object]], details: list[dict[str, object]]) -> str:
    told = ""
    for layer in layers:
        # Who the upstream is, where a router repeats its error.
        name = layer.get("provider_name") if layer.get("raw") else None
        for value in (name, layer.get("message") or layer.get("detail")):
            text = _text(value)
            if text and text not in told:
                told = f"{told}: {text}" if told else text
    # Google's message is the same for each quota; which one it was stands here alone (google.rpc.QuotaFailure).
    quotas = [_text(found.get("quotaId")) for detail in details for found in _dicts(detail.get("violations"))]
    if any(quotas):
        told += f" ({', '.join(filter(None, quotas))})"
    return told[:_LONGEST_MESSAGE]


def _wait(layers: list[dict[str, object]], details: list[dict[str, object]]) -> str | None:
    for detail in details:  # google.rpc.RetryInfo, which is no header
        if isinstance(detail.get("retryDelay"), str):
            return _text(detail["retryDelay"])
    for layer in layers:  # an upstream's headers, which OpenRouter puts into the body
        headers = layer.get("headers")
        if isinstance(headers, dict):
            named = {str(name).lower(): str(value) for name, value in headers.items()}
            return named.get("retry-after") or named.get("x-ratelimit-reset")
    return None


def _text(value: object) -> str:
    """Give a text in one line, or a list of a validator's complaints without the question that they repeat."""
    if isinstance(value, list) and value:
        told = [{k: v for k, v in item.items() if k != "input"} if isinstance(item, dict) else item for item in value]
        value = msgspec.json.encode(told).decode()
    return " ".join(value.split()) if isinstance(value, str) else ""


def _folded(value: object) -> str:
    return str(value).strip().casefold() if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _dicts(value: object) -> list[dict[str, object]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
