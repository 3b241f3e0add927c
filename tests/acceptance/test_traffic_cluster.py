"""`tamiz traffic` to a real cluster."""

from collections import Counter
from pathlib import Path

import pytest

from on_cluster import OnCluster
from rows import write_questions
from running import run_tamiz
from waiting import wait_until

pytestmark = pytest.mark.xdist_group("cluster")


def test_what_is_asked_is_answered(on: OnCluster, tmp_path: Path) -> None:
    """Each question that was emitted has an outcome of its own, and what is asked often costs one call."""
    write_questions(
        tmp_path / "q.csv", [{"id": str(n), "question": f"Question {n}?", "reference": f"Word{n}"} for n in range(20)]
    )
    with on.worker(model="simulated:"):
        wait_until(lambda: on.members("intake"), "a worker")
        done = run_tamiz(
            *("traffic", "q.csv", "--total", "200", "--rate", "400", "--run", "a"), cwd=tmp_path, env=on.environment
        )
        assert done.returncode == 0, done.stderr
        assert "200 published" in done.stderr
        wait_until(lambda: on.answers() >= 200, "all outcomes")
    with on.database() as found:
        assert Counter(each["outcome"] for each in found.answers.find()) == {"accepted": 200}
        asked = {each["title"] for each in found.questions.find()}
    assert on.calls() == len(asked)


def test_a_cluster_without_workers_needs_to_be_told_the_model(on: OnCluster, tmp_path: Path) -> None:
    write_questions(tmp_path / "q.csv", [{"id": "1", "question": "Why?", "reference": "Because"}])
    done = run_tamiz("traffic", "q.csv", cwd=tmp_path, env=on.environment)
    assert done.returncode == 2
    assert "start the workers first" in done.stderr
