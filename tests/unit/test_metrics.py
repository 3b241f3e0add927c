from collections.abc import Mapping
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from manual_clock import EPOCH, ManualClock, at_once
from strategies import asked, dead, failed, regeneration, requested, responded, validated
from tamiz.cache import make_cache
from tamiz.effects import Deferred, Effects
from tamiz.errors import FailureKind, StateError
from tamiz.hosts.desk import Queue
from tamiz.http.metrics import Metrics
from tamiz.messages import Source
from tamiz.models.endpoint import Endpoint
from tamiz.models.factory import make_model
from tamiz.models.fleet import Fleet
from tamiz.settings import Settings

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(metrics: Metrics) -> Samples:
    """Give all samples by name and labels."""
    text = at_once(metrics.text()).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, tuple(sorted(labels.items()))))


def test_questions_are_counted_by_outcome_and_source_once_each() -> None:
    """However many stages see an outcome: it is where it is recorded that it counts."""
    metrics = Metrics(ManualClock())
    known = validated(created_at=EPOCH - 0.5, source=Source.CACHE)
    for event in (validated(created_at=EPOCH - 2), validated(created_at=EPOCH - 4), known, dead(created_at=EPOCH)):
        metrics.hop("judge", responded(), Effects(emit=(event,)), 0.0)
        metrics.hop("persist", event, Effects(record=(event,)), 0.0)
        metrics.hop("intake", event, Effects(), 0.0)
    metrics.hop("desk", None, Effects(record=(asked(),)), 0.0)
    found = read(metrics)
    assert of(found, "tamiz_questions_total", outcome="accepted", source="model") == 2
    assert of(found, "tamiz_questions_total", outcome="accepted", source="cache") == 1
    assert of(found, "tamiz_questions_total", outcome="failed", source="model") == 1
    assert of(found, "tamiz_questions_asked_total") == 1
    assert of(found, "tamiz_answer_seconds_count", source="model") == 3
    assert of(found, "tamiz_answer_seconds_sum", source="model") == 6
    assert of(found, "tamiz_answer_seconds_bucket", source="cache", le="0.3") == 0
    assert of(found, "tamiz_answer_seconds_bucket", source="cache", le="1.0") == 1


def test_calls_attempts_and_retries() -> None:
    metrics = Metrics(ManualClock())
    answer = responded(endpoint="big", prompt_tokens=5, completion_tokens=7, latency_ms=250.0)
    busy = failed(FailureKind.OVERLOAD, model="big", latency_ms=50.0)
    metrics.hop("generate", requested(), Effects(emit=(answer,)), 0.3)
    metrics.hop("generate", requested(), Effects(emit=(busy,)), 0.1)
    for verdict in (regeneration(), validated(), validated(accepted=False), validated(source=Source.COALESCED)):
        metrics.hop("judge", answer, Effects(emit=(verdict,)), 0.0)
        metrics.hop("persist", verdict, Effects(record=(verdict,)), 0.0)
    metrics.hop("retry", busy, Effects(defer=(Deferred(requested(), EPOCH),)), 0.0)
    metrics.hop("retry", busy, Effects(emit=(requested(),)), 0.0)
    metrics.hop("retry", busy, Effects(emit=(dead(),)), 0.0)
    found = read(metrics)
    assert of(found, "tamiz_model_calls_total", model="big", result="answered") == 1
    assert of(found, "tamiz_model_calls_total", model="big", result="overload") == 1
    assert of(found, "tamiz_tokens_total", model="big", direction="prompt") == 5
    assert of(found, "tamiz_tokens_total", model="big", direction="completion") == 7
    assert of(found, "tamiz_model_call_seconds_sum", model="big") == 0.3
    assert of(found, "tamiz_attempts_total", verdict="accepted") == 1
    assert of(found, "tamiz_attempts_total", verdict="refused") == 2
    assert of(found, "tamiz_retries_total", kind="overload") == 2, "a dead letter is no retry"
    assert of(found, "tamiz_hop_seconds_count", stage="generate") == 2


