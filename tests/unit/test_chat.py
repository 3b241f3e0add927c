"""What of a chat completion request goes to a model."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamiz.chat import TEXT_ALONE, as_text, asked, canonical, choices_of, for_model, only_text
from tamiz.errors import Failed, FailureKind

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1000, 1000)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=8,
)
USER = {"role": "user", "content": "Why?"}


def body(**more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "system", "content": "Be brief."}, USER], **more}


@given(st.dictionaries(st.sampled_from(["temperature", "tools", "n", "new_one"]), JSON))
def test_whatever_the_request_says_reaches_the_model(more: dict[str, Any]) -> None:
    """Nothing is dropped in silence, known or not; the model's name is the server's own."""
    sent = for_model(canonical(body(**more)), "other", "", {})
    assert sent == {"model": "other", "messages": body()["messages"], **more}


@given(st.permutations(["temperature", "tools", "seed", "messages"]))
def test_the_order_of_parameters_makes_no_other_request(order: list[str]) -> None:
    told = body(temperature=0, tools=[{"b": 1, "a": 2}], seed=3)
    again = {name: told[name] for name in order}
    assert canonical(again) == canonical({**told, "tools": [{"a": 2, "b": 1}]})


def test_what_a_front_answers_itself_is_not_the_model_s() -> None:
    chat = canonical(body(stream=True, stream_options={"include_usage": True}, tamiz={"reference": "secret"}))
    assert msgspec.json.decode(chat).keys() == {"messages"}
    assert "secret" not in chat


def test_sampling_is_added_only_where_the_request_does_not_say_it() -> None:
    sent = for_model(canonical(body(temperature=0)), "m", "", {"temperature": 0.7, "seed": 5})
    assert (sent["temperature"], sent["seed"]) == (0, 5)


def test_a_hint_follows_what_the_user_said() -> None:
    sent = for_model(canonical(body()), "m", "\n\n(Again.)", {})
    assert sent["messages"][-1] == {"role": "user", "content": "Why?\n\n(Again.)"}
    assert sent["messages"][:-1] == body()["messages"][:-1]


@pytest.mark.parametrize(
    "last",
    [
        {"role": "tool", "tool_call_id": "1", "content": "4"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]},
    ],
)
def test_a_hint_behind_anything_else_is_a_message_of_its_own(last: dict[str, Any]) -> None:
    sent = for_model(canonical({"messages": [USER, last]}), "m", "\n\n(Again.)", {})
    assert sent["messages"] == [USER, last, {"role": "user", "content": "(Again.)"}]


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([USER, {"role": "assistant", "content": "So."}], "Why?"),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}], "a\nb"),
        ([{"role": "system", "content": "only this"}], "only this"),
        ([{"role": "user", "content": None}], ""),
        ([], ""),
    ],
)
def test_what_is_asked_is_what_the_user_said_last(messages: list[Any], said: str) -> None:
    assert asked({"messages": messages}) == said


@given(JSON)
def test_any_content_has_a_text(content: Any) -> None:
    """Or an empty one; rubbish raises nothing."""
    assert isinstance(as_text(content), str)


TAKES = TEXT_ALONE["local"]


@pytest.mark.parametrize("name", ["tools", "n", "response_format", "something_new"])
def test_a_model_of_text_alone_refuses_the_rest_by_name(name: str) -> None:
    with pytest.raises(Failed, match=name) as failed:
        only_text(canonical(body(**{name: 2})), "local:m", TAKES)
    assert failed.value.kind is FailureKind.INVALID


def test_a_model_of_text_alone_refuses_pictures() -> None:
    picture = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}
    with pytest.raises(Failed, match=r"does not take messages\[0\].content"):
        only_text(canonical({"messages": [picture]}), "local:m", TAKES)


def test_a_model_of_text_alone_takes_texts() -> None:
    told = body(temperature=1, max_tokens=5)
    assert only_text(canonical(told), "local:m", TAKES) == {name: told[name] for name in told if name != "model"}


def test_what_says_nothing_is_left_out() -> None:
    told = body(n=1, temperature=None, tools=[], response_format={"type": "text"}, seed=3, user="u")
    told["messages"].append({"role": "assistant", "content": None, "refusal": None})
    plain = only_text(canonical(told), "local:m", TAKES)
    assert plain == {"messages": [*body()["messages"], {"role": "assistant", "content": ""}], "seed": 3}


def test_choices_say_the_text() -> None:
    (choice,) = msgspec.json.decode(choices_of("ñ\n"))
    assert choice["message"] == {"role": "assistant", "content": "ñ\n", "refusal": None}
    assert choice["finish_reason"] == "stop"
