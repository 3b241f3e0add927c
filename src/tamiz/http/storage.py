"""The storage service: data sets in, answers and figures out, dead letters and their replay."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

import msgspec
from litestar import Controller, Request, get, post
from litestar.params import Parameter
from litestar.response import Stream

from tamiz.datasets import NoSuchColumn, open_dataset, parse_columns
from tamiz.errors import UsageError
from tamiz.http.callers import caller_of, operator_of
from tamiz.http.context import Context
from tamiz.http.dataset import TakingIn
from tamiz.http.exported import EXPORTS, Export
from tamiz.http.life import Told, life_of
from tamiz.http.problems import Problem
from tamiz.http.seen import row_for
from tamiz.http.spooled import Spooled
from tamiz.identity import digest
from tamiz.messages import Outcome
from tamiz.store.lives import Answered, Page, Replayed, ResultRow, Wanted

__all__ = ["Storage"]

_EVERY: Final = tuple(Outcome)
_DEFAULT, _MOST = 100, 1_000
_PAGE: Final = 500
_IDS_AT_ONCE: Final = 10_000
_UPLOADS: Final = 4
"""Data sets that are taken in at once."""
_KINDS: Final = {
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/jsonl": ".jsonl",
    "application/x-ndjson": ".jsonl",
    "application/json-lines": ".jsonl",
}

_IN_PLACE_OF: Final = {
    "--columns ": "?columns=",
    "--columns": "?columns",
    "give its name the end .gz, or decompress it": "decompress it",
    "give its name the end .parquet": "send its rows as CSV or JSON Lines",
}
"""What is said of a request in place of what is said of a file."""

_Id = Annotated[str, Parameter(max_length=200)]
_Limit = Annotated[int, Parameter(ge=1, le=_MOST)]
_Name = Annotated[str, msgspec.Meta(max_length=200)]
_Dataset = Annotated[
    str | None, Parameter(pattern="^[0-9a-f]{16}$", description="a data set's id, 16 hexadecimal digits")
]


class Answers(msgspec.Struct, kw_only=True):
    """Some of the questions that have an outcome, by `message_id`."""

    answers: list[Answered]
    next: str | None
    """Where there are more: the path of the page after this one."""


class DeadLetters(msgspec.Struct, kw_only=True):
    """Some of the questions that failed, by `message_id`."""

    kinds: dict[str, int]
    """All of them, by kind."""
    dead_letters: list[Answered]
    next: str | None
    """Where there are more: the path of the page after this one."""


class Replay(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which dead letters are put back: those of a kind, or those named."""

    kind: str | None = None
    message_ids: Annotated[list[_Name], msgspec.Meta(max_length=_IDS_AT_ONCE)] | None = None


