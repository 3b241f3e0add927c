"""Chat completion requests, as OpenAI's API reference has them: what they ask, and what of it goes to a model."""

from typing import Any, Final

import msgspec

from tamiz.errors import Failed, FailureKind

__all__ = [
    "CUT",
    "LABELS",
    "TEXT_ALONE",
    "as_text",
    "asked",
    "beyond_text",
    "canonical",
    "choices_of",
    "for_model",
    "only_text",
]

CUT: Final = frozenset({"length", "max_tokens"})
"""Finish reasons of an answer that is as long as it may be."""

_SAMPLING: Final = frozenset({"max_tokens", "max_completion_tokens", "temperature", "top_p", "seed"})
LABELS: Final = frozenset({"metadata", "prompt_cache_key", "safety_identifier", "user"})
"""Parameters that say who asks and what for: they go to the model, and make no other request of the same one."""

TEXT_ALONE: Final = {
    "simulated": frozenset({"messages", *_SAMPLING, *LABELS}),
    "local": frozenset({"messages", *_SAMPLING, *LABELS, "stop"}),
}
"""Models that are no servers of their own, by scheme: the parameters that one takes."""
_NOTHING_MORE: Final[dict[str, tuple[Any, ...]]] = {
    "n": (1,),
    "stop": ([],),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "store": (False,),
}
"""Values of further parameters that ask for no more than text, beside null."""
_CALLS: Final = ("tool_calls", "function_call", "audio")
"""What a message may have beside its content."""

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


def beyond_text(body: dict[str, Any], takes: frozenset[str]) -> list[str]:
    """Name what of a request asks for more than text: parameters, and parts of messages."""
    names = [name for name in sorted(body.keys() - takes - _OURS) if not _says_nothing(name, body[name])]
    for at, message in enumerate(body["messages"]):
        content = message.get("content")
        if not _is_plain(content) and not (content is None and message.get("role") == "assistant"):
            names.append(f"messages[{at}].content")
        names += [f"messages[{at}].{name}" for name in _CALLS if message.get(name)]
    return names


def only_text(chat: str, model: str, takes: frozenset[str]) -> dict[str, Any]:
    """Give what says something of a request that asks for text and nothing else; its messages are texts.

    Raises `Failed` that names what else it asks for.
    """
    body = msgspec.json.decode(chat)
    if beyond := beyond_text(body, takes):
        raise Failed(FailureKind.INVALID, f"{model} does not take {', '.join(beyond)}")
    messages = [
        {"role": message.get("role", "user"), "content": as_text(message.get("content"))}
        for message in body["messages"]
    ]
    return {
        **{name: body[name] for name in (takes - LABELS) & body.keys() if body[name] is not None},
        "messages": messages,
    }


def _says_nothing(name: str, value: object) -> bool:
    return value is None or value in _NOTHING_MORE.get(name, ())


def _is_plain(content: object) -> bool:
    return isinstance(content, str) or (isinstance(content, list) and all(map(_is_text, content)))


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
