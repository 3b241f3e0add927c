"""The JobManager's REST API, as far as it takes to start and stop one job."""

import time
from collections.abc import Callable
from http.client import HTTPException
from typing import Any, Final, TypeVar
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import msgspec

from tamiz.errors import TamizError

__all__ = ["FlinkError", "Job", "JobManager"]

T = TypeVar("T")

_PATIENCE: Final = 10.0
"""Seconds that one request may take."""
_POLL: Final = 0.25
_STEADY: Final = 2.0
"""Seconds that a job has to run: one that may not use the brokers fails a moment later, and tries again."""
_GOING_ON: Final = frozenset({"INITIALIZING", "CREATED", "RUNNING", "RESTARTING", "RECONCILING"})
_ENDED: Final = frozenset({"FAILED", "CANCELED", "FINISHED"})
"""States of a job; what is in neither is on its way from the one to the other."""

_REMEDIES: Final = {
    "UnknownTopicOrPartition": "make the topics with `tamiz topics create`",
    "No module named": "the TaskManager's Python (python3 on its PATH) has to have it, or PYTHONPATH there",
    "AuthenticationException": "see the [kafka] settings",
    "AuthorizationException": "let this user read llm_responses as its group, and write the topics of outcomes",
    "checkpoint": "--fresh begins without it, at the group's committed offsets, and loses nothing",
    "savepoint": "--fresh begins without it, at the group's committed offsets, and loses nothing",
}


class FlinkError(TamizError):
    """Flink cannot be used: it does not answer, or it does not run the job."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job that the JobManager knows."""

    jid: str
    name: str
    state: str
    tasks: dict[str, int] = {}

    @property
    def goes_on(self) -> bool:
        """Whether it runs, or will again."""
        return self.state in _GOING_ON

    @property
    def ended(self) -> bool:
        """Whether it has ended for good."""
        return self.state in _ENDED

    @property
    def works(self) -> bool:
        """Whether all of it is running."""
        return self.state == "RUNNING" and 0 < self.tasks.get("total", 0) == self.tasks.get("running", 0)


class _Overview(msgspec.Struct, frozen=True):
    jobs: list[Job]


class JobManager:
    """Asks the JobManager at `rest`, such as `http://localhost:8081`. Raises `FlinkError` where that fails."""

    def __init__(self, rest: str) -> None:
        self.rest = rest.rstrip("/")
        # Flink's own client knows no proxy either
        self._open = build_opener(ProxyHandler({})).open

    def wait(self, within: float) -> None:
        """Return when it answers, for which it has so many seconds."""

        def answers() -> bool:
            try:
                self.jobs()
            except FlinkError:
                return False
            return True

        if not _until(answers, within):
            self.jobs()

    def jobs(self) -> list[Job]:
        """Give the jobs it knows; of those that ended, the recent ones."""
        return msgspec.convert(self._ask("GET", "/jobs/overview"), _Overview).jobs

    def named(self, name: str, within: float) -> Job | None:
        """Give the job of that name that goes on, after waiting for one that is just ending."""
        passing = [True]

        def settled() -> list[Job] | None:
            mine = [job for job in self.jobs() if job.name == name]
            passing[:] = [not (job.goes_on or job.ended) for job in mine]
            return None if any(passing) else mine or [Job(jid="", name=name, state="none")]

        found = _until(settled, within)
        if found is None:
            raise FlinkError(f"job {name!r} has been ending for {within:g} s; see the JobManager's log")
        return next((job for job in found if job.goes_on), None)

    def parameters(self, job_id: str) -> dict[str, str]:
        """Give the parameters that the job was started with."""
        found: dict[str, str] = (
            self._ask("GET", f"/jobs/{job_id}/config").get("execution-config", {}).get("user-config")
        )
        return found or {}

    def wait_for_work(self, job_id: str, within: float) -> None:
        """Return when all of the job has been running for a moment. Raises `FlinkError` that says what it lacks."""
        since = time.monotonic()

        def settled() -> Job | None:
            nonlocal since
            job = next((job for job in self.jobs() if job.jid == job_id), None)
            if job is None or not (job.works or job.ended):
                since = time.monotonic()
                return None
            return job if job.ended or time.monotonic() >= since + _STEADY else None

        job = _until(settled, within)
        if job is None:
            raise FlinkError(f"job {job_id} does not run yet: {self._why(job_id)}. It stays and tries again")
        if not job.works:
            raise FlinkError(f"job {job_id} is {job.state}: {self._why(job_id)}")

    def stop(self, job_id: str, folder: str, within: float) -> str:
        """End the job with a savepoint in that folder, from which it can go on where it was; give its URI."""
        trigger = self._ask("POST", f"/jobs/{job_id}/stop", {"drain": False, "targetDirectory": folder})["request-id"]

        def ended() -> dict[str, Any] | None:
            found = self._ask("GET", f"/jobs/{job_id}/savepoints/{trigger}")
            return found["operation"] if found["status"]["id"] == "COMPLETED" else None

        operation = _until(ended, within)
        if operation is None or "location" not in operation:
            why = "it takes too long" if operation is None else _cause(operation["failure-cause"]["stack-trace"])
            raise FlinkError(f"job {job_id} did not stop with a savepoint: {why}. It goes on; try again")
        return str(operation["location"])

    def cancel(self, job_id: str, within: float) -> None:
        """End the job at once; its newest checkpoint stays."""
        self._ask("PATCH", f"/jobs/{job_id}")

        def ended() -> bool:
            return all(job.ended for job in self.jobs() if job.jid == job_id)

        if not _until(ended, within):
            raise FlinkError(f"job {job_id} does not end; see the JobManager's log")

    def _why(self, job_id: str) -> str:
        history = self._ask("GET", f"/jobs/{job_id}/exceptions").get("exceptionHistory", {}).get("entries", [])
        if history:
            cause = _cause(history[0]["stacktrace"])
            return next((f"{cause}: {remedy}" for sign, remedy in _REMEDIES.items() if sign in cause), cause)
        slots = self._ask("GET", "/overview")
        if not slots["slots-available"]:
            return f"no slot is free (there are {slots['slots-total']}): start a TaskManager with enough of them"
        return "no reason is given; see the JobManager's log"

    def _ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        data = None if body is None else msgspec.json.encode(body)
        try:
            request = Request(self.rest + path, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310 - the user's own address
            with self._open(request, timeout=_PATIENCE) as response:
                return msgspec.json.decode(response.read())
        except HTTPError as error:
            said = error.read().decode(errors="replace")
            raise FlinkError(f"the JobManager at {self.rest} refuses {method} {path}: {_cause(said)}") from None
        except (OSError, HTTPException, ValueError) as error:
            why = getattr(error, "reason", error)
            raise FlinkError(
                f"no JobManager answers at {self.rest} ({why}): start it, or name its address with --rest"
            ) from None


def _until(condition: Callable[[], T], within: float) -> T | None:
    """Give the first true result, or `None` where there is none within so many seconds."""
    until = time.monotonic() + within
    while not (result := condition()):
        if time.monotonic() > until:
            return None
        time.sleep(_POLL)
    return result


def _cause(trace: str) -> str:
    """Give the line of a stack trace that says what is wrong: the last cause."""
    lines = trace.replace("\\n", "\n").splitlines() or [""]
    causes = [line for line in lines if line.startswith("Caused by: ")]
    return (causes[-1].removeprefix("Caused by: ") if causes else lines[0]).strip()[:500]
