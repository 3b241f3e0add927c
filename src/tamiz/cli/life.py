"""The life of one question, as text for people."""

from typing import Final

from tamiz.cli.shared import aligned, clock_time, plain, shorten, until
from tamiz.messages import Outcome, Source, Topic
from tamiz.scoring import shown
from tamiz.store.lives import Ended, Life, Place, Tried
from tamiz.units import plural

__all__ = ["life_text"]

_NEXT: Final = {
    Topic.QUESTIONS_IN: "to be taken up",
    Topic.LLM_REQUESTS: "for a model, or for the answer of one",
    Topic.LLM_RESPONSES: "to be judged",
    Topic.LLM_ERRORS: "for what follows from a failed call",
    Topic.REGENERATION_REQUESTS: "for another attempt",
    Topic.VALIDATED_RESPONSES: "for its outcome to be kept",
    Topic.DEAD_LETTERS: "for its outcome to be kept",
}


def life_text(life: Life) -> str:
    """Give the question, what happened to it in order, and its outcome or where it is."""
    about = [
        ("question", plain(life.question)),
        ("content", plain(life.content)),
        ("reference", plain(shown(life.reference) or "")),
        ("id", plain(life.id or "")),
        ("message_id", life.message_id),
    ]
    events = [(_after(life, life.created_at), "asked")]
    events += [(_after(life, tried.at), _tried(tried)) for tried in life.tried]
    if life.outcome is not None:
        events.append((_after(life, life.outcome.finished_at), life.outcome.outcome))
        end = _outcome(life.outcome, life.message_id)
    else:
        end = [("open", _place(life.place))]
    return "\n\n".join(
        (
            aligned([(name, value) for name, value in about if value]),
            aligned(events),
            aligned([(name, value) for name, value in end if value]),
        )
    )


def _after(life: Life, at: float) -> str:
    return clock_time(at) if at == life.created_at else f"+{max(at - life.created_at, 0):,.3f} s"


def _tried(tried: Tried) -> str:
    spent = f" ({_model(tried.model, tried.latency_ms)})"
    if tried.result == "refused":
        score = "no score" if tried.score is None else f"score {tried.score:.3f}"
        told = f"attempt {tried.attempt}: fell short, {score}{spent}"
        return "\n".join((told, *map(plain, tried.reasons), _quoted(tried.answer)))
    call = f"attempt {tried.attempt}, call {tried.retry + 1}" if tried.retry else f"attempt {tried.attempt}"
    return f"{call}: failed, {tried.result}: {shorten(tried.reason, 200)}{spent}"


def _outcome(ended: Ended, message_id: str) -> list[tuple[str, str]]:
    counts = f"{plural(ended.attempts, 'answer')} judged, {plural(ended.retries, 'failed call')}"
    if ended.outcome == Outcome.FAILED:
        return [
            ("outcome", f"failed, {ended.kind}; {counts}"),
            ("reason", plain(ended.reason or "")),
            ("model", plain(ended.model or "")),
            ("leader", _leader(ended, message_id)),
        ]
    score = f"no score ({ended.reason})" if ended.score is None else f"score {ended.score:.3f}"
    kept = " (its best attempt)" if ended.outcome == Outcome.EXHAUSTED else ""
    return [
        ("outcome", f"{ended.outcome}, {score}; {counts}"),
        ("answer" + kept, plain(ended.answer or "")),
        ("against it", "\n".join(map(plain, ended.reasons))),
        ("source", _source(ended)),
        ("leader", _leader(ended, message_id)),
    ]


def _source(ended: Ended) -> str:
    if ended.source == Source.MODEL:
        return f"attempt {ended.attempt} ({_model(ended.model, ended.latency_ms)})"
    return {
        Source.COALESCED: "coalesced: an identical question was in flight, and this is its outcome",
        Source.CACHE: "cache: an identical question had been answered",
        Source.STORE: "store: an identical question had been answered",
    }.get(Source(ended.source or Source.MODEL), "")


def _leader(ended: Ended, message_id: str) -> str:
    return "" if ended.leader == message_id else ended.leader


def _place(place: Place | None) -> str:
    if place is None:
        return "nowhere in this file, which something else must have changed; start anew with --fresh"
    match place.kind:
        case "deferred" if place.due is not None:
            return f"deferred until {clock_time(place.due)} ({until(place.due)}){_so_far(place)}"
        case "parked":
            return f"parked behind an identical question in flight: {place.leader or 'unknown'}"
        case _ if place.topic is None:
            return "in a topic of the cluster, or at work"
        case _:
            return f"in {place.topic}, waiting {_NEXT[Topic(place.topic)]}{_so_far(place)}"


def _so_far(place: Place) -> str:
    if place.attempt is None:
        return ""
    return f"; attempt {place.attempt}" + (f" after {plural(place.retry, 'failed call')}" if place.retry else "")


def _model(model: str | None, latency_ms: float | None) -> str:
    took = "" if latency_ms is None else f", {latency_ms:,.0f} ms"
    return plain(model or "no model") + took


def _quoted(text: str | None) -> str:
    return f"“{plain(text or '')}”"
