"""Traffic runs over HTTP."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from litestar import Controller, Request, delete, get, post

from tamiz.http.callers import operator_of
from tamiz.http.context import Context, asked_by
from tamiz.http.keys import Caller
from tamiz.http.problems import Problem
from tamiz.http.reference import text_of
from tamiz.http.runs import Dataset, Runs, RunTold, ask_within, sample
from tamiz.http.traffic import Question as Given
from tamiz.messages import Terms
from tamiz.store.base import Reader
from tamiz.traffic.plan import Plan
from tamiz.traffic.question import Question

__all__ = ["TrafficRuns", "Wanted"]

_WAIT: Final = 60.0
"""Seconds for which the outcome of a question is waited for; it is counted as open after that."""
_STORED: Final = 500


class Wanted(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A run that is to be started."""

    dataset: Dataset | None = None
    """`sample`: a few questions that come with tamiz; `stored`: the last ones of the store; `given`: `questions`."""
    questions: Annotated[list[Given], msgspec.Meta(max_length=10_000)] = []
    total: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] | None = None
    duration: Annotated[float, msgspec.Meta(gt=0, le=86_400)] | None = None
    """Seconds; with `total`, whichever ends first. Without either: 1,000 questions."""
    arrivals: Annotated[str, msgspec.Meta(max_length=100)] = "poisson"
    rate: Annotated[float, msgspec.Meta(gt=0, le=100_000)] = 10.0
    popularity: Annotated[str, msgspec.Meta(max_length=100)] = "zipf"
    alpha: Annotated[float, msgspec.Meta(ge=0, le=100)] = 1.0
    seed: int = 0

    def plan(self) -> Plan:
        """Give its parameters. Raises `Problem` where it would read a file of this machine."""
        if self.arrivals.startswith("trace"):
            why = "arrivals: a trace is a file of this machine, which nobody names over the network"
            raise Problem(HTTPStatus.BAD_REQUEST, why, field="arrivals")
        total = 1_000 if self.total is None and self.duration is None else self.total
        return Plan(
            total=total,
            duration=self.duration,
            arrivals=self.arrivals,
            rate=self.rate,
            popularity=self.popularity,
            alpha=self.alpha,
            seed=self.seed,
        )


class TrafficRuns(Controller):
    """Runs of questions, to try or to load the service. For operators."""

    path = "/traffic"
    tags = ("traffic",)

    @post(status_code=201, summary="Start a run")
    async def start(self, data: Wanted, request: Request[Any, Any, Any], context: Context) -> RunTold:
        """Begin to ask questions by popularity, at the times of an arrival process, as clients would."""
        caller = operator_of(request)
        runs, plan = _runs(context), data.plan()
        dataset = data.dataset or ("given" if data.questions else "sample")
        questions = await _questions(context, dataset, data.questions)
        return runs.start(plan, dataset, questions, ask_within(_asking(context, caller)))

    @get(summary="The runs of this process")
    async def told(self, request: Request[Any, Any, Any], context: Context) -> list[RunTold]:
        """Tell of those that go on and the last that are over, the latest first."""
        operator_of(request)
        return _runs(context).told()

    @get("/{run_id:str}", summary="A run")
    async def one(self, run_id: str, request: Request[Any, Any, Any], context: Context) -> RunTold:
        """Tell how far it is."""
        operator_of(request)
        return _found(_runs(context).one(run_id), run_id)

    @delete("/{run_id:str}", status_code=200, summary="Stop a run")
    async def stop(self, run_id: str, request: Request[Any, Any, Any], context: Context) -> RunTold:
        """Ask nothing more. What has been asked goes on to its outcome."""
        operator_of(request)
        return _found(_runs(context).stop(run_id), run_id)


def _runs(context: Context) -> Runs:
    if context.runs is None:
        raise Problem(HTTPStatus.NOT_FOUND, "this service starts no traffic")
    return context.runs


def _found(told: RunTold | None, run_id: str) -> RunTold:
    if told is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"there is no run {run_id[:80]!r}", field="run_id")
    return told


async def _questions(context: Context, dataset: Dataset, given: list[Given]) -> list[Question]:
    if (dataset == "given") != bool(given):
        why = "questions: they go with the dataset 'given', and it with them"
        raise Problem(HTTPStatus.BAD_REQUEST, why, field="questions")
    match dataset:
        case "given":
            return [Question(each.id, each.title, each.content, text_of(each.reference)) for each in given]
        case "sample":
            return [*sample()]
        case "stored":
            return await context.look(_stored)


def _stored(reader: Reader) -> list[Question]:
    lives = {row.question: reader.life(row.message_id) for row in reader.recent(_STORED)}
    if not lives:
        raise Problem(HTTPStatus.BAD_REQUEST, "dataset: no question has been answered yet", field="dataset")
    return [Question(life.id, life.question, life.content, text_of(life.reference)) for life in lives.values()]


def _asking(context: Context, caller: Caller) -> Callable[[Question], Awaitable[str | None]]:
    desk = context.desk
    if desk is None:
        raise Problem(HTTPStatus.NOT_FOUND, "this service takes no questions")
    context.shape()  # without it none could be asked

    async def ask(question: Question) -> str | None:
        asked = asked_by(
            context,
            title=question.title,
            content=question.content,
            reference=question.reference,
            question_id=question.id,
            terms=Terms(tenant=caller.tenant),
        )
        if (known := await desk.known(asked)) is not None:
            await desk.record(asked, known)
            return known.outcome
        with desk.queue.expect(asked.message_id) as expected:
            await desk.submit(asked)
            outcome = await expected(_WAIT)
        return None if outcome is None else outcome.outcome

    return ask
