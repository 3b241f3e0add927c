"""Starts `tamiz serve` and calls it."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from calling import Calling
from started import Started, started

__all__ = ["MODEL", "call", "served"]

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
    host, slash, path = url.removeprefix("http://").partition("/")
    service = Calling(int(host.rpartition(":")[2]))
    answer = service.call(method or ("GET" if body is None else "POST"), slash + path, body, **(headers or {}))
    return answer.status, json.loads(answer.text or "null")
