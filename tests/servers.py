"""Real servers, one of each a process of pytest, started by the first test that asks for one.

A test may end one, or pause it: whatever came of that test, the next one finds it running and serving.
"""

import os
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from cluster.broker import Broker
from cluster.flink import Flink
from cluster.install import Unavailable
from cluster.mongo import MongoServer
from tamiz.flink.jobmanager import JobManager
from waiting import PATIENCE


class _Startable(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None: ...


S = TypeVar("S", bound=_Startable)


@contextmanager
def _started(make: Callable[[], S]) -> Iterator[S]:
    """Run a server for the block. Skips the test where it cannot be had at all, but for CI, which has everything."""
    try:
        server = make()
    except Unavailable as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def _broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with _started(lambda: Broker(tmp_path_factory.mktemp("kafka"))) as server:
        yield server


@pytest.fixture(scope="session")
def _mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    with _started(lambda: MongoServer(tmp_path_factory.mktemp("mongo"))) as server:
        yield server


@pytest.fixture(scope="session")
def _flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flink]:
    with _started(lambda: Flink(tmp_path_factory.mktemp("flink"), Path(__file__).parents[1] / "src")) as server:
        yield server


@pytest.fixture
def broker(_broker: Broker) -> Iterator[Broker]:
    """Give a Kafka broker; `prefix` keeps the tests apart on it."""
    yield _broker
    _broker.resume()
    _broker.start()


@pytest.fixture
def mongo(_mongo: MongoServer) -> Iterator[MongoServer]:
    """Give a server that speaks MongoDB's protocol; `database` keeps the tests apart on it."""
    yield _mongo
    _mongo.resume()
    _mongo.start()


@pytest.fixture
def flink(_flink: Flink) -> Iterator[Flink]:
    """Give a Flink cluster whose jobs may import tamiz. Those that the test leaves end with it: slots are few."""
    yield _flink
    _flink.start()
    manager = JobManager(_flink.rest)
    for job in manager.jobs():
        if not job.ended:
            manager.cancel(job.jid, PATIENCE)


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """Give a prefix for the names of this test's topics and groups, such as `killed-3f2a91bc.`."""
    return f"{_unique(request)}."


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """Give the name of a database that is this test's alone."""
    return _unique(request)


def _unique(request: pytest.FixtureRequest) -> str:
    name: str = request.node.name
    return f"{re.sub(r'[^a-z0-9]+', '-', name.lower().removeprefix('test_'))[:30].strip('-')}-{uuid.uuid4().hex[:8]}"
