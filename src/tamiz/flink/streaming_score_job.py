"""The Flink job: `llm_responses` in, judged, keyed by submission; outcomes, further attempts and dead letters out.

`python -m tamiz.flink.submit` starts it with a `Plan`. It needs Flink, its connector to Kafka, and msgspec.
"""

import sys
from pathlib import Path
from typing import Final

import msgspec
from pyflink.common import Configuration, Types
from pyflink.datastream import DataStream, KeyedStream, OutputTag, StreamExecutionEnvironment
from pyflink.java_gateway import get_gateway
from pyflink.table import StreamTableEnvironment

from tamiz.flink.function import JudgeFunction
from tamiz.flink.plan import JUDGED, PARAMETER, Plan
from tamiz.flink.tables import output, output_schema, responses
from tamiz.messages import Topic

__all__ = ["OUTPUT", "begin", "build", "main", "write"]

_BYTES: Final = Types.PRIMITIVE_ARRAY(Types.BYTE())
_RECORD: Final = Types.ROW([_BYTES, _BYTES, Types.INT(), Types.LONG()])
OUTPUT: Final = Types.ROW_NAMED(["k", "v"], [_BYTES, _BYTES])
"""The type of what is written: key and value."""

# The key is a digest, since not every text that JSON can hold can be given to Python: half of a surrogate pair ends the
# task. A record whose message_id cannot be had gets its place for a key, which needs no state and touches no other's.
_KEYED: Final = """
SELECT
    COALESCE(
        SUBSTRING(SHA256(JSON_VALUE(CAST(v AS STRING), '$.message_id')), 1, 32),
        CAST(part AS STRING) || ':' || CAST(off AS STRING)
    ),
    ROW(v, k, part, off)
FROM responses
"""


def main(path: str) -> None:
    """Run the job that the file describes; with the client of Flink this returns when the cluster has taken it."""
    plan = msgspec.json.decode(Path(path).read_bytes(), type=Plan)
    build(plan).execute(plan.name)


def build(plan: Plan) -> StreamExecutionEnvironment:
    """Lay out the job."""
    environment, tables = begin(plan)
    judged = _keyed(tables).process(JudgeFunction(plan), output_type=OUTPUT).name("judge").uid("judge")
    write(tables, plan, judged)
    return environment


def begin(plan: Plan) -> tuple[StreamExecutionEnvironment, StreamTableEnvironment]:
    """Give the environments, with the table `responses`."""
    environment = StreamExecutionEnvironment.get_execution_environment(_configuration(plan))
    environment.set_parallelism(plan.parallelism)
    tables = StreamTableEnvironment.create(environment)
    tables.create_temporary_table("responses", responses(plan))
    return environment, tables


def write(tables: StreamTableEnvironment, plan: Plan, judged: DataStream) -> None:
    """Send what was judged to its topics: the stream itself and its side outputs, which are named after theirs."""
    # the sinks get threads of their own: while Java writes, Python judges
    judged.disable_chaining()
    statements = tables.create_statement_set()
    for topic in JUDGED:
        stream = judged if topic is Topic.VALIDATED_RESPONSES else _side(judged, topic)
        tables.create_temporary_table(topic, output(plan, topic))
        statements.add_insert(topic, tables.from_data_stream(stream, output_schema()))
    statements.attach_as_datastream()


def _side(judged: DataStream, topic: Topic) -> DataStream:
    """Give a side output as it is; `get_side_output` would take every row through Python once more."""
    tag = OutputTag(topic, OUTPUT).get_java_output_tag()
    return DataStream(judged._j_data_stream.getSideOutput(tag))  # noqa: SLF001 - the same without the detour


def _keyed(tables: StreamTableEnvironment) -> KeyedStream:
    """Give the responses as a stream of records that is keyed by submission.

    `key_by` does it with a function in Python, in a task of its own. Two tasks that take turns with one interpreter do
    half as much as one, so here Java has found the key, and this is what `key_by` does from there on.
    """
    rows = tables.to_append_stream(tables.sql_query(_KEYED), Types.ROW([Types.STRING(), _RECORD]))
    stream = rows._j_data_stream  # noqa: SLF001 - `key_by` lies beside it
    stream.getTransformation().setUid("records")
    key_type = Types.ROW([Types.STRING()]).get_java_type_info()
    return KeyedStream(stream.keyBy(get_gateway().jvm.KeyByKeySelector(), key_type), _RECORD, rows)


def _configuration(plan: Plan) -> Configuration:
    configuration = Configuration()
    for name, value in {
        "$internal.pipeline.job-id": plan.job_id,
        "pipeline.global-job-parameters": f"{PARAMETER}:{plan.fingerprint}",
        "python.execution-mode": "thread",
        "execution.checkpointing.interval": f"{int(plan.every * 1000)} ms",
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.dir": plan.checkpoints,
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.checkpointing.incremental": "true",
        "state.backend.type": plan.state_backend,
        # nearly all submissions that are looked for are new: without it each is looked for in every file
        "state.backend.rocksdb.use-bloom-filter": "true",
        # it never gives up: what is wrong with a cluster is mended sooner or later
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "1 s",
        "restart-strategy.exponential-delay.backoff-multiplier": "2",
        "restart-strategy.exponential-delay.max-backoff": "30 s",
        "restart-strategy.exponential-delay.reset-backoff-threshold": "1 min",
        "restart-strategy.exponential-delay.attempts-before-reset-backoff": str((1 << 31) - 1),
        # nothing here changes a record after it has passed it on
        "pipeline.object-reuse": "true",
        # the flow goes round: what waits in a buffer holds up its question at every attempt
        "execution.buffer-timeout.interval": "10 ms",
        # names of operators' state that do not depend on what else is in the job
        "table.exec.uid.generation": "ALWAYS",
    }.items():
        configuration.set_string(name, value)
    return configuration


if __name__ == "__main__":
    main(*sys.argv[1:])
