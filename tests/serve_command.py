"""Starts `tamiz serve` and calls it."""

import json
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from started import Started, started

__all__ = ["MODEL", "call", "free_port", "served"]

MODEL: Final = "simulated:?latency=20ms&overload=0.1&quality=0.7&seed=3"


@contextmanager
def served(
    folder: Path, *flags: str, model: str | None = MODEL, port: int = 0, env: Mapping[str, str] | None = None
) -> Iterator[tuple[Started, str]]:
    """Give a running service and its address; without a model it is one of a cluster, which `env` names."""
    flags = flags if model is None else ("--model", model, *flags)
    with started("serve", "--port", str(port), *flags, cwd=folder, env=env) as service:

        def address() -> str | None:
            said = re.search(r"serves .*\bon (http://[^\s,]+)", service.stderr.read_text(encoding="utf-8"))
            return said[1] if said else None

        service.until(address, "it to serve")
        yield service, str(address())


def call(
    url: str, body: Any = None, *, method: str | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, Any]:
    """Give the status and the JSON that a call is answered with."""
    data = None if body is None else json.dumps(body).encode()
    told = {"content-type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, data, told, method=method)  # noqa: S310 - the service's own address
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - likewise
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
