"""`tamiz experiment` on a real cluster."""

from pathlib import Path

import pymongo
import pytest
from confluent_kafka.admin import AdminClient
from pyarrow import parquet

from cluster.broker import Broker
from cluster.mongo import MongoServer
from running import run_tamiz
from waiting import wait_until

pytestmark = pytest.mark.xdist_group("cluster")

SCALE = """
name = "scale"
description = "Workers."
repetitions = 1
[parameters]
questions = 50
total = 150
arrivals = "max"
partitions = 2
[[grid]]
axes = { workers = [1, 2] }
"""


def test_cells_have_workers_of_their_own_and_leave_nothing(
    broker: Broker, mongo: MongoServer, database: str, tmp_path: Path
) -> None:
    """All questions have their outcomes, each different one costs a call, and topics and databases are gone then."""
    (tmp_path / "scale.toml").write_text(SCALE)
    done = run_tamiz(
        *("experiment", "scale.toml", "--out", "out"),
        *("--bus", f"kafka:{broker.servers}?prefix={database}-", "--store", f"{mongo.url}/{database}"),
        cwd=tmp_path,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    rows = parquet.read_table(tmp_path / "out" / "cells.parquet").to_pylist()
    assert [row["workers"] for row in rows] == [1, 2]
    questions = parquet.read_table(tmp_path / "out" / "questions.parquet").to_pylist()
    assert len(questions) == 300
    for row in rows:
        assert row["accepted"] == 150
        assert row["calls"] == 41, "so many different questions the seed asks"
        assert row["throughput"] > 0
    admin = AdminClient({"bootstrap.servers": broker.servers})

    def topics() -> list[str]:
        return [name for name in admin.list_topics(timeout=60).topics if name.startswith(f"{database}-lab-")]

    wait_until(lambda: not topics(), "the broker to list none of them")
    with pymongo.MongoClient[dict[str, object]](mongo.url) as client:
        assert [name for name in client.list_database_names() if name.startswith(f"{database}-lab-")] == []


def test_a_flink_job_needs_flink(broker: Broker, mongo: MongoServer, tmp_path: Path) -> None:
    (tmp_path / "scale.toml").write_text(SCALE.replace("partitions = 2", "partitions = 2\nparallelism = 2"))
    done = run_tamiz(
        *("experiment", "scale.toml", "--out", "out", "--bus", f"kafka:{broker.servers}", "--store", f"{mongo.url}/x"),
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert "--flink" in done.stderr
