import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamiz.chat import TEXT_ALONE, only_text
from tamiz.http.openai.names import Names
from tamiz.http.openai.operations import OPERATIONS
from tamiz.http.openai.request import DEEPEST, Gate, Known, Request, read
from tamiz.http.problems import Problem

_NAMES = Names(("openai:gpt-4o-mini", "ollama:llama3.2"))
_SAID: Any = [{"role": "user", "content": "Why?"}]


def taken(names: Names = _NAMES, **body: Any) -> Request:
    return read(json.dumps({"model": "tamiz", "messages": _SAID, **body}).encode(), names)


def refused(names: Names = _NAMES, **body: Any) -> Problem:
    with pytest.raises(Problem) as problem:
        taken(names, **body)
    assert problem.value.status == 400 or "model" in body
    return problem.value


def test_what_is_the_models_goes_to_it_whole() -> None:
    request = taken(top_k=3, seed=1, stream=True, tamiz={"reference": "R"}, messages=[*_SAID, *_SAID])
    assert json.loads(request.chat) == {"messages": [*_SAID, *_SAID], "seed": 1, "top_k": 3}
    assert (request.title, request.stream, request.gate.reference) == ("Why?", True, "R")


def test_what_says_who_asks_makes_no_other_request() -> None:
    plain, labelled = taken(seed=1), taken(seed=1, user="u", metadata={"a": "b"})
    assert plain.identity == labelled.identity == plain.chat
    assert json.loads(labelled.chat)["user"] == "u"
    assert taken(seed=2).identity != plain.identity


def test_a_chat_without_a_text_has_a_title_all_the_same() -> None:
    picture = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}
    assert taken(messages=[picture]).title


def test_without_a_gate_the_services_own_holds() -> None:
    assert taken().gate == taken(tamiz=None).gate == taken(tamiz={}).gate == Gate()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"model": None}, "model"),
        ({"model": 3}, "model"),
        ({"model": "gpt-9"}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": {"role": "user"}}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": ["Why?"]}, "messages[0]"),
        ({"messages": [*_SAID, {"content": "Why?"}]}, "messages[1].role"),
        ({"messages": [{"role": 1, "content": "Why?"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["Why?"]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"text": "Why?"}]}]}, "messages[0].content[0].type"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"n": True}, "n"),
        ({"n": 1.5}, "n"),
        ({"n": 2, "tamiz": {"reference": "R"}}, "n"),
        ({"n": 2, "tamiz": {"threshold": 0.5}}, "n"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"seed": "x"}, "seed"),
        ({"user": 5}, "user"),
        ({"stop": 5}, "stop"),
        ({"stop": ["x", 5]}, "stop[1]"),
        ({"tools": {"type": "function"}}, "tools"),
        ({"response_format": "json"}, "response_format"),
        ({"logit_bias": {"50256": "never"}}, "logit_bias[...]"),
        ({"logprobs": 1}, "logprobs"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": 1}, "stream_options"),
        ({"stream": True, "stream_options": {"speed": 1}}, "stream_options.speed"),
        ({"stream": True, "stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
        ({"stream": True, "stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
        ({"tamiz": 3}, "tamiz"),
        ({"tamiz": {"refrence": "R"}}, "tamiz.refrence"),
        ({"tamiz": {"reference": "R\0"}}, "tamiz.reference"),
        ({"tamiz": {"reference": 8}}, "tamiz.reference"),
        ({"tamiz": {"reference": [8]}}, "tamiz.reference[0]"),
        ({"tamiz": {"threshold": 1.5}}, "tamiz.threshold"),
        ({"tamiz": {"threshold": "high"}}, "tamiz.threshold"),
        ({"tamiz": {"on_exhausted": "shrug"}}, "tamiz.on_exhausted"),
        ({"tamiz": {"wait": 0}}, "tamiz.wait"),
        ({"tamiz": {"wait": 601}}, "tamiz.wait"),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], field: str) -> None:
    problem = refused(**body)
    assert problem.field == field
    assert field.partition("[")[0].rpartition(".")[2] in problem.detail


def test_an_unknown_field_of_the_gate_is_named() -> None:
    assert "refrence" in refused(tamiz={"refrence": "R"}).detail


def test_the_value_and_what_it_must_be_are_told() -> None:
    assert refused(n=129).detail == "n is 129; it must be a whole number from 1 to 128"
    assert refused(tamiz={"on_exhausted": "shrug"}).detail.endswith("'shrug'; it must be error or return")
    assert refused(tamiz={"wait": 601}).detail == "tamiz.wait is 601; it must be a number above 0 and up to 600"


_NEUTRAL: list[dict[str, Any]] = [
    {"n": 1},
    {"n": None},
    {"stop": None},
    {"stop": []},
    {"tools": None},
    {"tools": [], "tool_choice": "none", "parallel_tool_calls": True},
    {"presence_penalty": 0, "frequency_penalty": 0.0},
    {"logit_bias": {}, "logprobs": False},
    {"response_format": {"type": "text"}},
    {"service_tier": "auto", "store": False},
    {"user": "u", "metadata": {"a": "b"}, "safety_identifier": "s", "prompt_cache_key": "k"},
    {"something_new": None},
    {"temperature": 0.5, "top_p": 1, "max_tokens": 5, "max_completion_tokens": 5, "seed": 7},
    {"messages": [*_SAID, {"role": "assistant", "content": None}, *_SAID]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "Why?"}]}]},
]


