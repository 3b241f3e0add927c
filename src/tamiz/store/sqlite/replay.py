"""Puts dead letters back: the outcome goes, and the question waits to be asked again, as the submission it was."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from tamiz.effects import Deferred
from tamiz.messages import QuestionAsked
from tamiz.statefile import StateFile
from tamiz.store.lives import Replayed
from tamiz.store.sqlite.deferrals import SqliteDeferrals
from tamiz.store.texts import terms_of

__all__ = ["Replayed", "put_back", "replay"]

_CHUNK: Final = 500

_FIELDS: Final = (
    "message_id",
    "trace_id",
    "question_id",
    "title",
    "content",
    "best_answer",
    "cache_key",
    "created_at",
    "terms",
)
_QUESTIONS: Final = (
    f"SELECT source, {', '.join('questions.' + name for name in _FIELDS)} "  # noqa: S608 - the names above
    "FROM outcomes JOIN questions USING (message_id) WHERE outcome = 'failed' AND message_id IN "
)


async def replay(state: StateFile, message_ids: Iterable[str], now: float) -> Replayed:
    """Put back those of these submissions that are dead letters; whatever else they are, they stay as they are.

    One transaction, which is committed: all of them or, after a crash, none. Each gets another outcome under its own
    `message_id`, in the next run, and its counts begin anew: what was tried before is forgotten. Claims need no care: a
    failed question's was released with its outcome, or is by the dead letter still in the log, ahead of the question.
    """
    deferrals = SqliteDeferrals(state)
    settings = state.meta("settings") or ""
    replayed = Replayed()
    for chunk in _chunks(message_ids):
        for question in put_back(state, chunk, settings, replayed):
            await deferrals.defer(Deferred(question, now))
    state.commit()
    state.sync()
    return replayed


def put_back(state: StateFile, message_ids: Sequence[str], settings: str, replayed: Replayed) -> list[QuestionAsked]:
    """Take away the outcomes of those that are dead letters of these settings, and give them, to be asked again.

    It is all in the transaction that is open. `replayed` counts what became of them.
    """
    marks = ", ".join("?" * len(message_ids))
    back = []
    for source, *values in state.execute(f"{_QUESTIONS} ({marks})", message_ids):
        *fields, terms = values
        question = QuestionAsked(**dict(zip(_FIELDS[:-1], fields, strict=True)), terms=terms_of(terms))
        if source is None:  # nobody ever asked it
            replayed.no_questions += 1
        elif not question.message_id.startswith(settings):
            replayed.of_other_settings += 1
        else:
            back.append(question)
    for table in ("outcomes", "attempts"):
        state.execute_many(
            f"DELETE FROM {table} WHERE message_id = ?",  # noqa: S608 - one of the two above
            [(question.message_id,) for question in back],
        )
    replayed.questions += len(back)
    return back


def _chunks(message_ids: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(message_ids)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk
