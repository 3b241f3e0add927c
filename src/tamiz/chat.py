"""Chat completion requests, as OpenAI's API reference has them: what they ask, and what of it goes to a model."""

from typing import Any, Final

import msgspec

from tamiz.errors import Failed, FailureKind

__all__ = ["CUT", "TEXT_ALONE", "as_text", "asked", "canonical", "choices_of", "for_model", "only_text"]

CUT: Final = frozenset({"length", "max_tokens"})
"""Finish reasons of an answer that is as long as it may be."""

TEXT_ALONE: Final = frozenset(
    {"messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "seed", "user"}
)
"""Parameters that a model takes that is no server of its own."""

_OURS: Final = frozenset({"model", "stream", "stream_options", "tamiz"})
"""What a front answers for itself; everything else is the model's."""
_TEXTS: Final = frozenset({"text", "input_text", "output_text", "refusal"})


def canonical(body: dict[str, Any]) -> str:
    """Give what of a request goes to a model, as JSON that is the same for the same request."""
    return msgspec.json.encode(
        {name: body[name] for name in sorted(body) if name not in _OURS}, order="sorted"
    ).decode()


def asked(body: dict[str, Any]) -> str:
    """Give what the last message of the user says, as text; empty where it holds none."""
    messages = [each for each in body.get("messages") or () if isinstance(each, dict)]
    said = [each for each in messages if each.get("role") == "user"] or messages
    return as_text(said[-1].get("content")) if said else ""


def as_text(content: object) -> str:
    """Give the text of a message's content, which is a text or a list of parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part for part in content if _is_text(part)]
    texts = [part.get("text") or part.get("refusal") for part in parts]
    return "\n".join(text for text in texts if isinstance(text, str))


def for_model(chat: str, model: str, hint: str, sampling: dict[str, Any]) -> dict[str, Any]:
    """Give the body to send: the request, for this model, with a hint behind what the user said, if there is one.

    `sampling` is what is added where the request does not say it itself.
    """
    body: dict[str, Any] = {"model": model, **sampling, **msgspec.json.decode(chat)}
    if hint:
        messages = list(body["messages"])
        last = messages[-1]
        if last.get("role") == "user" and isinstance(last.get("content"), str):
            messages[-1] = {**last, "content": last["content"] + hint}
        else:
            messages.append({"role": "user", "content": hint.strip()})
        body["messages"] = messages
    return body


def only_text(chat: str, model: str, more: frozenset[str] = frozenset()) -> list[dict[str, str]]:
    """Give the messages of a request that asks for text and nothing else.

    Raises `Failed` that names what else it asks for.
    """
    body = msgspec.json.decode(chat)
    unknown = sorted(body.keys() - TEXT_ALONE - more)
    if unknown:
        raise Failed(FailureKind.INVALID, f"{model} does not take {', '.join(unknown)}")
    messages = []
    for message in body["messages"]:
        content = message.get("content")
        if not isinstance(content, str) and not (isinstance(content, list) and all(map(_is_text, content))):
            raise Failed(FailureKind.INVALID, f"{model} takes messages of text alone")
        messages.append({"role": message.get("role", "user"), "content": as_text(content)})
    return messages


def _is_text(part: object) -> bool:
    return isinstance(part, dict) and part.get("type") in _TEXTS


def choices_of(text: str, finish_reason: str = "stop") -> str:
    """Give the `choices` of a completion that says this text and nothing else, as JSON."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text, "refusal": None},
        "logprobs": None,
        "finish_reason": finish_reason,
    }
    return msgspec.json.encode([choice]).decode()
