"""A Flink cluster: a JobManager, which takes the jobs, and a TaskManager, which runs them."""

import json
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from typing import Final

from cluster.install import flink_home
from cluster.ports import port
from cluster.server import Server

__all__ = ["Flink"]

_HERE: Final = Path(__file__).parent
_JVM: Final = ("-XX:+UseSerialGC", f"-Dlog4j.configurationFile={_HERE / 'log4j2.properties'}")
_JOBMANAGER: Final = (
    *("-Xmx400m", "-XX:MaxMetaspaceSize=192m", "-XX:TieredStopAtLevel=1"),
    "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
)
_TASKMANAGER: Final = (
    *("-Xmx700m", "-XX:MaxDirectMemorySize=200m", "-XX:MaxMetaspaceSize=256m"),
    "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
)


class Flink:
    """A cluster with four slots whose files are in `folder`; its address stays the same, whatever happens to it.

    Jobs are written in Python and run inside the TaskManager; they may import what is in `source`. A TaskManager
    imports a module once: after a change of the code it takes another one. A JobManager that ended has forgotten its
    jobs; their checkpoints remain.
    """

    def __init__(self, folder: Path, source: Path, *, preferred_port: int | None = None) -> None:
        install = flink_home()
        number = port(preferred_port)
        self.rest = f"http://127.0.0.1:{number}"
        """The address of the JobManager."""
        self.home = install.home
        """Flink's own folder; the client is `bin/flink` in it."""
        self.environment: Mapping[str, str] = {
            **os.environ,
            # The first Python there is the one inside the TaskManager.
            "PATH": f"{install.python.parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(source),
            "FLINK_HOME": str(install.home),
            "FLINK_CONF_DIR": str(folder / "conf"),
            "FLINK_LOG_DIR": str(folder),
            "JVM_ARGS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog.level=WARN",
        }
        """The environment in which the client works."""
        for name in ("conf", "tmp"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        config = (_HERE / "flink-config.yaml.tmpl").read_text(encoding="utf-8")
        for mark, value in {"@REST@": number, "@RPC@": port(), "@TMP@": folder / "tmp"}.items():
            config = config.replace(mark, str(value))
        (folder / "conf" / "config.yaml").write_text(config, encoding="utf-8")
        shutil.copy(_HERE / "log4j2.properties", folder / "conf" / "log4j-cli.properties")
        self._folder = folder
        self._java = ("java", *_JVM, *re.findall(r"--add-\S+", config), "-cp", str(install.jars / "*"))
        self._numbers = count(1)
        self._taskmanager: Server | None = None
        self._jobmanager = Server(
            [*self._java, *_JOBMANAGER, "--configDir", str(folder / "conf")],
            log=folder / "jobmanager.log",
            answers=lambda: self._slots() is not None,
            environment=self.environment,
        )

    def start(self) -> None:
        """Start both, and return when there are slots for jobs. Raises `ServerFailed`."""
        self.start_jobmanager()
        self.start_taskmanager()

    def stop(self) -> None:
        """End both, and with them all jobs."""
        if self._taskmanager is not None:
            self._taskmanager.stop()
        self._jobmanager.stop()

    def start_jobmanager(self) -> None:
        """Start the JobManager, unless it is running, and return when it answers. Raises `ServerFailed`."""
        self._jobmanager.start()

    def kill_jobmanager(self) -> None:
        """End the JobManager as a power cut would; the TaskManager waits for the next one."""
        self._jobmanager.kill()

    def start_taskmanager(self) -> None:
        """Start a TaskManager, unless one is running, and return when it offers its slots. Raises `ServerFailed`."""
        if self._taskmanager is None or not self._taskmanager.running:
            # A name of its own, because the one that was killed is listed until it is missed.
            name = f"taskmanager-{next(self._numbers)}"
            options = ("--configDir", str(self._folder / "conf"), "-D", f"taskmanager.resource-id={name}")
            self._taskmanager = Server(
                [*self._java, *_TASKMANAGER, *options],
                log=self._folder / "taskmanager.log",
                answers=lambda: bool((self._slots() or {}).get(name)),
                environment=self.environment,
            )
        self._taskmanager.start()

    def kill_taskmanager(self) -> None:
        """End the TaskManager as a power cut would; its jobs wait for the next one."""
        if self._taskmanager is not None:
            self._taskmanager.kill()

    def _slots(self) -> dict[str, int] | None:
        """Give how many slots each TaskManager offers; `None` where the JobManager does not answer."""
        try:
            with closing(HTTPConnection(self.rest.removeprefix("http://"), timeout=5)) as connection:
                connection.request("GET", "/taskmanagers")
                found = json.load(connection.getresponse()).get("taskmanagers")
        except (OSError, HTTPException, ValueError):
            return None
        return None if found is None else {manager["id"]: manager["slotsNumber"] for manager in found}
