"""The front's call in OpenAPI's words; it is served without the framework that writes the rest of the document."""

from typing import Any, Final

from tamiz.http.openai.front import PATH
from tamiz.http.openai.request import LONGEST_WAIT

__all__ = ["OPERATIONS"]

_ERROR: Final = {
    "application/json": {
        "schema": {
            "type": "object",
            "required": ["error"],
            "properties": {
                "error": {
                    "type": "object",
                    "required": ["message", "type", "param", "code"],
                    "properties": {
                        "message": {"type": "string"},
                        "type": {"type": "string"},
                        "param": {"type": ["string", "null"]},
                        "code": {"type": ["string", "null"]},
                        "message_id": {"type": "string"},
                    },
                }
            },
        }
    }
}


def _each(kind: str, *names: str) -> dict[str, Any]:
    return {name: {"type": [kind, "null"]} for name in names}


_REQUEST: Final = {
    "type": "object",
    "required": ["model", "messages"],
    "properties": {
        "model": {"type": "string", "minLength": 1, "description": "a name of GET /v1/models; tamiz is all of them"},
        "messages": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["role"],
                "properties": {
                    "role": {"type": "string"},
                    "content": {
                        "oneOf": [
                            {"type": "string"},
                            {"type": "null"},
                            {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "required": ["type"],
                                    "properties": {"type": {"type": "string"}},
                                },
                            },
                        ]
                    },
                },
            },
        },
        "n": {"type": ["integer", "null"], "minimum": 1, "maximum": 128},
        **_each("number", "frequency_penalty", "presence_penalty", "temperature", "top_p"),
        **_each("integer", "max_completion_tokens", "max_tokens", "seed", "top_logprobs"),
        **_each("boolean", "logprobs", "parallel_tool_calls", "store", "stream"),
        **_each("string", "prompt_cache_key", "safety_identifier", "service_tier", "user"),
        **_each("object", "metadata", "response_format"),
        "logit_bias": {"type": ["object", "null"], "additionalProperties": {"type": "number"}},
        "stop": {"type": ["string", "array", "null"], "items": {"type": "string"}},
        "tool_choice": {"type": ["string", "object", "null"]},
        "tools": {"type": ["array", "null"], "items": {"type": "object"}},
        "stream_options": {
            "type": ["object", "null"],
            "properties": {"include_usage": {"type": "boolean"}},
            "additionalProperties": False,
        },
        "tamiz": {
            "type": ["object", "null"],
            "properties": {
                "reference": {
                    "type": ["string", "array", "null"],
                    "items": {"type": "string"},
                    "description": "the human answer, or its accepted forms, that scores answers; no model sees it",
                },
                "threshold": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
                "on_exhausted": {
                    "enum": ["error", "return"],
                    "description": "what to do with the best answer where none was good enough",
                },
                "wait": {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_WAIT, "description": "seconds"},
            },
            "additionalProperties": False,
        },
    },
    "additionalProperties": True,
}

_ANSWER: Final = {
    "type": "object",
    "required": ["id", "object", "created", "model", "choices", "usage"],
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "chat.completion"},
        "created": {"type": "integer"},
        "model": {"type": "string"},
        "choices": {"type": "array", "items": {"type": "object"}},
        "usage": {"type": ["object", "null"]},
    },
}

_ERRORS: Final = {
    "400": "A parameter is wrong, or the model's server refuses the request; the message says which and why",
    "401": "The API key is not known",
    "403": "A page of another site may not do this",
    "404": "There is no such model; the message lists them",
    "408": "The body did not come in time",
    "413": "The body is too large",
    "422": "No answer reached the threshold; the error has the best one's score",
    "429": "Too many questions are open, or the model's quota is used up; Retry-After says when to try again",
    "502": "The model's server cannot answer this, now or later",
    "503": "The model's server failed too often, or this service stops; Retry-After says when to try again",
    "504": "No answer came in time; the question goes on, and the same request again gets its answer",
}

OPERATIONS: Final[dict[str, dict[str, dict[str, Any]]]] = {
    PATH: {
        "post": {
            "tags": ["llm"],
            "operationId": "ChatCompletions",
            "summary": "Answer a chat, as OpenAI's API reference has it",
            "description": (
                "What is not listed goes to the model's server, which refuses what it does not know. Identical "
                "requests of a tenant share one call. The headers x-tamiz-outcome, -score, -source, -attempts and "
                "-message-id tell how the answer came about. A stream begins when the answer has passed, with comments "
                "meanwhile."
            ),
            "requestBody": {"required": True, "content": {"application/json": {"schema": _REQUEST}}},
            "responses": {
                "200": {
                    "description": "The answer",
                    "content": {
                        "application/json": {"schema": _ANSWER},
                        "text/event-stream": {"schema": {"type": "string"}},
                    },
                },
                **{status: {"description": why, "content": _ERROR} for status, why in _ERRORS.items()},
            },
        }
    }
}
