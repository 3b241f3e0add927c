"""Runs of traffic within the service."""

import pytest

from tamiz.errors import BusError, StateError, TamizError
from tamiz.hosts.desk import Busy
from tamiz.http.runs import ask_within
from tamiz.traffic.question import Emission, Question


@pytest.mark.parametrize("error", [Busy(1, 1.0), StateError("the store is away"), BusError("the brokers are away")])
async def test_a_question_that_cannot_be_taken_in_is_refused_and_no_end_of_the_run(error: TamizError) -> None:
    async def ask(_: Question) -> str:
        raise error

    told = ask_within(ask)(Emission(0, 0.0, 0, Question(None, "Why?", "", None)))
    assert not isinstance(told, str)
    assert await told == "refused"
