"""Metrics of this process, as Prometheus reads them.

Counters count what this process has seen, from 0 at its start; where several processes share the work, their sums are
what the store has, but for what was done again after a crash.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector

from tamiz.cache import Cache
from tamiz.clock import Clock
from tamiz.effects import Effects
from tamiz.errors import TamizError
from tamiz.hosts.desk import Desk
from tamiz.http.tallies import Spread, Tally
from tamiz.messages import (
    DeadLetter,
    Event,
    LlmError,
    LlmResponse,
    QuestionAsked,
    RegenerationRequest,
    Source,
    ValidatedResponse,
)
from tamiz.models.fleet import Fleet
from tamiz.models.names import name_of

__all__ = ["CONTENT", "Metrics"]

Waiting = Callable[[], Awaitable[Mapping[str, int]]]
Lag = Callable[[], Awaitable[Mapping[str, Mapping[str, int]]]]

CONTENT: Final = "text/plain; version=0.0.4"
"""The media type, to which the framework adds the charset of all texts."""
_ANSWERS: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
_HOPS: Final = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 60.0)
_REQUESTS: Final = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """Counts what happens, and looks at what is there when it is asked."""

    def __init__(self, clock: Clock) -> None:
        self.desk: Desk | None = None
        self.cache: Cache | None = None
        self.fleet: Fleet | None = None
        self.waiting: Waiting | None = None
        """Gives how much waits in the store, by what it waits for."""
        self.lag: Lag | None = None
        """Gives, by stage and topic, the records that it has not finished."""
        self._clock = clock
        self._waits: Mapping[str, int] = {}
        self._lags: Mapping[str, Mapping[str, int]] = {}
        self._asked = Tally("tamiz_questions_asked", "Questions taken in here.")
        self._questions = Tally("tamiz_questions", "Questions that ended here.", "outcome", "source")
        self._attempts = Tally("tamiz_attempts", "Answers judged.", "verdict")
        self._retries = Tally("tamiz_retries", "Failed calls that are made again, by why they failed.", "kind")
        self._calls = Tally("tamiz_model_calls", "Calls to models, by what came of them.", "model", "result")
        self._tokens = Tally("tamiz_tokens", "Tokens, as the models' servers count them.", "model", "direction")
        self._call_seconds = Spread("tamiz_model_call_seconds", "How long calls took.", _ANSWERS, "model")
        self._answer_seconds = Spread(
            "tamiz_answer_seconds", "From a question's submission to its outcome.", _ANSWERS, "source"
        )
        self._hop_seconds = Spread("tamiz_hop_seconds", "How long a stage took with an event.", _HOPS, "stage")
        self._requests = Spread(
            "tamiz_http_request_seconds", "How long requests took.", _REQUESTS, "method", "route", "status"
        )
        self._registry = CollectorRegistry()
        self._registry.register(_Collected(self._collect))
        ProcessCollector(registry=self._registry)

    def hop(self, stage: str, event: Event | None, effects: Effects, seconds: float) -> None:
        """See `Observer.hop`."""
        if event is not None:
            self._hop_seconds.add(seconds, stage)
        for each in effects.record:
            self._recorded(each)
        match stage:
            case "generate":
                for each in effects.emit:
                    self._called(each)
            case "retry" if isinstance(event, LlmError) and not isinstance(next(iter(effects.emit), None), DeadLetter):
                self._retries.add(event.kind)
            case _:
                pass

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Take note of a request; `route` is the template of its path, empty where there is none such."""
        self._requests.add(seconds, method, route, str(status))

    async def text(self) -> bytes:
        """Give all of them as text. What cannot be looked at just now is left out."""
        self._waits, self._lags = {}, {}
        for looked, name in ((self.waiting, "_waits"), (self.lag, "_lags")):
            if looked is not None:
                try:
                    setattr(self, name, await looked())
                except (TamizError, TimeoutError):
                    continue
        return generate_latest(self._registry)

    def _recorded(self, event: Event) -> None:
        """Count what the store is told to remember: of an answer that was judged, wherever that was, the verdict."""
        match event:
            case QuestionAsked():
                self._asked.add()
            case RegenerationRequest():
                self._attempts.add("refused")
            case ValidatedResponse():
                if event.source is Source.MODEL:
                    self._attempts.add("accepted" if event.accepted else "refused")
                self._ended(event)
            case DeadLetter():
                self._ended(event)
            case _:
                pass

    def _ended(self, event: ValidatedResponse | DeadLetter) -> None:
        source = str(event.source or "none")
        self._questions.add(event.outcome, source)
        self._answer_seconds.add(max(self._clock.time() - event.created_at, 0.0), source)

    def _called(self, event: Event) -> None:
        if isinstance(event, LlmResponse):
            model, result = self._name(event.endpoint or event.model), "answered"
            self._tokens.add(model, "prompt", by=event.prompt_tokens or 0)
            self._tokens.add(model, "completion", by=event.completion_tokens or 0)
        elif isinstance(event, LlmError):
            model, result = self._name(event.model), event.kind
            self._tokens.add(model, "unknown", by=event.tokens or 0)
        else:
            return
        self._calls.add(model, result)
        self._call_seconds.add(event.latency_ms / 1000, model)

    def _name(self, url: str) -> str:
        """Give what a model is called here, where whoever asks may read it."""
        return (self.fleet and self.fleet.names.get(url)) or name_of(url)

    def _collect(self) -> Iterable[Metric]:
        for counted in (self._asked, self._questions, self._attempts, self._retries, self._calls, self._tokens):
            yield counted.collect()
        for spread in (self._call_seconds, self._answer_seconds, self._hop_seconds, self._requests):
            yield spread.collect()
        if self.desk is not None:
            queue = self.desk.queue
            yield _gauge("queue_length", "Questions taken in here that have no outcome yet.", len(queue))
            yield _gauge("queue_limit", "The most of them that are taken in.", queue.limit)
            yield _total("queue_refused", "Questions turned away, since that many were open.", queue.refused)
        if self.cache is not None:
            stats = self.cache.stats()
            yield _total("cache_hits", "Answers found in the cache.", stats.hits)
            yield _total("cache_misses", "Answers not found in it.", stats.misses)
            yield _total("cache_expired", "Those of them that were there and too old.", stats.expired)
            yield _gauge("cache_size", "Answers in the cache.", stats.size)
            yield _gauge("cache_limit", "The most that it holds.", stats.limit)
        if self.fleet is not None:
            yield from _endpoints(self.fleet)
        for name, count in self._waits.items():
            yield _gauge(name, f"Questions that are {name}, over all processes.", count)
        if self._lags:
            family = GaugeMetricFamily(
                "tamiz_lag", "Records that a stage has not finished, over all processes.", labels=("stage", "topic")
            )
            for stage, topics in self._lags.items():
                for topic, lag in topics.items():
                    family.add_metric((stage, topic), lag)
            yield family


class _Collected:
    """All that a registry is to hold."""

    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self.collect = collect


def _endpoints(fleet: Fleet) -> Iterable[Metric]:
    labels = ("endpoint",)
    in_flight = GaugeMetricFamily("tamiz_endpoint_in_flight", "Calls in flight.", labels=labels)
    limit = GaugeMetricFamily(
        "tamiz_endpoint_limit", "Calls that the server is thought to take at once.", labels=labels
    )
    down = GaugeMetricFamily("tamiz_endpoint_down", "Whether it is down or paused: 1, else 0.", labels=labels)
    for endpoint in fleet.endpoints:
        name = (fleet.names[endpoint.name],)
        in_flight.add_metric(name, endpoint.in_flight)
        limit.add_metric(name, endpoint.limit)
        down.add_metric(name, endpoint.shown is not None)
    yield from (in_flight, limit, down)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"tamiz_{name}", text, value=value)


def _total(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"tamiz_{name}", text, value=value)
