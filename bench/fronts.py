"""The HTTP front beside bare servers and other proxies, one load for all of them (`load.py`), in interleaved rounds.

With LITELLM_PYTHON, the interpreter of an environment that has `litellm[proxy]`, also beside LiteLLM's proxy.
"""

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["measure"]

_HERE = Path(__file__).parent
_CHAT = "/v1/chat/completions"
_SECONDS = float(os.environ.get("BENCH_SECONDS", "4"))
_ROUNDS = 3
_CONNECTIONS = 64

Line = tuple[str, str, str, float, str, bool]
"""What, ours, beside, ratio, required, whether it is reached."""


class Target(NamedTuple):
    """What is asked of a server."""

    port: int
    path: str
    body: str


def chat(model: str, text: str) -> str:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": text}], "temperature": 0.2})


@contextmanager
def process(command: list[str], log: Path, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server; what it says goes to a file."""
    with log.open("wb") as out:
        started = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=env)
        try:
            yield started
        finally:
            started.send_signal(signal.SIGTERM)
            try:
                started.wait(20)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


def said(log: Path, pattern: str, started: subprocess.Popen[bytes]) -> str:
    """Wait for a server to say this."""
    while not (found := re.search(pattern, log.read_text(errors="replace"))):
        assert started.poll() is None, log.read_text(errors="replace")
        time.sleep(0.05)
    return found[1]


@contextmanager
def beside(kind: str, folder: Path, *more: str) -> Iterator[int]:
    """Run one of the servers of `front_servers.py`."""
    log = folder / f"{kind}.log"
    with process([sys.executable, str(_HERE / "front_servers.py"), kind, *more], log) as started:
        yield int(said(log, r"^(\d+)\n", started))


@contextmanager
def upstream(delay: float, folder: Path) -> Iterator[int]:
    log = folder / "upstream.log"
    with process([sys.executable, "-u", str(_HERE / "server.py"), str(delay)], log) as started:
        yield int(said(log, r"^(\d+)\n", started))


@contextmanager
def tamiz(model: str, folder: Path) -> Iterator[int]:
    log = folder / "tamiz.log"
    for old in folder.glob("serve.db*"):
        old.unlink()
    state = ["--state", str(folder / "serve.db"), "--queue", "10000", "--concurrency", "256"]
    command = [sys.executable, "-m", "tamiz", "serve", "--port", "0", "--model", model, *state]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TAMIZ_")}
    with process(command, log, environment) as started:
        yield int(said(log, r"serves on http://127\.0\.0\.1:(\d+)", started))


@contextmanager
def litellm(port_of_upstream: int, folder: Path) -> Iterator[int]:
    """Run LiteLLM's proxy, one worker, without a key and without a database."""
    port = port_of_upstream + 1 if port_of_upstream < 60_000 else port_of_upstream - 1
    config, log = folder / "litellm.yaml", folder / "litellm.log"
    base = f"http://127.0.0.1:{port_of_upstream}/v1"
    config.write_text(
        "model_list:\n  - model_name: bench\n    litellm_params:\n"
        f"      model: openai/bench\n      api_base: {base}\n      api_key: none\n"
    )
    binary = Path(os.environ["LITELLM_PYTHON"]).with_name("litellm")
    command = [str(binary), "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    environment = {
        **os.environ,
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    }
    with process(command, log, environment) as started:
        while True:
            assert started.poll() is None, log.read_text(errors="replace")
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health/liveliness", timeout=5).close()
                break
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.2)
        yield port


def load(target: Target) -> dict[str, float]:
    arguments = [str(target.port), target.path, target.body, str(_CONNECTIONS), str(_SECONDS)]
    done = subprocess.run(
        [sys.executable, str(_HERE / "load.py"), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, float] = json.loads(done.stdout)
    return told


def call(target: Target) -> int:
    """Send one request and give the status."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{target.port}{target.path}", target.body.encode(), {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - a server of our own
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def rounds(targets: dict[str, Target]) -> dict[str, list[dict[str, float]]]:
    """Load each in its turn, so that what else the machine does meets all of them."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in targets}
    for _ in range(_ROUNDS):
        for name, target in targets.items():
            found[name].append(load(target))
    return found


def median(found: list[dict[str, float]], figure: str) -> float:
    return statistics.median(each[figure] for each in found)


def line(what: str, found: dict[str, Any], ours: str, other: str, least: float | None) -> Line:
    ratio = statistics.median(a["rate"] / b["rate"] for a, b in zip(found[ours], found[other], strict=True))
    shown = [
        f"{name} {median(found[name], 'rate'):,.0f}/s, p99 {median(found[name], 'p99_ms'):.1f} ms"
        for name in (ours, other)
    ]
    return (
        what,
        shown[0].removeprefix(f"{ours} "),
        shown[1],
        ratio,
        "" if least is None else f"{least:g}",
        least is None or ratio >= least,
    )


def cached(folder: Path) -> Iterator[Line]:
    """Answers that are known, beside servers that give a fixed one."""
    with ExitStack() as stack:
        port = stack.enter_context(tamiz("simulated:", folder))
        text = "What is the capital of France?"
        targets = {
            "a chat": Target(port, _CHAT, chat("tamiz", text)),
            "a look-up": Target(port, "/cache/lookup", json.dumps({"title": text})),
        }
        assert call(targets["a chat"]) == 200
        assert call(Target(port, "/questions?wait=30", json.dumps({"title": text}))) == 200
        if call(targets["a look-up"]) != 200:
            del targets["a look-up"]
        ours = [*targets]
        for kind in ("bare", "litestar", "fastapi"):
            targets[kind] = Target(stack.enter_context(beside(kind, folder)), _CHAT, chat("tamiz", text))
        found = rounds(targets)
    required = {("a look-up", "bare"): 0.9, ("a look-up", "fastapi"): 2.0}
    for what in ours:
        for other in ("bare", "litestar", "fastapi"):
            yield line(f"cached, {what}", found, what, other, required.get((what, other)))


def forwarded(delay: float, folder: Path) -> Iterator[Line]:
    """Questions that are all new, beside proxies that keep nothing."""
    with ExitStack() as stack:
        behind = stack.enter_context(upstream(delay, folder))
        port = stack.enter_context(tamiz(f"openai+http://127.0.0.1:{behind}/v1#bench", folder))
        body = chat("bench", "What is the capital of country #?")
        targets = {
            "tamiz": Target(port, _CHAT, body),
            "bare proxy": Target(stack.enter_context(beside("proxy", folder, str(behind))), _CHAT, body),
        }
        if "LITELLM_PYTHON" in os.environ:
            targets["LiteLLM"] = Target(stack.enter_context(litellm(behind, folder)), _CHAT, body)
        for target in targets.values():
            assert call(target) == 200, target
        found = rounds(targets)
    for other in [*targets][1:]:
        yield line(f"new, model at {delay * 1000:g} ms", found, "tamiz", other, None)


def measure(folder: Path) -> Iterator[Line]:
    """Measure everything."""
    yield from cached(folder)
    for delay in (0.0, 0.05):
        yield from forwarded(delay, folder)