def test_models_go_by_their_names_and_never_by_their_addresses() -> None:
    """Those of one name are told apart."""
    clock, metrics = ManualClock(), Metrics(ManualClock())
    urls = ("openai+http://10.0.0.7/v1#m", "openai+http://10.0.0.8/v1#m")
    endpoints = [Endpoint(make_model(url, Settings(model=urls), clock), clock) for url in urls]
    metrics.fleet = Fleet(endpoints, clock=clock)
    one, two = (metrics.fleet.names[url] for url in urls)
    metrics.hop("generate", requested(), Effects(emit=(responded(endpoint=urls[0]),)), 0.3)
    metrics.hop("generate", requested(), Effects(emit=(failed(FailureKind.TIMEOUT, model=urls[1]),)), 0.3)
    metrics.hop("generate", requested(), Effects(emit=(failed(model="openai+http://10.0.0.9/v1#gone"),)), 0.3)
    found = read(metrics)
    assert of(found, "tamiz_model_calls_total", model=one, result="answered") == 1
    assert of(found, "tamiz_model_calls_total", model=two, result="timeout") == 1
    assert of(found, "tamiz_model_call_seconds_count", model="gone") == 1
    assert of(found, "tamiz_endpoint_down", endpoint=one) == of(found, "tamiz_endpoint_down", endpoint=two) == 0
    assert "10.0.0." not in repr(found)


def test_requests_are_told_by_route_and_status() -> None:
    metrics = Metrics(ManualClock())
    metrics.request("GET", "/questions/{message_id}", 200, 0.02)
    metrics.request("GET", "", 404, 0.02)
    found = read(metrics)
    assert (
        of(found, "tamiz_http_request_seconds_count", method="GET", route="/questions/{message_id}", status="200") == 1
    )
    assert of(found, "tamiz_http_request_seconds_count", method="GET", route="", status="404") == 1


def test_what_is_there_is_looked_at_when_it_is_asked() -> None:
    metrics = Metrics(ManualClock())
    assert not {name for name, _ in read(metrics) if name.startswith(("tamiz_queue", "tamiz_cache", "tamiz_lag"))}

    clock = ManualClock()
    queue, cache = Queue(5, clock), make_cache("lru", 7, None, clock)
    queue.enter("m1")
    cache.get("nothing")
    metrics.desk, metrics.cache = _Desk(queue), cache

    async def lag() -> Mapping[str, Mapping[str, int]]:
        return {"judge": {"llm_responses": 3}}

    async def waiting() -> Mapping[str, int]:
        return {"deferred": 2}

    metrics.lag, metrics.waiting = lag, waiting
    found = read(metrics)
    assert (of(found, "tamiz_queue_length"), of(found, "tamiz_queue_limit")) == (1, 5)
    assert (of(found, "tamiz_cache_misses_total"), of(found, "tamiz_cache_limit")) == (1, 7)
    assert of(found, "tamiz_lag", stage="judge", topic="llm_responses") == 3
    assert of(found, "tamiz_deferred") == 2


def test_a_store_that_is_away_costs_only_what_is_in_it() -> None:
    metrics = Metrics(ManualClock())

    async def away() -> Any:
        raise StateError("the store does not answer")

    metrics.lag, metrics.waiting = away, away
    metrics.hop("desk", None, Effects(record=(asked(),)), 0.0)
    found = read(metrics)
    assert of(found, "tamiz_questions_asked_total") == 1
    assert of(found, "tamiz_deferred") is None


class _Desk:
    """Has a queue; nobody hands anything in."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue

    async def known(self, asked: Any) -> None:
        raise AssertionError(asked)

    async def submit(self, asked: Any) -> None:
        raise AssertionError(asked)

    async def record(self, asked: Any, outcome: Any) -> None:
        raise AssertionError(asked, outcome)
