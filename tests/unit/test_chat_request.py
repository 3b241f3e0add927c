import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamiz.http.openai.names import Names
from tamiz.http.openai.request import DEEPEST, Gate, Request, read
from tamiz.http.problems import Problem

_NAMES = Names(("openai:gpt-4o-mini", "simulated:?quality=0.5"))
_SAID: Any = [{"role": "user", "content": "Why?"}]


def taken(**body: Any) -> Request:
    return read(json.dumps({"model": "tamiz", "messages": _SAID, **body}).encode(), _NAMES)


def refused(**body: Any) -> Problem:
    with pytest.raises(Problem) as problem:
        taken(**body)
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
        ({"messages": [{"role": "user", "content": [{"text": "Why?"}]}]}, "messages[0].content[0]"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"n": True}, "n"),
        ({"n": 1.5}, "n"),
        ({"n": 2, "tamiz": {"reference": "R"}}, "n"),
        ({"n": 2, "tamiz": {"threshold": 0.5}}, "n"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": 1}, "stream_options"),
        ({"stream": True, "stream_options": {"speed": 1}}, "stream_options.speed"),
        ({"stream": True, "stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
        ({"stream": True, "stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
        ({"tamiz": 3}, "tamiz"),
        ({"tamiz": {"refrence": "R"}}, "tamiz"),
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


def test_a_name_that_some_share_is_refused_and_their_addresses_listed() -> None:
    urls = ("openai+http://a/v1#m", "openai+http://b/v1#m", "openai:other")
    names = Names(urls)
    with pytest.raises(Problem, match="there is no model 'm'"):
        names.only("m")
    assert set(names.listed) == {"tamiz", "other", *urls[:2]}
