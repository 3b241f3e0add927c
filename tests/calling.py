"""Calls a service over HTTP, as any client does."""

import http.client
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from cluster.ports import port
from waiting import wait_until

__all__ = ["Answer", "Calling", "free_port"]


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.text)


class Calling:
    """A service on a port of this machine; each call has a connection of its own, so threads may share it."""

    def __init__(self, port: int, *, headers: Mapping[str, str] | None = None) -> None:
        self.port = port
        self._headers = dict(headers or {})

    def get(self, path: str, **headers: str) -> Answer:
        """Send a GET."""
        return self.call("GET", path, None, **headers)

    def post(self, path: str, body: object, **headers: str) -> Answer:
        """Send a body as JSON."""
        return self.call("POST", path, body, **headers)

    def call(self, method: str, path: str, body: object, **headers: str) -> Answer:
        """Send a request and give the answer, whatever its status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        sent = {**self._headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, path, data, {"content-type": "application/json", **sent})
            got = connection.getresponse()
            return Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read().decode())
        finally:
            connection.close()

    def until_ready(self) -> None:
        """Wait until it has all that it depends on."""

        def ready() -> bool:
            try:
                return self.get("/ready").status == http.client.OK
            except OSError:
                return False

        wait_until(ready, f"the service on port {self.port} to be ready")


def free_port() -> int:
    """Give a port that nobody listens on, nor will by chance: none of those that the system gives away by itself."""
    return port()
