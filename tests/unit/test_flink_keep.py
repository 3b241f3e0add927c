from collections.abc import Callable
from pathlib import Path

import pytest

from tamiz.flink.jobmanager import FlinkError
from tamiz.flink.keep import keep


class Cluster:
    """A JobManager and its job, to which something happens between two looks."""

    def __init__(self, sign: Path, *happens: Callable[["Cluster"], None]) -> None:
        self.runs = False
        self.away = False
        self.starts = 0
        self.said: list[str] = []
        self.seen: list[tuple[bool, bool]] = []
        """At each look, whether the job ran, and whether the file said so."""
        self._sign = sign
        self._happens = iter(happens)

    def keep(self) -> None:
        """Keep the job running until nothing more happens."""
        with pytest.raises(KeyboardInterrupt):
            keep(self._start, self._look, self._sign, self.said.append, self._wait)

    def _start(self) -> None:
        self.starts += 1
        self.runs = True

    def _look(self) -> bool:
        if self.away:
            raise FlinkError("no JobManager answers")
        return self.runs

    def _wait(self) -> None:
        self.seen.append((self.runs and not self.away, self._sign.exists()))
        happens = next(self._happens, None)
        if happens is None:
            raise KeyboardInterrupt
        happens(self)


def forget(cluster: Cluster) -> None:
    cluster.runs, cluster.away = False, False


def leave(cluster: Cluster) -> None:
    cluster.away = True


def nothing(_: Cluster) -> None:
    """Let time pass."""


def test_a_job_is_started_once_and_again_where_it_was_forgotten(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "runs", nothing, nothing, forget, nothing)
    cluster.keep()
    assert cluster.starts == 2
    assert cluster.said == []


def test_a_job_that_runs_already_is_left_alone(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "runs", nothing)
    cluster.runs = True
    cluster.keep()
    assert cluster.starts == 0


def test_the_file_is_there_while_the_job_runs_and_not_after(tmp_path: Path) -> None:
    """One that was left over says nothing either."""
    (tmp_path / "runs").touch()
    cluster = Cluster(tmp_path / "runs", leave, nothing, forget, nothing)
    cluster.keep()
    assert cluster.seen == [(True, True), (False, False), (False, False), (True, True), (True, True)]
    assert not (tmp_path / "runs").exists()


def test_a_jobmanager_that_is_away_is_waited_for_and_told_of_once(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "runs", leave, nothing, nothing, forget, leave, nothing, forget)
    cluster.keep()
    assert cluster.starts == 3
    assert cluster.said == ["no JobManager answers"] * 2
