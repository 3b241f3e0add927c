"""`make smoke`: the whole stack of compose.yaml, with 200 questions from outside, without a registry of images.

Builds the images (on stand-ins for those that cannot be pulled), brings everything up, sends the questions over HTTP
while some containers are restarted, reads them back, sees that none is lost, and takes everything down. Exit code 0
where it is so.
"""

import json
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from engine import Engine, Lacking, say

from cluster.ports import port

_ROOT: Final = Path(__file__).resolve().parents[2]
_BIN: Final = Path(sys.executable).parent
_QUESTIONS: Final = 200
_RESTARTED: Final = ("llm-consumer", "jobmanager", "cache-service")
_PORTS: Final = ("TRAFFIC", "CACHE", "LLM", "SCORE", "STORAGE", "DASHBOARD", "KAFKA", "MONGO", "FLINK", "OLLAMA")
_UP_WITHIN: Final = 420
_ANSWERED_WITHIN: Final = 180.0
_PATIENCE: Final = 30.0
"""Seconds that one request may take."""
_AT_ONCE: Final = 4
_LOAD: Final = 50
_ROWS: Final = 3
"""Of a data set that is handed in whole."""
_TRIES: Final = 60

IMAGES: Final = {
    "tamiz-smoke": ("docker/Dockerfile", None),
    "tamiz-smoke-flink": ("docker/flink.Dockerfile", None),
    "tamiz-smoke-kafka": ("docker/smoke/Dockerfile", "kafka"),
    "tamiz-smoke-mongo": ("docker/smoke/Dockerfile", "mongo"),
    "tamiz-smoke-ollama": ("docker/smoke/Dockerfile", "ollama"),
}
"""Each image, its Dockerfile and the stage that it is."""


class Failed(Exception):
    """The stack did not do what it should; the text says what."""


class Stack:
    """The stack on an engine."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        """`folder` stands for the checkout, so that a .env that is there does not count."""
        (folder / "demo").symlink_to(_ROOT / "demo")
        self.ports = {name: port() for name in _PORTS}
        """Where it is reached on this machine."""
        self._environment = {
            **engine.environment,
            **{f"{name}_PORT": str(number) for name, number in self.ports.items()},
            "TAMIZ_MODEL": "ollama:smoke",
            "OLLAMA_MODEL": "smoke",
            "TRAFFIC_TOTAL": str(_LOAD),
        }
        self._compose = (
            *(str(_BIN / "docker-compose"), "--project-name", "tamiz-smoke", "--project-directory", str(folder)),
            *("--file", str(_ROOT / "compose.yaml"), "--file", str(_ROOT / "compose.smoke.yaml")),
            *("--profile", "ollama", "--progress", "quiet"),
        )

    def run(self, *arguments: str, check: bool = True) -> str:
        """Run compose; give what it printed. Raises `Failed` with what it said where it fails."""
        done = subprocess.run(
            [*self._compose, *arguments], env=self._environment, capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise Failed(f"compose {' '.join(arguments)}: {done.stderr[-2000:] or done.stdout[-2000:]}")
        return done.stdout

    def url(self, name: str, path: str) -> str:
        """Give the address of a service, as this machine reaches it."""
        return f"http://127.0.0.1:{self.ports[name]}{path}"


def main() -> int:
    """Run it all; give the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    try:
        with Engine() as engine, tempfile.TemporaryDirectory() as folder:
            base = engine.base()
            for image, (dockerfile, target) in IMAGES.items():
                engine.build(image, dockerfile, base, target=target)
            _use(Stack(engine, Path(folder)))
    except (Lacking, Failed) as error:
        say(str(error))
        return 1
    except subprocess.CalledProcessError as error:
        say(f"{' '.join(map(str, error.cmd[:3]))} … ended with {error.returncode}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; nothing is left running")
        return 130
    say(f"all well, and nothing left running; {time.monotonic() - began:.0f} s")
    return 0


def _use(stack: Stack) -> None:
    with ExitStack() as ending:
        ending.callback(_down, stack)
        say("brings the stack up")
        try:
            stack.run("up", "--detach", "--wait", "--wait-timeout", str(_UP_WITHIN), "--no-build", "--pull", "never")
        except Failed:
            print(stack.run("ps", "--all", check=False), stack.run("logs", "--tail", "15", check=False), sep="\n")
            raise
        say(f"sends {_QUESTIONS} questions, and restarts {', '.join(_RESTARTED)} meanwhile")
        sent = _send(stack)
        _read_back(stack, sent)
        _look(stack)
        _load(stack)


def _down(stack: Stack) -> None:
    say("takes the stack down")
    stack.run("down", "--volumes", "--remove-orphans", "--timeout", "5", check=False)


