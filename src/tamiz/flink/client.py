"""Flink's own client, `flink run`, as a subprocess: it lays out the job and hands it to the JobManager."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Final
from urllib.parse import urlsplit

import msgspec

import tamiz
from tamiz.errors import UsageError
from tamiz.flink.jobmanager import FlinkError
from tamiz.flink.plan import Plan

__all__ = ["Client"]

_MODULE: Final = "tamiz.flink.streaming_score_job"
_TAKEN: Final = "DuplicateJobSubmissionException"
_PORTS: Final = {"http": 80, "https": 443}
_BRIEF: Final = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""For a JVM that lives for seconds; what the user has set wins."""
_LINES: Final = 15
"""How much of what the client said is shown."""


class Client:
    """The client of one installation of Flink."""

    def __init__(self, program: str | None, environment: Mapping[str, str]) -> None:
        """Find it: `program` where it is given, then Flink's home, then the PATH. Raises `UsageError`."""
        self._environment = environment
        home = environment.get("FLINK_HOME")
        found = program or (f"{home}/bin/flink" if home else which("flink", path=environment.get("PATH")))
        if found is None or not Path(found).is_file():
            raise UsageError(
                f"Flink's client is not there ({found or 'no flink on the PATH'}): set FLINK_HOME to Flink's folder, "
                "or name the client with --client"
            )
        self._program = Path(found)

    def run(self, plan: Plan, rest: str, resume: str | None, within: float) -> bool:
        """Hand the job over and tell whether it was taken; it is not where a job with its id is known already.

        Raises `FlinkError` with what the client said where it fails.
        """
        address = urlsplit(rest)
        with tempfile.TemporaryDirectory() as folder:
            # alone in a folder, so that whatever else is installed beside tamiz here stays out of Flink's Python
            (Path(folder) / "tamiz").symlink_to(Path(tamiz.__file__).parent)
            file = Path(folder) / "plan.json"
            file.touch(0o600)
            file.write_bytes(msgspec.json.encode(plan))
            command = [
                *(
                    str(self._program),
                    "run",
                    "--detached",
                    "--jobmanager",
                    f"{address.hostname}:{address.port or _PORTS[address.scheme]}",
                ),
                *("-pyclientexec", self._python()),
                # the job that goes on from a checkpoint deletes it once it has one of its own
                *(("--fromSavepoint", resume, "-claimMode", "CLAIM") if resume else ()),
                *("-pym", _MODULE, str(file)),
            ]
            path = os.pathsep.join(filter(None, (folder, self._environment.get("PYTHONPATH"))))
            try:
                done = subprocess.run(  # noqa: S603 - Flink's client, as the user named it
                    command,
                    env={"JVM_ARGS": _BRIEF, **self._environment, "PYTHONPATH": path},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    timeout=within,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise FlinkError(f"Flink's client has not submitted the job within {within:.0f} s") from None
        if done.returncode and _TAKEN not in done.stdout:
            raise FlinkError(f"Flink's client cannot submit the job:\n{_shown(done.stdout, plan)}")
        return not done.returncode

    def _python(self) -> str:
        """Give the Python that has Flink: beside the client, this one, or the first on the PATH."""
        home = self._program.resolve().parents[1]
        beside = home.parents[3] / "bin" / "python3" if home.parent.name == "site-packages" else None
        if beside is not None and beside.exists():
            return str(beside)
        return sys.executable if find_spec("pyflink") else "python3"


def _shown(said: str, plan: Plan) -> str:
    """Give the end of what the client said, without stack frames, and without any secret."""
    for secret in plan.secrets:
        said = said.replace(secret, "(a secret)")
    lines = [line for line in said.splitlines() if line.strip() and not line.lstrip().startswith(("at ", "... "))]
    return "\n".join(lines[-_LINES:])