@pytest.mark.parametrize("model", ["simulated:", "local:m"])
@pytest.mark.parametrize("body", _NEUTRAL, ids=str)
def test_a_model_of_text_alone_takes_what_asks_for_nothing_more(model: str, body: dict[str, Any]) -> None:
    request = taken(Names((model,)), **body)
    assert only_text(request.chat, model, TEXT_ALONE[model.partition(":")[0]])["messages"]


_MORE: list[tuple[dict[str, Any], str]] = [
    ({"n": 2}, "n"),
    ({"tools": [{"type": "function"}]}, "tools"),
    ({"response_format": {"type": "json_object"}}, "response_format"),
    ({"presence_penalty": 0.5}, "presence_penalty"),
    ({"logprobs": True}, "logprobs"),
    ({"something_new": 1}, "something_new"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
    ({"messages": [*_SAID, {"role": "assistant", "tool_calls": [{"id": "1"}]}]}, "messages[1].tool_calls"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"max_completion_tokens": 0}, "max_completion_tokens"),
    ({"temperature": -1}, "temperature"),
    ({"top_p": 2}, "top_p"),
]


@pytest.mark.parametrize(("body", "param"), _MORE, ids=str)
def test_where_models_answer_with_text_alone_more_is_refused_before_it_is_asked(
    body: dict[str, Any], param: str
) -> None:
    """By name; a model's server is left to say so itself."""
    names = Names(("simulated:", "local:m"))
    assert refused(names, **body).field == param
    assert taken(**body).chat


def test_what_one_of_the_models_does_not_take_is_refused_unless_another_is_named() -> None:
    """Whose turn it would be is not known yet, and nothing that is taken in fails for that."""
    names = Names(("simulated:", "local:m"))
    assert refused(names, stop=["."]).field == "stop"
    assert refused(names, model="simulated", stop=["."]).field == "stop"
    assert taken(names, model="m", stop=["."]).chat


@pytest.mark.parametrize("models", [("simulated:", "openai:gpt-4o"), ("openai:gpt-4o", "local:/models/simulated.gguf")])
def test_beside_a_server_too_and_the_server_is_told_of(models: tuple[str, ...]) -> None:
    names = Names(models)
    problem = refused(names, response_format={"type": "json_object"})
    assert problem.field == "response_format"
    assert problem.detail == (
        "simulated answers with text alone and does not take response_format: leave it out, or name a model that may: "
        "gpt-4o"
    )
    assert taken(names, model="gpt-4o", response_format={"type": "json_object"}).only == "openai:gpt-4o"
    assert taken(names, n=1).only is None


