"""Whether a service is alive, and whether it is of use."""

from http import HTTPStatus
from typing import Any

from litestar import Controller, Request, Response, get

from tamiz.hosts.desk import Queue
from tamiz.http.callers import is_operator
from tamiz.http.context import Context
from tamiz.http.metrics import CONTENT
from tamiz.models.fleet import Fleet

__all__ = ["Health", "models_of", "stopping_of"]


class Health(Controller):
    """For whoever watches over the process."""

    tags = ("health",)

    @get("/health", summary="Whether the process is alive")
    async def alive(self) -> dict[str, str]:
        """Say so; where it does not, it is not."""
        return {"status": "ok"}

    @get("/ready", summary="Whether it can do its work")
    async def ready(
        self, request: Request[Any, Any, Any], context: Context
    ) -> Response[dict[str, str | dict[str, str]]]:
        """Name each thing that the service depends on, `ok` or what is wrong; 503 where one is down.

        Where it is and what it said, operators alone get to know: to others it is `ok` or `down`.
        """
        found = await context.ready()
        if not is_operator(request):
            names = {} if context.fleet is None else context.fleet.names
            found = {names.get(name, name): why and "down" for name, why in found.items()}
        wrong = any(found.values())
        told: dict[str, str | dict[str, str]] = {
            "status": "not ready" if wrong else "ready",
            "dependencies": {name: why or "ok" for name, why in found.items()},
        }
        return Response(told, status_code=HTTPStatus.SERVICE_UNAVAILABLE if wrong else HTTPStatus.OK)

    @get("/metrics", summary="What it has done so far, for Prometheus", media_type=CONTENT)
    async def metrics(self, context: Context) -> Response[bytes]:
        """Give the metrics of this process in Prometheus's text format."""
        return Response(await context.metrics.text(), media_type=CONTENT)


def stopping_of(queue: Queue) -> dict[str, str | None]:
    """Give why the service takes no more questions in, where that is so."""
    return {} if queue.stopping is None else {"service": queue.stopping}


def models_of(fleet: Fleet) -> dict[str, str | None]:
    """Give what keeps models from being called; one of them is enough to be ready."""
    shown = {endpoint.name: endpoint.shown for endpoint in fleet.endpoints}
    if any(state is None for state in shown.values()):
        return dict.fromkeys(shown)
    return {name: None if state is None else f"{state.kind}: {state.reason}" for name, state in shown.items()}