class Storage(Controller):
    """What is kept."""

    tags = ("storage",)

    @post("/datasets", status_code=200, summary="Hand in a data set", media_type="application/jsonl")
    async def take(
        self,
        request: Request[Any, Any, Any],
        context: Context,
        columns: Annotated[str, Parameter(max_length=2_000)] = "",
    ) -> Stream:
        """Take each row of a CSV, TSV or JSON Lines body in as a question, as fast as there is room for them.

        The answer is JSON Lines: of each row that is a question its `message_id`, once it is durable; of each other
        what is wrong with it; and at the end the data set's id and how many there were. Where it breaks off, the same
        body sent again goes on: what was taken in is known. `columns` says which is what: `question=Title,id=Number`.
        """
        desk = context.desk
        if desk is None:
            raise Problem(HTTPStatus.NOT_FOUND, "this service takes no questions")
        suffix = _suffix(request)
        given = _given(columns)
        caller = caller_of(request)
        uploads: set[str] = context.extra.setdefault("uploads", set())
        if len(uploads) >= _UPLOADS:
            why = f"{_UPLOADS} data sets are being taken in, which is all that this service takes at once"
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, why, retry_after=10, code="busy")
        body = Spooled(suffix)
        uploads.add(body.path)
        try:
            await body.fill(request, context.looks)
            rows = await context.looks(lambda: iter(open_dataset(body.path, given)))
        except BaseException as error:
            uploads.discard(body.path)
            body.close()
            if isinstance(error, UsageError):
                raise _of_the_body(error, body.path) from None
            raise
        dataset = digest(caller.tenant, body.digest, suffix, columns, size=8)

        async def told() -> AsyncIterator[bytes]:
            encode = msgspec.json.Encoder().encode_lines
            try:
                async for some in TakingIn(context, desk, dataset, caller).all(rows):
                    yield encode(some)
            finally:
                uploads.discard(body.path)
                body.close()

        return Stream(told(), media_type="application/jsonl", headers={"x-tamiz-dataset": dataset})

    @get("/answers", summary="Answers")
    async def answers(
        self,
        *,
        request: Request[Any, Any, Any],
        context: Context,
        outcome: list[Outcome] | None = None,
        min_score: Annotated[float | None, Parameter(ge=0, le=1)] = None,
        limit: _Limit = _DEFAULT,
        after: _Id = "",
        dataset: _Dataset = None,
    ) -> Answers:
        """Give questions that have an outcome, by `message_id`, those after `after`; without `outcome`, of every one.

        A page is shorter than `limit` where its texts are long; `next` tells whether there are more.
        """
        wanted = Wanted(
            outcomes=tuple(outcome or _EVERY),
            min_score=min_score,
            tenant=caller_of(request).sees,
            prefix=_prefix(context, dataset),
        )
        page = await context.look(lambda reader: reader.page(wanted, after, limit))
        return Answers(answers=_seen(request, page), next=_next(request, page))

    @get("/answers/{message_id:str}", summary="One answer")
    async def answer(self, message_id: _Id, request: Request[Any, Any, Any], context: Context) -> Told:
        """Tell a question's outcome, if it has one, and its whole life."""
        return await life_of(context, message_id, caller_of(request))

    @get("/stats", summary="Figures")
    async def stats(self, request: Request[Any, Any, Any], context: Context) -> dict[str, Any]:
        """Count everything that the caller may see, or give the counts of a moment ago (`updated_at`)."""
        return await context.counted(caller_of(request).sees)

    @get("/dead-letters", summary="Questions that failed")
    async def dead(
        self,
        request: Request[Any, Any, Any],
        context: Context,
        kind: Annotated[str | None, Parameter(max_length=200)] = None,
        limit: _Limit = _DEFAULT,
        after: _Id = "",
    ) -> DeadLetters:
        """Give questions that failed, by `message_id`, those after `after`; of one kind, or of all."""
        tenant = caller_of(request).sees
        wanted = Wanted(outcomes=(Outcome.FAILED,), tenant=tenant, kind=kind)
        page = await context.look(lambda reader: reader.page(wanted, after, limit))
        kinds = await context.look(lambda reader: reader.dead_kinds(tenant))
        return DeadLetters(kinds=kinds, dead_letters=_seen(request, page), next=_next(request, page))

    @post("/dead-letters/replay", status_code=200, summary="Ask again")
    async def replay(self, data: Replay, request: Request[Any, Any, Any], context: Context) -> Replayed:
        """Put dead letters back, those of a kind or those named, as the submissions they were. For operators."""
        operator_of(request)
        if context.replay is None:
            raise Problem(HTTPStatus.NOT_FOUND, "this service puts no dead letters back")
        if (data.kind is None) == (data.message_ids is None):
            raise Problem(HTTPStatus.BAD_REQUEST, "give either kind or message_ids", field="kind")
        if data.message_ids is not None:
            return await context.replay(data.message_ids)
        wanted = Wanted(outcomes=(Outcome.FAILED,), kind=data.kind)
        replayed = Replayed()
        async for rows in _pages(context, wanted):
            some = await context.replay([row.message_id for row in rows])
            replayed.questions += some.questions
            replayed.no_questions += some.no_questions
            replayed.of_other_settings += some.of_other_settings
        return replayed

    @get("/export", summary="Result rows")
    async def export(
        self,
        *,
        request: Request[Any, Any, Any],
        context: Context,
        format: Literal["jsonl", "csv", "parquet"] = "jsonl",  # noqa: A002 - as the URL has it
        outcome: list[Outcome] | None = None,
        min_score: Annotated[float | None, Parameter(ge=0, le=1)] = None,
        dataset: _Dataset = None,
    ) -> Stream:
        """Give result rows as `tamiz export` writes them, by `message_id`; without `outcome`, the accepted ones."""
        caller = caller_of(request)
        wanted = Wanted(
            outcomes=tuple(outcome or (Outcome.ACCEPTED,)),
            min_score=min_score,
            tenant=caller.sees,
            prefix=_prefix(context, dataset),
        )
        media_type, kind = EXPORTS[format]
        writer: Export = kind()

        async def told() -> AsyncIterator[bytes]:
            async for rows in _pages(context, wanted):
                if data := await context.looks(lambda: writer.rows([_result(row_for(caller, row)) for row in rows])):  # noqa: B023
                    yield data
            if data := writer.end():
                yield data

        name = {"content-disposition": f'attachment; filename="answers.{format}"'}
        return Stream(told(), media_type=media_type, headers=name)


async def _pages(context: Context, wanted: Wanted) -> AsyncIterator[list[Answered]]:
    """Give all that is wanted, page by page, each a look of its own, so that a slow reader holds nothing up."""
    after, more = "", True
    while more:
        page = await context.look(lambda reader: reader.page(wanted, after, _PAGE))  # noqa: B023 - awaited at once
        if page.rows:
            yield page.rows
            after = page.rows[-1].message_id
        more = page.more


def _seen(request: Request[Any, Any, Any], page: Page) -> list[Answered]:
    caller = caller_of(request)
    return [row_for(caller, row) for row in page.rows]


def _result(row: Answered) -> ResultRow:
    return ResultRow(**{name: getattr(row, name) for name in ResultRow.__struct_fields__})


def _next(request: Request[Any, Any, Any], page: Page) -> str | None:
    if not page.more:
        return None
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "after"]
    return f"{request.url.path}?{urlencode([*query, ('after', page.rows[-1].message_id)])}"


def _prefix(context: Context, dataset: str | None) -> str:
    return "" if dataset is None else context.shape().digest + dataset


def _suffix(request: Request[Any, Any, Any]) -> str:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _KINDS:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"content-type is {kind[:80]!r}: say which it is, {', '.join(_KINDS)}",
            field="content-type",
        )
    return _KINDS[kind]


def _given(columns: str) -> dict[str, str]:
    try:
        return parse_columns(columns) if columns else {}
    except UsageError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, _of_a_request(str(error)), field="columns") from None


def _of_the_body(error: UsageError, path: str) -> Problem:
    """Give what is wrong with the file as what is wrong with the body that it was."""
    text = str(error).replace(repr(path), "the body").replace(path, "the body")
    field = "columns" if isinstance(error, NoSuchColumn) else "body"
    return Problem(HTTPStatus.BAD_REQUEST, _of_a_request(text), field=field)


def _of_a_request(text: str) -> str:
    for of_a_file, of_a_request in _IN_PLACE_OF.items():
        text = text.replace(of_a_file, of_a_request)
    return text
