"""Keeps a job running over the ends of a JobManager, which forgets its jobs."""

from collections.abc import Callable
from pathlib import Path

from tamiz.flink.jobmanager import FlinkError

__all__ = ["keep"]


def keep(
    start: Callable[[], None],
    runs: Callable[[], bool],
    sign: Path,
    say: Callable[[str], None],
    wait: Callable[[], None],
) -> None:
    """Start the job whenever it does not run, for ever; what ends this is raised by `wait` or by the others.

    The file `sign` is there while it runs, and only then. A `FlinkError` of `start` or `runs` is said once, and what it
    is about tried again after `wait`.
    """
    said = ""
    sign.unlink(missing_ok=True)
    try:
        while True:
            try:
                if not runs():
                    sign.unlink(missing_ok=True)
                    start()
                sign.touch()
                said = ""
            except FlinkError as error:
                sign.unlink(missing_ok=True)
                if str(error) != said:
                    said = str(error)
                    say(said)
            wait()
    finally:
        sign.unlink(missing_ok=True)
