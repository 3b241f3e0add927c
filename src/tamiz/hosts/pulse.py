"""The pulse of a service: what happens in it, counted as it happens, so that looking at it costs nothing."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from tamiz.clock import Clock
from tamiz.effects import Effects
from tamiz.hosts.scores import Scores, ScoresSeen
from tamiz.hosts.spans import Moment, Series, Span, in_ms, quantiles
from tamiz.messages import (
    DeadLetter,
    Event,
    LlmError,
    Outcome,
    QuestionAsked,
    RegenerationRequest,
    Source,
    Terminal,
    ValidatedResponse,
)
from tamiz.scoring import as_given, shown
from tamiz.store.lives import Answered

__all__ = ["REFUSED", "Beat", "Pulse", "Pulses", "Totals"]

REFUSED: Final = "refused"
"""Counted among the failed calls: an answer fell short and another one was asked for."""

_RECENT: Final = 40
_KEYS: Final = 2_000
_FINE, _COARSE = 1.0, 5.0
_POINTS: Final = 120
_MINUTE: Final = 60
_RATE_OVER: Final = 10
_TENANTS: Final = 64
_LONGEST: Final = {"question": 180, "reference": 240, "answer": 280, "reason": 200}
"""Characters of a text in a list; the whole is in the question's life."""


class Totals(msgspec.Struct):
    """Counts since the store was new or, where that is not known (yet), since this process looks."""

    questions: int = 0
    outcomes: dict[str, int] = {}
    sources: dict[str, int] = {}
    """Answered questions by where the answer came from."""


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be seen at a moment."""

    whole: bool
    """Whether `totals` has all that the store has."""
    totals: Totals
    asked_rate: float
    """Questions a second, over the last ten; `ended_rate` is of outcomes."""
    ended_rate: float
    p50: float | None
    """Milliseconds from submission to outcome, over the last minute; `None` where nothing ended."""
    p95: float | None
    p99: float | None
    ended: int
    """Outcomes of the last ten minutes, and those of them that cost no call, and came from the cache in memory."""
    reused: int
    cached: int
    trouble: dict[str, int]
    """Failed calls and refused answers of the last ten minutes, by kind."""
    fine: Series
    coarse: Series
    scores: ScoresSeen
    recent: list[Answered]
    """The last outcomes, the latest first, long texts cut."""
    short: list[Answered]
    """Of those that were not accepted."""


class Pulse:
    """Counts events as they happen. Memory is bounded, and `add` takes microseconds."""

    def __init__(self, clock: Clock) -> None:
        self.since = clock.time()
        self.keys: deque[tuple[float, str]] = deque(maxlen=_KEYS)
        """When the last accepted answers were given, and their questions' cache keys."""
        self._clock = clock
        self._fine = Span(_FINE, _POINTS, _MINUTE)
        self._coarse = Span(_COARSE, _POINTS, _POINTS)
        self._scores = Scores()
        self._totals = Totals()
        self._before: Totals | None = None
        self._recent: deque[Answered] = deque(maxlen=_RECENT)
        self._short: deque[Answered] = deque(maxlen=_RECENT)

    def add(self, event: Event) -> None:
        """Count an event that the store is told to remember; what is of no interest is let pass."""
        match event:
            case QuestionAsked():
                self.asked(1)
            case ValidatedResponse() | DeadLetter():
                now = self._clock.time()
                own = event.terms is not None and event.terms.threshold is not None
                self.take(_row(event, now), own=own)
                if event.outcome is Outcome.ACCEPTED:
                    self.keys.append((now, event.cache_key))
            case LlmError():
                self.trouble(event.kind)
            case RegenerationRequest():
                self.trouble(REFUSED)
            case _:
                pass

    def take(self, row: Answered, *, own: bool = False) -> None:
        """Count an outcome; `own`: of a question that had a threshold of its own."""
        reused = row.source not in {None, Source.MODEL}
        for moment in self._spans():
            moment.ended += 1
            moment.reused += reused
            moment.cached += row.source == Source.CACHE
            moment.latencies.add(row.finished_at - row.created_at)
        outcomes, sources = self._totals.outcomes, self._totals.sources
        outcomes[row.outcome] = outcomes.get(row.outcome, 0) + 1
        if row.outcome != Outcome.FAILED and row.source is not None:
            sources[row.source] = sources.get(row.source, 0) + 1
        self.see(row, own=own)

    def see(self, row: Answered, *, own: bool = False) -> None:
        """Show an outcome, and do not count it: it came while nobody did."""
        cut = _cut(row)
        self._recent.append(cut)
        if row.outcome != Outcome.ACCEPTED:
            self._short.append(cut)
        if row.outcome != Outcome.FAILED and not own:
            self._scores.add(row.score, accepted=row.outcome == Outcome.ACCEPTED)

    def asked(self, count: int) -> None:
        """Count questions that came in."""
        self._totals.questions += count
        for moment in self._spans():
            moment.asked += count

    def trouble(self, kind: str, count: int = 1) -> None:
        """Count calls that failed, or answers that were `REFUSED`."""
        for moment in self._spans():
            moment.trouble[kind] = moment.trouble.get(kind, 0) + count

    def look(self, totals: Totals, *, now: bool = False) -> None:
        """Take up the store's counts, as they were when this pulse was made or, with `now`, as they are."""
        self._before = totals
        if now:
            self._totals = Totals()

    def remember(self, answered: Sequence[Answered]) -> None:
        """Take up outcomes from before this pulse was made, the latest first; later ones it has."""
        answered = [row for row in answered if row.finished_at < self.since]
        room = _RECENT - len(self._recent)
        self._recent.extendleft(_cut(row) for row in answered[:room])
        short = [row for row in answered if row.outcome != Outcome.ACCEPTED]
        self._short.extendleft(_cut(row) for row in short[: _RECENT - len(self._short)])
        for row in reversed(answered):
            if row.outcome != Outcome.FAILED:
                self._scores.add(row.score, accepted=row.outcome == Outcome.ACCEPTED)

    def beat(self) -> Beat:
        """Tell what is to be seen now."""
        _, current = self._spans()  # which also ends steps in which nothing happened
        seconds = list(self._fine.last(_RATE_OVER))
        lately = [current, *self._coarse.last(_POINTS - 1)]
        p50, p95, p99 = in_ms(quantiles(self._fine.last(_MINUTE)))
        over = max(len(seconds), 1) * _FINE
        return Beat(
            whole=self._before is not None,
            totals=_sum(self._totals, self._before or Totals()),
            asked_rate=round(sum(each.asked for each in seconds) / over, 2),
            ended_rate=round(sum(each.ended for each in seconds) / over, 2),
            p50=p50,
            p95=p95,
            p99=p99,
            ended=sum(each.ended for each in lately),
            reused=sum(each.reused for each in lately),
            cached=sum(each.cached for each in lately),
            trouble=_counts(each.trouble for each in lately),
            fine=self._fine.series(),
            coarse=self._coarse.series(),
            scores=self._scores.seen(),
            recent=[*reversed(self._recent)],
            short=[*reversed(self._short)],
        )

    def _spans(self) -> tuple[Moment, Moment]:
        now = self._clock.monotonic()
        return self._fine.at(now), self._coarse.at(now)


