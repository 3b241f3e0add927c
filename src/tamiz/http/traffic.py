"""The traffic service: questions in, one at a time, and what became of them."""

from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.params import Parameter

from tamiz.http.callers import caller_of
from tamiz.http.context import Context, asked_by
from tamiz.http.life import Outcome, Told, life_of, outcome_of
from tamiz.http.problems import Problem
from tamiz.http.reference import AskedReference, text_of
from tamiz.http.texts import clean, said
from tamiz.messages import Terms

__all__ = ["Question", "Submitted", "Traffic"]

_LONGEST_WAIT: Final = 300.0


class Question(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A question, as it is handed in."""

    title: Annotated[str, said(200_000)]
    content: Annotated[str, clean(400_000)] = ""
    reference: AskedReference = None
    """The human answer, which scores answers; no model ever sees it."""
    id: Annotated[str, clean(1_000)] | None = None
    """The data set's own id."""
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    """The least score that is accepted; without it, the service's."""


class Submitted(msgspec.Struct, kw_only=True):
    """A question that was taken in; it has no outcome yet."""

    message_id: str
    outcome: None = None


class Traffic(Controller):
    """Questions."""

    tags = ("traffic",)

    @post("/questions", status_code=202, summary="Hand in a question")
    async def ask(
        self,
        data: Question,
        request: Request[Any, Any, Any],
        context: Context,
        wait: Annotated[float, Parameter(ge=0, le=_LONGEST_WAIT)] = 0.0,
    ) -> Response[Submitted | Outcome]:
        """Take a question in: 202 and its `message_id` once it is durable, or 200 where its answer is known.

        `wait` is how many seconds the outcome may be waited for: 200 where it came, 202 where it did not.
        """
        desk, caller = context.desk, caller_of(request)
        if desk is None:
            raise Problem(HTTPStatus.NOT_FOUND, "this service takes no questions")
        asked = asked_by(
            context,
            title=data.title,
            content=data.content,
            reference=text_of(data.reference),
            question_id=data.id,
            terms=Terms(tenant=caller.tenant, threshold=data.threshold),
        )
        if (known := await desk.known(asked)) is not None:
            await desk.record(asked, known)
            return Response(outcome_of(known, caller), status_code=HTTPStatus.OK)
        with desk.queue.expect(asked.message_id) as expected:
            await desk.submit(asked)
            outcome = await expected(wait)
        if outcome is not None:
            return Response(outcome_of(outcome, caller), status_code=HTTPStatus.OK)
        where = {"location": f"/questions/{asked.message_id}"}
        return Response(Submitted(message_id=asked.message_id), status_code=HTTPStatus.ACCEPTED, headers=where)

    @get("/questions/{message_id:str}", summary="What became of a question")
    async def life(self, message_id: str, request: Request[Any, Any, Any], context: Context) -> Told:
        """Tell a question's outcome, if it has one, and its whole life."""
        return await life_of(context, message_id, caller_of(request))
