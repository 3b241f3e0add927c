"""A server as a process: started, ended in any way, and started again."""

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

__all__ = ["Server", "ServerFailed"]

_STARTER: Final = ThreadPoolExecutor(1, "starter")
"""Starts every server: one dies with the *thread* that started it, and this one lives as long as the interpreter."""

_LINES: Final = 20
"""How much of a log an error shows."""


class ServerFailed(Exception):
    """A server ended, or did not answer, when it should have started."""


class Server:
    """One server; `answers` tells whether it serves, and is asked until it does.

    The process has a session of its own, which every signal reaches whole, and is killed when this interpreter ends,
    however that may be. All that it says is appended to `log`.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        answers: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        # Linux only; elsewhere a server outlives an interpreter that was killed.
        setpriv = shutil.which("setpriv")
        self._command = [*((setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()), *command]
        self._log = log
        self._answers = answers
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.kill)

    @property
    def running(self) -> bool:
        """Whether the process is there, even if it is paused."""
        return self._process is not None and self._process.poll() is None

    def start(self, *, within: float = 180.0) -> None:
        """Start it, unless it is running, and return as soon as it answers.

        Raises `ServerFailed` with the end of its log where it ends before, or does not answer `within` so many seconds.
        """
        if not self.running:
            self._process = _STARTER.submit(self._popen).result()
        deadline = time.monotonic() + within
        while not self._answers():
            if not self.running:
                raise ServerFailed(f"{self._log.stem} ended at its start:\n{self._last_words()}")
            if time.monotonic() > deadline:
                self.kill()
                raise ServerFailed(f"{self._log.stem} did not answer within {within:g} s:\n{self._last_words()}")
            time.sleep(0.05)

    def stop(self, *, within: float = 20.0) -> None:
        """Ask it to end and wait until it has; it is killed where it has not `within` so many seconds."""
        self._signal(signal.SIGTERM)
        self.resume()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(within)
        self.kill()

    def kill(self) -> None:
        """End it as a power cut would, and wait until it is gone."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def pause(self) -> None:
        """Let it do nothing while its connections stay, as a machine that hangs."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after a pause."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _popen(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )

    def _last_words(self) -> str:
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LINES:])
