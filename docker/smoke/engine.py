"""The engine that `make smoke` uses: the one that answers here, or one of its own, which ends with it."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

__all__ = ["BASE", "Engine", "Lacking", "say"]

BASE: Final = "python:3.11-slim-bookworm"
"""The image that those of tamiz are built on."""

_ROOT: Final = Path(__file__).resolve().parents[2]
_KEPT: Final = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "tamiz" / "docker"
_STAND_IN: Final = "tamiz-smoke-base"
_PACKAGES: Final = ("python3", "python3-venv", "python3-pip", "libpython3.11", "ca-certificates")
_HOOK: Final = 'ln -sf python3 "$1/usr/bin/python"; rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED'
"""Python has to be found by the name that it has in Python's own image, whose pip installs where it is told to."""
_CERTIFICATES: Final = Path("/etc/ssl/certs/ca-certificates.crt")
_OWN: Final = ("--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--bridge=none")
"""An engine that changes nothing in this machine's network."""
_CACHE: Final = "4GB"
"""How much of what was built is kept for the next time, beside the images."""
_INSTALL: Final = "apt-get install -y docker.io mmdebstrap iptables"
_STARTS_WITHIN: Final = 60.0
_WITHOUT_BUILDX: Final = 23
"""From this version on the client builds by a plugin; before it had BuildKit inside."""


class Lacking(Exception):
    """Something is missing on this machine; the text says what, and how to get it."""


def say(text: str) -> None:
    """Tell how far it is."""
    print(f"smoke: {text}", flush=True)


class Engine:
    """An engine with a client that builds: `with Engine() as engine`. Raises `Lacking`."""

    def __init__(self) -> None:
        self._client = _client()
        self.environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
        """The environment in which clients reach it."""
        self._ending = ExitStack()

    def __enter__(self) -> Self:
        if self._answers():
            say("uses the engine that runs here")
            return self
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.close()

    def base(self) -> str:
        """Give an image with Python 3.11: the real one where it can be had, else one of Debian's packages."""
        if self._works("image", "inspect", BASE) or self._works("pull", "--quiet", BASE):
            return BASE
        if not self._works("image", "inspect", _STAND_IN):
            say(f"{BASE} cannot be pulled: makes a stand-in of Debian's packages")
            if not shutil.which("mmdebstrap"):
                raise Lacking(f"{BASE} cannot be pulled, and there is no mmdebstrap to make a stand-in: {_INSTALL}")
            tar = _KEPT / "base.tar"
            tar.parent.mkdir(parents=True, exist_ok=True)
            include = f"--include={','.join(_PACKAGES)}"
            options = ("--quiet", "--variant=minbase", include, f"--customize-hook={_HOOK}")
            subprocess.run(["mmdebstrap", *options, "bookworm", str(tar)], check=True)
            self.run("import", "--change", 'CMD ["python3"]', str(tar), _STAND_IN)
            tar.unlink()
        return _STAND_IN

    def build(self, image: str, dockerfile: str, base: str, *, target: str | None = None) -> None:
        """Build an image of this checkout."""
        say(f"builds {image}")
        options = [*("--network", "host", "--build-arg", f"BASE={base}"), *(("--target", target) if target else ())]
        if _CERTIFICATES.exists():
            options += ["--secret", f"id=ca,src={_CERTIFICATES}"]
        self.run("build", "--quiet", *options, "--file", dockerfile, "--tag", image, ".")

    def run(self, *arguments: str) -> str:
        """Run the client; give what it printed. Raises `CalledProcessError`, after showing what it said."""
        command = [*self._client, *arguments]
        done = subprocess.run(command, cwd=_ROOT, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stdout[-4000:], done.stderr[-8000:], sep="\n", file=sys.stderr)
        done.check_returncode()
        return done.stdout.strip()

    def _tidy(self) -> None:
        """Keep what the next run takes, and nothing of the runs before."""
        self._works("image", "prune", "--force")
        self._works("builder", "prune", "--force", "--keep-storage", _CACHE)

    def _works(self, *arguments: str) -> bool:
        command = [*self._client, *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, check=False).returncode == 0

    def _answers(self) -> bool:
        return self._works("version", "--format", "{{.Server.Version}}")

    def _start(self) -> None:
        program = shutil.which("dockerd")
        if program is None or os.geteuid() != 0:
            raise Lacking(f"no engine answers here; start one, or let root start one: {_INSTALL}")
        say("no engine answers: starts one of its own")
        socket = f"unix://{_KEPT}/docker.sock"
        _KEPT.mkdir(parents=True, exist_ok=True)
        places = ("--data-root", f"{_KEPT}/data", "--exec-root", f"{_KEPT}/exec", "--pidfile", f"{_KEPT}/dockerd.pid")
        log = self._ending.enter_context((_KEPT / "dockerd.log").open("wb"))
        process = subprocess.Popen([program, *places, "--host", socket, *_OWN], stdout=log, stderr=log)
        self._ending.callback(_end, process)
        self._ending.callback(self._tidy)
        self.environment["DOCKER_HOST"] = socket
        until = time.monotonic() + _STARTS_WITHIN
        while not self._answers():
            if process.poll() is not None or time.monotonic() > until:
                raise Lacking(f"the engine does not start; its log is {_KEPT / 'dockerd.log'}")
            time.sleep(0.2)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _client() -> Sequence[str]:
    """Give a client that builds with BuildKit. Raises `Lacking`."""
    for program in ("/usr/bin/docker", shutil.which("docker")):
        if program and Path(program).exists():
            form = [program, "version", "--format", "{{.Client.Version}}"]
            version = subprocess.run(form, capture_output=True, text=True, check=False).stdout.strip()
            plugin = subprocess.run([program, "buildx", "version"], capture_output=True, check=False).returncode == 0
            if plugin or (version and int(version.split(".")[0]) < _WITHOUT_BUILDX):
                return [program]
    raise Lacking(f"there is no docker client that builds with BuildKit: {_INSTALL}")
