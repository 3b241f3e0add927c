"""What the OpenAPI document says beyond what the handlers' signatures tell: errors, keys, bodies that are no JSON."""

from typing import Any, Final

from tamiz.http.problems import PROBLEM

__all__ = ["described"]

_OPENAI: Final = "/v1/"  # their errors have another shape
_TEXT: Final = {"schema": {"type": "string"}}
_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "What is wrong with a request, as RFC 9457 has it.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, and what would do."},
        "field": {"type": "string", "description": "The part of the request that is wrong."},
        "code": {"type": "string", "description": "A word that programs can tell it by."},
    },
}
_ERRORS: Final = {
    "description": "It cannot be answered; with `Retry-After` where it may be later",
    "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_BODIES: Final = {
    ("/datasets", "post"): {
        "required": True,
        "content": {
            kind: {"schema": {"type": "string", "minLength": 1}}
            for kind in ("text/csv", "text/tab-separated-values", "application/jsonl", "application/x-ndjson")
        },
    }
}
_ANSWERS: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("/export", "get"): {
        "application/jsonl": _TEXT,
        "text/csv": _TEXT,
        "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
    }
}


def described(schema: dict[str, Any]) -> dict[str, Any]:
    """Complete an OpenAPI document, in place; doing it again changes nothing."""
    parts = schema.setdefault("components", {})
    parts.setdefault("schemas", {})["Problem"] = _PROBLEM
    parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": "An API key."}}
    schema["security"] = [{"key": []}, {}]
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            if path.startswith(_OPENAI) or not isinstance(operation, dict):
                continue
            responses = operation["responses"]
            responses.pop("400", None)
            if "204" in responses:
                responses["204"].pop("content", None)
            responses["default"] = _ERRORS
            if "202" in responses:
                responses["200"] = {**responses["202"], "description": "It has its outcome already"}
            if "503" not in responses and path == "/ready":
                responses["503"] = {**responses["200"], "description": "Something that it needs is not there"}
            if (path, method) in _BODIES:
                operation["requestBody"] = _BODIES[path, method]
            if (path, method) in _ANSWERS:
                responses["200"]["content"] = _ANSWERS[path, method]
    return schema
