"""Fetches the servers, once, into the user's cache."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["FlinkInstall", "Unavailable", "browser", "flink_home", "kafka_libs", "mongo_python"]

_HERE: Final = Path(__file__).parent
_MONGO: Final = ("SecantusDB==0.7.0b3",)
_FLINK: Final = ("apache-flink==2.2.1", "msgspec==0.22.0")
_FLINK_PYTHONS: Final = ((3, 12), (3, 11))
"""Those that Flink and tamiz both know."""
_JAVA: Final = 17
"""The least version that Kafka starts with."""
_DEBIAN: Final = {
    "java": ("openjdk-17-jre-headless", "default-jre-headless"),
    "mvn": ("maven",),
    "chromium": ("chromium",),
}
"""The packages that bring a program; the first that there is."""
_WAIT: Final = ("-o", "DPkg::Lock::Timeout=300")
"""Of two processes that need a program at once, one installs it and the other waits."""
_LINES: Final = 20


class Unavailable(Exception):
    """A server cannot be had on this machine; the text says why, and what to do about it."""


class FlinkInstall(NamedTuple):
    """Where Flink is: its Python, its home, and all that belongs on the class path of its processes."""

    python: Path
    home: Path
    jars: Path


def browser() -> Path:
    """Give Chromium's program, after installing it where needed. Raises `Unavailable`."""
    _need("chromium")
    return Path(shutil.which("chromium") or "chromium")


def kafka_libs() -> Path:
    """Give the folder with a broker's jars, after installing it where needed. Raises `Unavailable`."""
    _need_java()

    def build(folder: Path) -> None:
        _maven("kafka-pom.xml", folder)

    return _installed("kafka-4.3.1", "45 MB, half a minute", build)


def mongo_python() -> Path:
    """Give the interpreter of the server's own environment, after installing it where needed. Raises `Unavailable`."""

    def build(folder: Path) -> None:
        _environment(folder, sys.executable, _MONGO)

    python = "py{}{}".format(*sys.version_info[:2])
    return _installed(f"mongo-0.7.0b3-{python}", "150 MB, half a minute", build) / "bin" / "python"


def flink_home() -> FlinkInstall:
    """Give Flink with its connector to Kafka, after installing it where needed. Raises `Unavailable`."""
    _need_java()
    version, python = _flink_python()

    def build(folder: Path) -> None:
        _environment(folder, python, _FLINK)
        home = _pyflink(folder)
        # On the class path of every process, or the second job that a TaskManager is given does not find it.
        for jar in home.glob("opt/flink-python-*.jar"):
            shutil.copy(jar, home / "lib")
        _maven("flink-pom.xml", home / "lib")

    folder = _installed(f"flink-2.2.1-kafka-5.0.0-{version}", "850 MB, two minutes", build)
    home = _pyflink(folder)
    return FlinkInstall(folder / "bin" / "python", home, home / "lib")


def _pyflink(folder: Path) -> Path:
    return next(folder.glob("lib/python3.*/site-packages/pyflink"))


def _flink_python() -> tuple[str, str]:
    """Give the name of a version of Python, and an interpreter of it."""
    if sys.version_info[:2] in _FLINK_PYTHONS:
        return "py{}{}".format(*sys.version_info[:2]), sys.executable
    for major, minor in _FLINK_PYTHONS:
        if found := shutil.which(f"python{major}.{minor}"):
            return f"py{major}{minor}", found
    raise Unavailable("Flink needs Python 3.11 or 3.12, and there is neither; install one of them")


def _installed(name: str, cost: str, build: Callable[[Path], None]) -> Path:
    """Give the folder of that name, which `build` fills unless it has before.

    It is whole or not there; of several processes that need it at once, one builds it and the others wait.
    """
    cluster = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "tamiz" / "cluster"
    folder, part = cluster / name, cluster / f"{name}.part"
    cluster.mkdir(parents=True, exist_ok=True)
    with _locked(cluster / f"{name}.lock"):
        if not folder.exists():
            print(f"fetching {name} into {cluster} (about {cost})", file=sys.stderr, flush=True)
            shutil.rmtree(part, ignore_errors=True)
            build(part)
            part.rename(folder)
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _environment(folder: Path, python: str, requirements: tuple[str, ...]) -> None:
    """Make an environment of that Python with these packages; it has no pip, whose script could not be moved."""
    _run(python, "-m", "venv", "--without-pip", str(folder))
    pip = (sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"))
    _run(*pip, "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-compile", *requirements)


def _maven(pom: str, folder: Path) -> None:
    """Put the dependencies of that file into the folder."""
    _need("mvn")
    options = ("-DincludeScope=runtime", f"-DoutputDirectory={folder}")
    _run("mvn", "-B", "-q", "-f", str(_HERE / pom), "dependency:copy-dependencies", *options)


@cache
def _need_java() -> None:
    _need("java")
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < _JAVA:
        raise Unavailable(f"java must be of version {_JAVA} or newer. {_remedy('java')}; `java -version` says: {said}")


def _need(program: str) -> None:
    """Install a program where it is missing and this user may. Raises `Unavailable` where it stays missing."""
    if shutil.which(program):
        return
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if shutil.which("apt-get") and (not root or _works(*root, "true")):
        install = (*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq", *_WAIT)
        print(f"installing {program} (Debian's package)", file=sys.stderr, flush=True)
        # Debian's index may be older than what its server still has.
        _works(*root, "apt-get", "update", "-qq")
        if any(_works(*install, package) for package in _DEBIAN[program]) and shutil.which(program):
            return
    raise Unavailable(f"there is no {program} here. {_remedy(program)}")


def _remedy(program: str) -> str:
    return f"Install it; on Debian: sudo apt-get install -y {_DEBIAN[program][0]}"


def _works(*command: str) -> bool:
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _run(*command: str) -> None:
    """Run a command to its end. Raises `Unavailable` with what it said at last where it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        said = "\n".join(f"{done.stdout}\n{done.stderr}".strip().splitlines()[-_LINES:])
        raise Unavailable(f"{' '.join(command)} failed:\n{said}")
