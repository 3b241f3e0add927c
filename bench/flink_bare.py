"""Jobs to measure the Flink job beside, in Flink's own Python: `flink_bare.py PLAN WHICH`.

`bare` is how such a job is written with PyFlink: `key_by`, state, and the bytes passed on, padded to the size of an
outcome. `judge` is tamiz's job.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from pyflink.common import Row, Types
from pyflink.datastream import KeyedProcessFunction, RuntimeContext

from tamiz.flink.function import last_attempt
from tamiz.flink.plan import Plan
from tamiz.flink.streaming_score_job import OUTPUT, begin, build, write


class Pass(KeyedProcessFunction):  # type: ignore[misc]
    """Passes rows of (value, key) on, once for each key."""

    def __init__(self, remember: float, padding: int) -> None:
        self._remember = remember
        self._padding = b" " * padding

    def open(self, runtime_context: RuntimeContext) -> None:
        self._last = runtime_context.get_state(last_attempt(self._remember))
        self._passed = runtime_context.get_metrics_group().counter("passed")

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:  # noqa: ARG002 - Flink's signature
        if self._last.value() is None:
            self._last.update("1")
            self._passed.inc()
            yield Row(value[1], value[0] + self._padding)


def main(path: str, which: str, padding: str = "0") -> None:
    plan = msgspec.json.decode(Path(path).read_bytes(), type=Plan)
    if which == "judge":
        build(plan).execute(plan.name)
        return
    environment, tables = begin(plan)
    rows = tables.to_data_stream(tables.sql_query("SELECT v, k FROM responses"))
    passed = rows.key_by(lambda row: row[1].decode(), key_type=Types.STRING()).process(
        Pass(plan.remember, int(padding)), output_type=OUTPUT
    )
    write(tables, plan, passed.name("judge").uid("judge"))
    environment.execute(plan.name)


if __name__ == "__main__":
    main(*sys.argv[1:])