class Pulses:
    """The pulse of everything and, for tenants that look, of what is theirs."""

    def __init__(self, clock: Clock) -> None:
        self.all = Pulse(clock)
        self._clock = clock
        self._of: dict[str, Pulse] = {}

    def hop(self, stage: str, event: Event | None, effects: Effects, seconds: float) -> None:  # noqa: ARG002
        """Count what the store is told to remember; see `Observer.hop`."""
        for recorded in effects.record:
            self.add(recorded)

    def add(self, event: Event) -> None:
        """See `Pulse.add`."""
        self.all.add(event)
        if self._of:
            tenant = "" if event.terms is None else event.terms.tenant
            if (pulse := self._of.get(tenant)) is not None:
                pulse.add(event)

    def take(self, row: Answered) -> None:
        """See `Pulse.take`."""
        self.all.take(row)
        if (pulse := self._of.get(row.tenant)) is not None:
            pulse.take(row)

    def see(self, row: Answered) -> None:
        """See `Pulse.see`."""
        self.all.see(row)
        if (pulse := self._of.get(row.tenant)) is not None:
            pulse.see(row)

    def known(self, tenant: str) -> Pulse | None:
        """Give a tenant's pulse, where it has one."""
        return self._of.get(tenant)

    def make(self, tenant: str) -> Pulse:
        """Begin to count for a tenant; of many, the one that began first is forgotten."""
        if len(self._of) >= _TENANTS:
            del self._of[next(iter(self._of))]
        self._of[tenant] = pulse = Pulse(self._clock)
        return pulse


def _row(event: Terminal, now: float) -> Answered:
    dead = event if isinstance(event, DeadLetter) else None
    answer = event.best if isinstance(event, DeadLetter) else event.answer
    return Answered(
        message_id=event.message_id,
        id=event.question_id,
        question=event.title,
        reference=as_given(event.best_answer),
        answer=None if answer is None else answer.llm_answer,
        outcome=event.outcome,
        score=None if answer is None else answer.score,
        reason=dead.reason if dead is not None else answer.reason if answer is not None else None,
        reasons=() if answer is None or dead is not None else answer.reasons,
        kind=None if dead is None else dead.kind,
        source=event.source,
        attempts=event.attempts,
        retries=event.retries,
        model=dead.model if dead is not None else answer.model if answer is not None else None,
        latency_ms=None if answer is None else answer.latency_ms,
        created_at=event.created_at,
        finished_at=now,
        tenant="" if event.terms is None else event.terms.tenant,
    )


def _cut(row: Answered) -> Answered:
    texts = {"question": row.question, "reference": shown(row.reference), "answer": row.answer, "reason": row.reason}
    long = {name: text for name, text in texts.items() if text is not None and len(text) > _LONGEST[name]}
    reasons = tuple(reason[: _LONGEST["reason"]] for reason in row.reasons[:3])
    if not long and reasons == row.reasons:
        return row
    cut = {name: text[: _LONGEST[name] - 1] + "…" for name, text in long.items()}
    return msgspec.structs.replace(row, reasons=reasons, **cut)


def _sum(one: Totals, other: Totals) -> Totals:
    return Totals(
        one.questions + other.questions,
        _counts((one.outcomes, other.outcomes)),
        _counts((one.sources, other.sources)),
    )


def _counts(several: Iterable[Mapping[str, int]]) -> dict[str, int]:
    together: dict[str, int] = {}
    for each in several:
        for name, count in each.items():
            together[name] = together.get(name, 0) + count
    return together
