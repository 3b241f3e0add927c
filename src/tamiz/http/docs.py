"""The calls of a service, as OpenAPI 3.1 and as a page that needs nothing from elsewhere."""

from html import escape
from typing import Any, Final

from litestar import Controller, MediaType, Request, Response, get

from tamiz.http.described import described

__all__ = ["DOCUMENTED", "Docs"]

DOCUMENTED: Final = "documented"
"""Where the application's state has the operations of calls that are served without the framework: its `paths`."""

_STYLE: Final = """
:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}
section{border:1px solid light-dark(#d5dae3,#333a48);border-radius:8px;padding:.6rem 1rem;margin:.7rem 0}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:1.6rem}h3{font:600 1rem ui-monospace,monospace;margin:.2rem 0}
code,pre{font-family:ui-monospace,monospace;font-size:.9em}pre{overflow:auto}
.method{display:inline-block;min-width:4.2rem;color:light-dark(#1f56c4,#7fb0ff)}
table{border-collapse:collapse}td,th{padding:.1rem .8rem .1rem 0;text-align:left;vertical-align:top}
"""
_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Docs(Controller):
    """What this service can be asked."""

    include_in_schema = False

    @get("/openapi.json")
    async def document(self, request: Request[Any, Any, Any]) -> dict[str, Any]:
        """Give the OpenAPI document."""
        return described(schema_of(request))

    @get("/docs", media_type=MediaType.HTML)
    async def page(self, request: Request[Any, Any, Any]) -> Response[str]:
        """Show it."""
        return Response(
            page_of(described(schema_of(request))),
            media_type=MediaType.HTML,
            headers={"content-security-policy": _POLICY},
        )


def schema_of(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Give the OpenAPI document of the application that serves the request."""
    schema = request.app.openapi_schema.to_schema()
    schema["paths"] = {**schema["paths"], **request.app.state[DOCUMENTED]}
    return schema


def page_of(schema: dict[str, Any]) -> str:
    """Write the document as a page."""
    by_tag: dict[str, list[str]] = {}
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            tag = (operation.get("tags") or ["calls"])[0]
            by_tag.setdefault(tag, []).append(_section(method, path, operation))
    parts = [f"<h2>{escape(tag)}</h2>{''.join(sections)}" for tag, sections in by_tag.items()]
    title = escape(f"{schema['info']['title']} {schema['info']['version']}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1><p>As <a href="openapi.json">OpenAPI 3.1</a>.'
        f"</p>{''.join(parts)}</html>"
    )


def _section(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(each['name'])}</code></td><td>{escape(each['in'])}</td>"
        f"<td>{escape(_type_of(each.get('schema', {})))}</td></tr>"
        for each in operation.get("parameters", ())
    )
    body = operation.get("requestBody", {}).get("content", {})
    sent = "".join(
        f"<p>takes {escape(kind)}: {escape(_type_of(told.get('schema', {})))}</p>" for kind, told in body.items()
    )
    answers = "".join(
        f"<tr><td>{escape(code)}</td><td>{escape(told.get('description') or '')}</td></tr>"
        for code, told in operation.get("responses", {}).items()
    )
    return (
        f'<section><h3><span class="method">{escape(method.upper())}</span>{escape(path)}</h3>'
        f"<p>{escape(operation.get('summary') or '')}. {escape(operation.get('description') or '')}</p>"
        f"<table>{rows}</table>{sent}<table>{answers}</table></section>"
    )


def _type_of(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for word in ("oneOf", "anyOf"):
        if word in schema:
            return " or ".join(_type_of(each) for each in schema[word])
    if schema.get("type") == "array":
        return f"list of {_type_of(schema.get('items', {}))}"
    return str(schema.get("type", "any"))
