"""The topics as an AsyncAPI 3 document: what travels on each, with which key, who writes it and who reads it.

It is made from the messages, so that it says of a field what the code says.
"""

import ast
import inspect
from itertools import pairwise
from typing import Any, Final

import msgspec

from tamiz import __version__, messages
from tamiz.bus.address import KafkaAddress
from tamiz.messages import READ_BY, TOPIC_OF, Message, Topic

__all__ = ["WRITTEN_BY", "document"]

WRITTEN_BY: Final[dict[Topic, tuple[str, ...]]] = {
    Topic.QUESTIONS_IN: ("traffic", "run", "retry"),
    Topic.LLM_REQUESTS: ("intake", "retry"),
    Topic.LLM_RESPONSES: ("generate",),
    Topic.LLM_ERRORS: ("generate",),
    Topic.REGENERATION_REQUESTS: ("judge",),
    Topic.VALIDATED_RESPONSES: ("intake", "judge"),
    Topic.DEAD_LETTERS: ("run", "intake", "generate", "retry", "judge", "persist"),
}
"""Who writes to each topic: stages; `traffic` and `run`, where questions come from; and `retry` what was put back.

Every stage writes a dead letter where it reads a record that is no message.
"""

_JSON: Final = "application/json"
_SCHEMA: Final = "#/components/schemas/{name}"
_ADDRESS: Final = KafkaAddress(servers="localhost:9092")
_KEY: Final = "The question's `cache_key`, in UTF-8: identical questions meet in one partition."

Json = dict[str, Any]


def document() -> Json:
    """Give the document, for topics and groups without a prefix."""
    types = {topic: message for message, topic in TOPIC_OF.items()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "tamiz: the topics of the flow",
            "version": __version__,
            "description": "Each question ends in one message of `validated_responses` or `dead_letters`. Delivery is "
            "at least once; a reader ignores fields it does not know and refuses a version `v` it does not know.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": _JSON,
        "servers": {"cluster": {"host": _ADDRESS.servers, "protocol": "kafka", "description": "As --bus names it."}},
        "channels": {topic.value: _channel(topic, types[topic]) for topic in Topic},
        "operations": {
            name: operation
            for topic in Topic
            for name, operation in (
                *((f"{stage}.reads.{topic}", _operation("receive", stage, topic)) for stage in _readers(topic)),
                *((f"{writer}.writes.{topic}", _operation("send", writer, topic)) for writer in WRITTEN_BY[topic]),
            )
        },
        "components": {
            "messages": {types[topic].__name__: _message(types[topic]) for topic in Topic},
            "schemas": _schemas(),
        },
    }


def _readers(topic: Topic) -> list[str]:
    return [stage for stage, topics in READ_BY.items() if topic in topics]


def _channel(topic: Topic, message: type[Message]) -> Json:
    return {
        "address": _ADDRESS.topic(topic),
        "description": f"Written by {', '.join(WRITTEN_BY[topic])}; read by {', '.join(_readers(topic))}.",
        "messages": {message.__name__: {"$ref": f"#/components/messages/{message.__name__}"}},
    }


def _operation(action: str, who: str, topic: Topic) -> Json:
    operation: Json = {"action": action, "channel": {"$ref": f"#/channels/{topic}"}, "tags": [{"name": who}]}
    if action == "receive":
        group = {"type": "string", "enum": [_ADDRESS.group(who)]}
        operation["bindings"] = {"kafka": {"groupId": group, "bindingVersion": "0.5.0"}}
    return operation


def _message(message: type[Message]) -> Json:
    return {
        "name": message.__struct_config__.tag,
        "title": message.__name__,
        "summary": inspect.cleandoc(message.__doc__ or ""),
        "contentType": _JSON,
        "correlationId": {"location": "$message.payload#/message_id"},
        "payload": {"$ref": _SCHEMA.format(name=message.__name__)},
        "bindings": {"kafka": {"key": {"type": "string", "description": _KEY}, "bindingVersion": "0.5.0"}},
    }


def _schemas() -> Json:
    _, schemas = msgspec.json.schema_components(list(TOPIC_OF), ref_template=_SCHEMA)
    told = _docstrings()
    for name, schema in schemas.items():
        for each in _lineage(name):
            for field, text in told.get(each, {}).items():
                # beside a `$ref` nothing else counts in a draft of JSON Schema that AsyncAPI builds on
                if field in schema.get("properties", {}) and "$ref" not in schema["properties"][field]:
                    schema["properties"][field]["description"] = text
    return schemas


def _lineage(name: str) -> list[str]:
    """Give a type of the messages and those it inherits from, its own last."""
    kind = getattr(messages, name, None)
    return [each.__name__ for each in reversed(kind.__mro__)] if isinstance(kind, type) else []


def _docstrings() -> dict[str, dict[str, str]]:
    """Give the text below each field of each message, which Python does not keep."""
    told: dict[str, dict[str, str]] = {}
    for kind in ast.parse(inspect.getsource(messages)).body:
        for field, after in pairwise(kind.body) if isinstance(kind, ast.ClassDef) else ():
            match field, after:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    told.setdefault(kind.name, {})[name] = " ".join(text.split())  # type: ignore[attr-defined]
    return told
