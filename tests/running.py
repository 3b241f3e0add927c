"""Runs the command as a user does: a process of its own, in a folder of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from waiting import PATIENCE

__all__ = ["run_tamiz", "status_of", "tamiz_environment"]

_OF_THE_FIELD: Final = frozenset(
    {
        "CACHE_POLICY",
        "CACHE_SIZE",
        "CACHE_TTL",
        "FLINK_PARALLELISM",
        "KAFKA_BOOTSTRAP_SERVERS",
        "MAX_RETRIES",
        "MONGO_URI",
        "OLLAMA_HOST",
        "SCORE_THRESHOLD",
    }
)
_PREFIXES: Final = ("TAMIZ_", "OPENAI_", "OTEL_", "TRAFFIC_")


def tamiz_environment() -> dict[str, str]:
    """Give this process's environment without any variable that tamiz reads."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in _OF_THE_FIELD and not name.startswith(_PREFIXES)
    }


def run_tamiz(
    *args: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout: float = 2 * PATIENCE,
) -> subprocess.CompletedProcess[str]:
    """Run `tamiz` to its end, whatever its exit code; `env` comes on top of `tamiz_environment()`.

    Without `stdin` it has none. Raises `subprocess.TimeoutExpired` after `timeout` seconds.
    """
    return subprocess.run(
        [sys.executable, "-m", "tamiz", *args],
        cwd=cwd,
        env={**tamiz_environment(), **(env or {})},
        input="" if stdin is None else stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def status_of(folder: Path, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Ask `tamiz status`, as a user does."""
    done = run_tamiz("status", "--json", cwd=folder, env=env)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
