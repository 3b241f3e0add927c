"""The judge as a function of Flink's: it asks `decide` and keeps the marks in keyed state."""

from collections.abc import Iterator
from typing import Any, Final

from pyflink.common import Row, Time, Types
from pyflink.datastream import KeyedProcessFunction, OutputTag, RuntimeContext
from pyflink.datastream.state import StateTtlConfig, ValueStateDescriptor

from tamiz import __version__
from tamiz.flink.decide import Decider, Output, Tally, is_repeat, mark
from tamiz.flink.jobmanager import FlinkError
from tamiz.flink.plan import Plan
from tamiz.messages import Topic

__all__ = ["JudgeFunction", "last_attempt"]

_CLEANED: Final = 10
"""Marks that are looked at, whether they are too old, each time one is written."""
_CLOCK: Final = 1000
"""Marks that RocksDB looks at without asking for the time."""


class JudgeFunction(KeyedProcessFunction):  # type: ignore[misc]
    """Turns rows of (value, key, partition, offset), keyed by submission, into rows of (key, value).

    Those for `validated_responses` are its output, the others side outputs, tagged with their topic.
    """

    def __init__(self, plan: Plan) -> None:
        # not the plan itself: it holds secrets, and this travels in the job that Flink shows
        self._judge = plan.judge()
        self._topic = plan.topics[Topic.LLM_RESPONSES]
        self._remember = plan.remember
        self._version = __version__

    def open(self, runtime_context: RuntimeContext) -> None:
        """Make what lives as long as a task."""
        if self._version != __version__:
            raise FlinkError(
                f"the job is of tamiz {self._version} and this TaskManager has {__version__}: restart it after an "
                "update, it imports tamiz once"
            )
        self._decider = Decider(self._judge, self._topic)
        self._last = runtime_context.get_state(last_attempt(self._remember))
        metrics = runtime_context.get_metrics_group()
        self._counters = {tally: metrics.counter(tally.value) for tally in Tally}
        self._tags = {topic: OutputTag(topic.value) for topic in (Topic.REGENERATION_REQUESTS, Topic.DEAD_LETTERS)}

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:  # noqa: ARG002 - Flink's signature
        """Judge the record, unless this attempt was judged before."""
        read = self._decider.read(*value)
        if isinstance(read, Output):
            output = read
        elif is_repeat(read, self._last.value()):
            self._counters[Tally.REPEATED].inc()
            return
        else:
            output = self._decider.decide(read)
            self._last.update(mark(read))
        self._counters[output.tally].inc()
        row = Row(output.key, output.value)
        if output.topic is Topic.VALIDATED_RESPONSES:
            yield row
        else:
            yield self._tags[output.topic], row


def last_attempt(remember: float) -> ValueStateDescriptor:
    """Describe the state: the mark of the last attempt judged, for as long as it is remembered."""
    descriptor = ValueStateDescriptor("last_attempt", Types.STRING())
    descriptor.enable_time_to_live(
        # Inside a TaskManager there is no gateway to Java. `Duration`, the clean-up in the background and RocksDB's
        # usual period would all be made through one, so each is told by other means.
        StateTtlConfig.new_builder(Time.milliseconds(int(remember * 1000)))
        .set_update_type(StateTtlConfig.UpdateType.OnCreateAndWrite)
        .set_state_visibility(StateTtlConfig.StateVisibility.NeverReturnExpired)
        .disable_cleanup_in_background()
        .cleanup_incrementally(_CLEANED, run_cleanup_for_every_record=False)
        .cleanup_in_rocksdb_compact_filter(_CLOCK, Time.days(30))
        .build()
    )
    return descriptor
