"""The topics as Flink's tables, which alone give and take a record's exact bytes, with its key and its place."""

from typing import Final

from py4j.protocol import Py4JJavaError
from pyflink.table import DataTypes, Schema, TableDescriptor
from pyflink.util.java_utils import load_java_class

from tamiz.flink.kafka import PLAIN_LOGIN, SCRAM_LOGIN
from tamiz.flink.plan import Plan
from tamiz.messages import Topic
from tamiz.poison import LARGEST_MESSAGE

__all__ = ["output", "output_schema", "responses"]

_OVERHEAD: Final = 64 << 10
"""Bytes beside a record's value: its key, its batch."""
_TRANSACTION: Final = 600_000
"""Milliseconds that a transaction may be open; a broker allows 15 minutes where it is not told otherwise."""
_SHADED: Final = "org.apache.flink.kafka.shaded."
"""How the names of the Java client's classes begin in the connector that brings its own."""
_RAW: Final = {
    "key.format": "raw",
    "key.fields": "k",
    "value.format": "raw",
    "value.fields-include": "EXCEPT_KEY",
}


def responses(plan: Plan) -> TableDescriptor:
    """Describe `llm_responses`: k, v, part, off are a record's key, value, partition and offset."""
    schema = (
        Schema.new_builder()
        .column("k", DataTypes.BYTES())
        .column("v", DataTypes.BYTES())
        .column_by_metadata("part", DataTypes.INT(), "partition", is_virtual=True)
        .column_by_metadata("off", DataTypes.BIGINT(), "offset", is_virtual=True)
        .build()
    )
    options = {
        "topic": plan.topics[Topic.LLM_RESPONSES],
        "properties.group.id": plan.group,
        "properties.auto.offset.reset": "earliest",
        # what was written in a transaction that did not come to its end was never said
        "properties.isolation.level": "read_committed",
        "scan.startup.mode": "group-offsets",
    }
    return _table(plan, schema, options)


def output(plan: Plan, topic: Topic) -> TableDescriptor:
    """Describe a topic that is written, with `output_schema`."""
    options = {
        "topic": plan.topics[topic],
        "properties.max.request.size": str(LARGEST_MESSAGE + _OVERHEAD),
        "properties.compression.type": "lz4",
        "sink.delivery-guarantee": "at-least-once",
    }
    if plan.exactly_once:
        options |= {
            "sink.delivery-guarantee": "exactly-once",
            "sink.transactional-id-prefix": f"{plan.name}-{topic}",
            "properties.transaction.timeout.ms": str(_TRANSACTION),
        }
    return _table(plan, output_schema(), options)


def output_schema() -> Schema:
    """Give the columns of a topic that is written: k, v are a record's key and value."""
    return Schema.new_builder().column("k", DataTypes.BYTES()).column("v", DataTypes.BYTES()).build()


def _table(plan: Plan, schema: Schema, options: dict[str, str]) -> TableDescriptor:
    builder = TableDescriptor.for_connector("kafka").schema(schema)
    client = {"bootstrap.servers": plan.servers, **plan.kafka}
    connected = {f"properties.{name}": _here(value) for name, value in client.items()}
    for name, value in {**connected, **options, **_RAW}.items():
        builder = builder.option(name, value)
    return builder.build()


def _here(value: str) -> str:
    """Name a class of the Java client as it is named in the connector that is installed."""
    for name in (PLAIN_LOGIN, SCRAM_LOGIN):
        if value.startswith(name):
            try:
                load_java_class(_SHADED + name)
            except Py4JJavaError:
                return value
            return _SHADED + value
    return value
