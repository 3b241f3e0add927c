import io
import json
import logging
from collections.abc import Callable
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manual_clock import EPOCH, ManualClock
from strategies import asked, dead, failed, requested, responded, validated
from tamiz.effects import Deferred, Effects
from tamiz.errors import UsageError
from tamiz.messages import Event, Terms
from tamiz.settings import Settings
from tamiz.telemetry.hops import LoggedHops
from tamiz.telemetry.logs import JsonLines, Say, logging_as

KEY = "sk-0123456789abcdef-secret"


def lines(settings: Settings, work: Callable[[Say], object]) -> list[dict[str, Any]]:
    """Give what is logged, each line decoded."""
    stream = io.StringIO()
    with logging_as(settings, stream) as say:
        work(say)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def as_json(level: str = "info", **settings: Any) -> Settings:
    return Settings(log="json", log_level=level, **settings)  # type: ignore[arg-type] # one of them


def hops(*events: tuple[str, Event, Effects]) -> Callable[[Say], None]:
    def work(_: Say) -> None:
        observer = LoggedHops.wanted(ManualClock())
        if observer is not None:
            for stage, event, effects in events:
                observer.hop(stage, event, effects, 0.0125)

    return work


def test_what_is_said_is_a_line() -> None:
    (line,) = lines(as_json(), lambda say: say('serves on "http://localhost"\nand more'))
    assert (line["level"], line["logger"]) == ("info", "tamiz")
    assert line["message"] == 'serves on "http://localhost"\nand more'
    assert line["time"].endswith("+00:00")


@given(st.text(), st.dictionaries(st.text(max_size=5), st.text() | st.integers() | st.none(), max_size=4))
def test_whatever_is_logged_is_one_line_of_json(text: str, fields: dict[str, Any]) -> None:
    """Line ends, quotes, halves of surrogate pairs: one object on one line."""
    record = logging.LogRecord("tamiz", logging.INFO, "", 0, text.replace("%", "%%"), (), None)
    record.fields = fields
    line = JsonLines().format(record)
    assert "\n" not in line
    assert isinstance(json.loads(line), dict)


def test_each_hop_has_both_ids() -> None:
    """At `debug`: the stage, what came in and went out, which attempt, how long."""
    due = EPOCH + 5
    found = lines(
        as_json("debug"),
        hops(
            ("intake", asked(), Effects(emit=(requested(),))),
            ("generate", requested(attempt=2, retry=1), Effects(emit=(responded(),))),
            ("retry", failed(), Effects(defer=(Deferred(requested(), due),))),
        ),
    )
    assert [line["stage"] for line in found] == ["intake", "generate", "retry"]
    assert {(line["trace_id"], line["message_id"], line["ms"]) for line in found} == {("t1", "m1", 12.5)}
    assert found[1]["emitted"] == ["llm_response"]
    assert (found[1]["attempt"], found[1]["retry"], found[2]["due"]) == (2, 1, due)


def test_outcomes_are_told_without_hops() -> None:
    answer = validated(created_at=EPOCH - 2, terms=Terms(tenant="acme"))
    letter = dead("m2", created_at=EPOCH)
    found = lines(
        as_json("info"),
        hops(("persist", answer, Effects(record=(answer,))), ("persist", letter, Effects(record=(letter,)))),
    )
    assert [line["message"] for line in found] == ["outcome", "outcome"]
    assert (found[0]["outcome"], found[0]["source"], found[0]["seconds"]) == ("accepted", "model", 2.0)
    assert found[0]["tenant"] == "acme"
    assert (found[1]["outcome"], found[1]["kind"], found[1]["message_id"]) == ("failed", "fatal", "m2")


def test_no_text_of_a_question_or_an_answer_is_logged() -> None:
    events = (asked(), requested(), responded(), validated())
    found = lines(
        as_json("debug"), hops(*(("persist", event, Effects(emit=events, record=events)) for event in events))
    )
    text = json.dumps(found)
    assert "capital of France" not in text
    assert "an answer" not in text
    assert "Paris" not in text


def test_a_level_leaves_out_what_is_below_it() -> None:
    answer = validated()
    assert lines(as_json("warning"), hops(("persist", answer, Effects(record=(answer,))))) == []


def test_no_secret_gets_out() -> None:
    """Not in what is said, not in a traceback, not where JSON writes it in another way."""
    odd = 'p"ass\\wörd-of-kafka'
    settings = as_json(
        openai_api_key=KEY,
        api_keys=f"acme:{KEY[::-1]}",
        store="mongodb://tamiz:pass-of-mongo@host/db",
        kafka={"sasl.password": odd},
    )

    def work(say: Say) -> None:
        say(f"{KEY} {KEY[::-1]} pass-of-mongo {odd}")
        try:
            int(odd + KEY)
        except ValueError:
            logging.getLogger("somebody.else").exception("it failed")

    found = lines(settings, work)
    text = json.dumps(found, ensure_ascii=False)
    assert len(found) == 2
    assert "ValueError" in found[1]["error"]
    for secret in (KEY, KEY[::-1], "pass-of-mongo", odd, json.dumps(odd, ensure_ascii=False)[1:-1]):
        assert secret not in text


def test_an_error_that_ends_it_is_a_line_too() -> None:
    """Its exit code stays."""
    stream = io.StringIO()
    with pytest.raises(click.exceptions.Exit) as ended, logging_as(as_json(), stream):
        raise UsageError("no bus given")
    assert ended.value.exit_code == 2
    line = json.loads(stream.getvalue())
    assert (line["level"], line["message"]) == ("error", "no bus given")


def test_as_text_only_what_is_wrong_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """What is said stands there as ever; requests and outcomes do not."""
    stream = io.StringIO()
    with logging_as(Settings(), stream) as say:
        say("at work")
        assert LoggedHops.wanted(ManualClock()) is None
        logging.getLogger("tamiz.http").info("request")
        logging.getLogger("tamiz.http").error("a request failed")
    assert capsys.readouterr().err == "tamiz: at work\n"
    assert stream.getvalue() == "tamiz: a request failed\n"


def test_afterwards_logging_is_as_before() -> None:
    root, own = logging.getLogger(), logging.getLogger("tamiz")
    before = [*root.handlers], root.level, own.level
    lines(as_json("debug"), lambda say: say("something"))
    assert ([*root.handlers], root.level, own.level) == before