def _send(stack: Stack) -> dict[int, str]:
    """Send all questions; give their ids."""

    def send(number: int) -> tuple[int, str]:
        told = _asked(stack.url("TRAFFIC", "/questions"), _question(number))
        return number, told["message_id"]

    sent: dict[int, str] = {}
    with ThreadPoolExecutor(_AT_ONCE) as senders, ThreadPoolExecutor(1) as restarter:
        restarts = []
        for part, name in enumerate((*_RESTARTED, None)):
            numbers = range(1 + part, _QUESTIONS + 1, 1 + len(_RESTARTED))
            if name is not None:
                # as a crash: with what is in work
                restarts.append(restarter.submit(stack.run, "restart", "--timeout", "0", name))
            sent |= dict(senders.map(send, numbers))
        for restart in restarts:
            restart.result()
    return sent


def _question(number: int) -> dict[str, str]:
    return {"id": str(number), "title": f"What is the word with number {number}?", "reference": _answer(number)}


def _answer(number: int) -> str:
    return f"The word with number {number} is w{number}."


def _read_back(stack: Stack, sent: dict[int, str]) -> None:
    """Wait until all have an outcome. Raises `Failed` unless each has its own right answer."""
    if len(set(sent.values())) != _QUESTIONS:
        raise Failed(f"{_QUESTIONS} questions got {len(set(sent.values()))} ids")
    until = time.monotonic() + _ANSWERED_WITHIN
    open_, outcomes, sources = dict(sent), Counter[str](), Counter[str]()
    while open_:
        for number, message_id in list(open_.items()):
            told = _asked(stack.url("TRAFFIC", f"/questions/{message_id}"))
            if told["outcome"] is None:
                continue
            del open_[number]
            outcomes[told["outcome"]] += 1
            sources[f"{told['attempts']} attempts"] += 1
            if told["outcome"] != "accepted" or told["answer"] != _answer(number) or told["id"] != str(number):
                raise Failed(f"question {number} came back as {json.dumps(told)[:1000]}")
        if open_ and time.monotonic() > until:
            raise Failed(f"{len(open_)} of {_QUESTIONS} have no outcome after {_ANSWERED_WITHIN:.0f} s: {open_}")
        if open_:
            time.sleep(0.5)
    say(f"read back {_QUESTIONS}: {dict(outcomes)}, {dict(sources)}")


def _look(stack: Stack) -> None:
    """Look at the cluster from this machine, through what is published of Kafka and MongoDB, and at each service."""
    places = (f"kafka:localhost:{stack.ports['KAFKA']}", f"mongodb://localhost:{stack.ports['MONGO']}/tamiz")
    command = [str(_BIN / "tamiz"), "status", "--json", "--bus", places[0], "--store", places[1]]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    if told["outcomes"] != {"accepted": _QUESTIONS, "exhausted": 0, "failed": 0}:
        raise Failed(f"the store counts otherwise: {told}")
    for name in ("TRAFFIC", "CACHE", "LLM", "SCORE", "STORAGE", "DASHBOARD"):
        for path in ("/health", "/ready"):
            _asked(stack.url(name, path))
    rows = "".join(json.dumps(_question(number)) + "\n" for number in range(1, 1 + _ROWS)).encode()
    taken = _sent(stack.url("STORAGE", "/datasets"), rows, "application/jsonl").splitlines()[-1]
    if json.loads(taken)["questions"] != _ROWS:
        raise Failed(f"of a data set of {_ROWS} questions: {taken.decode()}")
    if b"<html" not in _sent(stack.url("DASHBOARD", "/")).lower():
        raise Failed("there is no page")
    say("every service is ready, the store counts the same, a data set is taken in, and there is a page")


def _load(stack: Stack) -> None:
    """Have the profile `load` ask its questions. Raises `Failed` where one of them does not get there."""
    stack.run("--profile", "load", "run", "--rm", "--no-deps", "load")
    say(f"the profile `load` has asked {_LOAD} more")


def _asked(url: str, body: dict[str, str] | None = None) -> Any:  # noqa: ANN401 - whatever JSON it answers
    """Ask a service; give what it answers. Raises `Failed`."""
    return json.loads(_sent(url, None if body is None else json.dumps(body).encode()))


def _sent(url: str, data: bytes | None = None, kind: str = "application/json") -> bytes:
    """Send a request, again where the answer is that it is not the time; give the answer. Raises `Failed`."""
    last = ""
    for _ in range(_TRIES):
        request = urllib.request.Request(url, data, {"Content-Type": kind})
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE) as response:
                answer: bytes = response.read()
                return answer
        except urllib.error.HTTPError as error:
            last = f"{error.code}: {error.read()[:500].decode(errors='replace')}"
            if error.code not in {429, 503}:
                break
        except OSError as error:
            last = str(error)
        time.sleep(0.5)
    raise Failed(f"{url} answers {last}")


if __name__ == "__main__":
    sys.exit(main())