def test_a_nul_in_what_is_said_stays_with_the_model() -> None:
    """The title stands in files, which take none."""
    request = taken(messages=[{"role": "user", "content": "a\0b"}])
    assert request.title == "a\ufffdb"
    assert json.loads(request.chat)["messages"][0]["content"] == "a\0b"


def test_the_document_has_the_parameters_that_are_checked() -> None:
    (operation,) = OPERATIONS.values()
    schema = operation["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"].keys() == set(Known.__struct_fields__)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"3", b"null", b'"x"', b"\xff\xfe", b'{"model": "\\ud800"}', b'{"model": NaN}', b'{"n": 1e999}'],
)
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(Problem) as problem:
        read(data, _NAMES)
    assert problem.value.status == 400


@pytest.mark.parametrize("depth", [DEEPEST + 1, 100_000])
@pytest.mark.parametrize("pair", ["[]", ['{"a":', "}"]])
def test_deep_nesting_is_refused(depth: int, pair: str | list[str]) -> None:
    """However deep: nothing that reads it later runs out of stack."""
    body = f'{{"model":"tamiz","x":{pair[0] * depth}{"1" if len(pair[1]) else ""}{pair[1] * depth}}}'
    with pytest.raises(Problem, match=r"nests|recursion"):
        read(body.encode(), _NAMES)


def test_many_lists_side_by_side_are_not_deep() -> None:
    texts = [{"role": "user", "content": [{"type": "text", "text": "[{" * 60 + '"\\'}]} for _ in range(100)]
    assert len(json.loads(taken(messages=texts).chat)["messages"]) == 100


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
_fields = st.sampled_from(["model", "messages", "n", "stream", "stream_options", "tamiz", "seed", "user", "x"])


@given(st.dictionaries(_fields, _json, max_size=5), st.booleans())
def test_any_body_is_taken_or_refused(body: dict[str, Any], sane: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    base: dict[str, Any] = {"model": "tamiz", "messages": _SAID} if sane else {}
    try:
        request = read(json.dumps({**base, **body}).encode(), _NAMES)
    except Problem as problem:
        assert problem.status in {400, 404}  # noqa: PT017 - either is right
    else:
        assert json.loads(request.chat)["messages"]


def test_names_are_those_of_the_servers() -> None:
    urls = ("openai+https://h/v1#org/m-1", "ollama:llama3.2:1b", "local:smollm2-135m", "simulated:?latency=1s")
    names = Names((*urls, "openai:gpt-4o", "openai+https://h/v1#org/m-1"))
    assert names.listed == ("tamiz", "org/m-1", "llama3.2:1b", "smollm2-135m", "simulated", "gpt-4o")
    assert names.only("tamiz") is None
    for url, name in zip((*urls, "openai:gpt-4o"), names.listed[1:], strict=True):
        assert names.only(name) == names.only(url) == url


def test_a_name_that_all_share_is_all_of_them() -> None:
    names = Names(("openai+http://a/v1#m", "openai+http://b/v1#m"))
    assert names.only("m") is None
    assert names.listed == ("tamiz", "m")


def test_a_name_that_some_share_is_refused_and_each_has_one_without_its_address() -> None:
    urls = ("openai+http://a/v1#m", "openai+http://b/v1#m", "openai:other")
    names = Names(urls)
    with pytest.raises(Problem, match="there is no model 'm'") as problem:
        names.only("m")
    assert "http" not in problem.value.detail
    _, one, two, other = names.listed
    assert (names.only(one), names.only(two), names.only(other)) == urls
    assert re.fullmatch("m@[0-9a-f]{6}", one)
    assert [names.only(url) for url in urls] == [*urls]
