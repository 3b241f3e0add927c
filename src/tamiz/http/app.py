"""The application: the services that are wanted, behind one door."""

import warnings
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import LitestarDeprecationWarning
from litestar.openapi import OpenAPIConfig

from tamiz import __version__
from tamiz.http.cache import CacheService
from tamiz.http.calls import HANDLERS, Call, check_query
from tamiz.http.context import Context
from tamiz.http.docs import DOCUMENTED, Docs
from tamiz.http.guard import ASGI, Guard, Receive, Scope, Send
from tamiz.http.head import options, with_head
from tamiz.http.health import Health
from tamiz.http.keys import Keys
from tamiz.http.live import PUBLIC, Live
from tamiz.http.lookup import lookup_call
from tamiz.http.models import Models
from tamiz.http.openai.front import PATH, Chat
from tamiz.http.openai.operations import OPERATIONS
from tamiz.http.policy import Bar
from tamiz.http.problems import Problem
from tamiz.http.score import Score
from tamiz.http.sign_in import SignIn
from tamiz.http.storage import Storage
from tamiz.http.traffic import Traffic
from tamiz.http.traffic_runs import TrafficRuns

__all__ = ["SERVICES", "Hot", "make_app"]

Hot = Mapping[tuple[str, str], ASGI]
"""Calls by method and path that are served without a framework in the way."""

SERVICES: Final[dict[str, tuple[type, ...]]] = {
    "traffic": (Traffic, TrafficRuns),
    "cache": (CacheService,),
    "llm": (Models,),
    "score": (Score,),
    "storage": (Storage,),
    "dashboard": (Live, SignIn, Bar),
}
"""The controllers of each service."""


def make_app(
    context: Context,
    services: Sequence[str],
    *,
    keys: Keys | None,
    local: bool,
    hot: Hot | None = None,
) -> Guard:
    """Make the application that serves these services."""

    def give() -> Context:
        return context

    calls, documented = dict(hot or {}), {}
    if "llm" in services:
        calls["POST", PATH] = Chat(context)
        documented = OPERATIONS
    if "cache" in services:
        calls["POST", "/cache/lookup"] = lookup_call(context)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LitestarDeprecationWarning)  # how Litestar 3 wants handlers to be annotated
        app = Litestar(
            route_handlers=[Health, Docs, *(part for name in services for part in SERVICES[name])],
            dependencies={"context": Provide(give, sync_to_thread=False)},
            exception_handlers=HANDLERS,
            request_class=Call,
            before_request=check_query,
            openapi_config=OpenAPIConfig(title="tamiz", version=__version__, render_plugins=[], path="/openapi"),
            request_max_body_size=None,  # the guard has a cap
            state=State({DOCUMENTED: documented}),
            signature_types=[Context],
            logging_config=None,
            debug=False,
        )
    framework = with_head(app)  # type: ignore[arg-type] # Litestar's own names of these
    paths = {path for _, path in calls}
    alone = paths - {route.path for route in app.routes}

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if (call := calls.get((scope["method"], scope["path"]))) is not None:
                scope["path_template"] = scope["path"]
                await call(scope, receive, send)
                return
            if scope["path"].endswith("/") and (path := scope["path"].rstrip("/")) in paths:
                scope["path"] = path
                await serve(scope, receive, send)
                return
            if scope["path"] in alone:
                methods = ", ".join(sorted({"OPTIONS", *(method for method, path in calls if path == scope["path"])}))
                if scope["method"] == "OPTIONS":
                    await options(send, methods)
                    return
                raise Problem(HTTPStatus.METHOD_NOT_ALLOWED, f"this takes {methods}", headers={"allow": methods})
        await framework(scope, receive, send)

    return Guard(
        serve,
        keys=keys,
        local=local,
        streamed=("/datasets",),
        public=PUBLIC if context.board is not None else frozenset(),
        sessions=context.sessions or (lambda _: None),
        log=context.access,
    )
