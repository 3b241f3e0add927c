import ast
import gzip
import inspect
import json
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator  # type: ignore[import-untyped]  # it has no types

from generated_docs import TOPICS_PAGE, topics_page
from strategies import EVENTS
from tamiz.asyncapi import WRITTEN_BY, document
from tamiz.messages import READ_BY, TOPIC_OF, Event, Topic, encode, topic_of

OFFICIAL: Final = Path(__file__).parents[1] / "data" / "asyncapi-3.0.0.json.gz"
"""The JSON Schema of the AsyncAPI Initiative (Apache-2.0), of their package of specifications, without white space."""

DOCUMENT: Final[dict[str, Any]] = document()
STAGES: Final = ("intake", "generate", "retry", "judge", "persist")


def test_the_page_of_topics_is_current() -> None:
    assert TOPICS_PAGE.read_text(encoding="utf-8") == topics_page(), (
        "renew it: .venv/bin/python tests/generated_docs.py"
    )


def test_it_is_an_asyncapi_document() -> None:
    """The official schema finds nothing wrong with it, and does with one that is spoilt."""
    validator = Draft7Validator(json.loads(gzip.decompress(OFFICIAL.read_bytes())))
    written = json.loads(topics_page())
    assert [error.message for error in validator.iter_errors(written)] == []
    written["channels"]["questions_in"]["adress"] = "questions_in"
    assert not validator.is_valid(written)


def test_every_reference_leads_somewhere() -> None:
    found = list(_references(DOCUMENT))
    assert found
    for reference in found:
        place: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            assert step in place, reference
            place = place[step]


@pytest.mark.parametrize("topic", Topic)
def test_each_topic_has_its_message_key_readers_and_writers(topic: Topic) -> None:
    channel = DOCUMENT["channels"][topic]
    assert channel["address"] == topic
    (name,) = channel["messages"]
    (message,) = (message for message, its in TOPIC_OF.items() if its is topic)
    assert name == message.__name__
    told = DOCUMENT["components"]["messages"][name]
    assert told["payload"] == {"$ref": f"#/components/schemas/{name}"}
    assert "cache_key" in told["bindings"]["kafka"]["key"]["description"]
    assert _who(topic, "receive") == {stage for stage, topics in READ_BY.items() if topic in topics}
    assert _who(topic, "send") == set(WRITTEN_BY[topic])


def test_nothing_else_is_in_it() -> None:
    assert set(DOCUMENT["channels"]) == set(Topic)
    assert set(DOCUMENT["components"]["messages"]) == {message.__name__ for message in TOPIC_OF}
    operations = [(each["action"], each["channel"]["$ref"]) for each in DOCUMENT["operations"].values()]
    assert {action for action, _ in operations} == {"receive", "send"}
    assert {channel for _, channel in operations} == {f"#/channels/{topic}" for topic in Topic}


@pytest.mark.parametrize("stage", STAGES)
def test_writers_are_the_stages_that_make_the_messages(stage: str) -> None:
    """What a stage's own module makes is what the document says that it writes; dead letters all of them may write."""
    tree = ast.parse(inspect.getsource(import_module(f"tamiz.stages.{stage}")))
    names = {each.func.id for each in ast.walk(tree) if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)}
    made = {topic for message, topic in TOPIC_OF.items() if message.__name__ in names}
    written = {topic for topic, writers in WRITTEN_BY.items() if stage in writers}
    put_back = {Topic.QUESTIONS_IN} if stage == "retry" else set()
    assert made | {Topic.DEAD_LETTERS} | put_back == written


@given(st.one_of(*EVENTS.values()))
def test_every_message_is_as_it_says(event: Event) -> None:
    name = type(event).__name__
    assert name in DOCUMENT["channels"][topic_of(event)]["messages"]
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    Draft7Validator(schema).validate(json.loads(encode(event)))


def test_a_message_that_lacks_its_question_is_not() -> None:
    schema = {"$ref": "#/components/schemas/QuestionAsked", "components": DOCUMENT["components"]}
    assert not Draft7Validator(schema).is_valid({"type": "question_asked", "message_id": "1"})


def test_fields_say_what_they_are() -> None:
    """What stands below a field in the code is its description, also where the field is inherited."""
    retry = DOCUMENT["components"]["schemas"]["LlmError"]["properties"]["retry"]
    assert "only retry raises it" in retry["description"]


def _who(topic: Topic, action: str) -> set[str]:
    return {
        tag["name"]
        for each in DOCUMENT["operations"].values()
        if each["action"] == action and each["channel"]["$ref"] == f"#/channels/{topic}"
        for tag in each["tags"]
    }


def _references(part: Any) -> Any:
    if isinstance(part, dict):
        for name, value in part.items():
            if name == "$ref":
                yield value
            else:
                yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)
