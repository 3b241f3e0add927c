import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tamiz.http.openai.answer import completion_of
from tamiz.http.openai.stream import chunks_of
from tamiz.messages import Scored, Source, Usage, ValidatedResponse


def outcome(choices: list[Any] | None, text: str = "Paris.", used: Usage | None = None) -> ValidatedResponse:
    answer = Scored(
        llm_answer=text,
        score=0.5,
        attempt=1,
        model="m",
        completion=None if choices is None else json.dumps(choices),
    )
    return ValidatedResponse(
        message_id="1" * 32, trace_id="1" * 32, question_id=None, title="Q", cache_key="k", created_at=1.0,
        accepted=True, answer=answer, source=Source.MODEL, attempts=1, leader="1" * 32, used=used,
    )  # fmt: skip


def events_of(sent: bytes) -> list[Any]:
    """Give what the events of a stream say; the end marker must be there."""
    *events, done, rest = sent.decode().split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    assert all(event.startswith("data: ") and "\n" not in event for event in events)
    return [json.loads(event.removeprefix("data: ")) for event in events]


def put_together(events: list[Any]) -> list[Any]:
    """Do what clients do: add deltas up."""
    choices: dict[int, Any] = {}
    for each in (choice for event in events for choice in event["choices"]):
        made = choices.setdefault(each["index"], {"message": {}, "logprobs": None})
        message = made["message"]
        for name, value in each["delta"].items():
            if name == "tool_calls":
                calls = message.setdefault("tool_calls", {})
                for part in value:
                    call = calls.setdefault(part["index"], {"function": {"arguments": ""}})
                    function = part.get("function", {})
                    call["function"]["arguments"] += function.get("arguments", "")
                    call["function"].update({k: v for k, v in function.items() if k != "arguments"})
                    call.update({k: v for k, v in part.items() if k not in {"function", "index"}})
            elif isinstance(value, str) and name != "role":
                message[name] = message.get(name, "") + value
            else:
                message[name] = value
        made["logprobs"] = made["logprobs"] or each["logprobs"]
        made["finish_reason"] = each["finish_reason"]
    for made in choices.values():
        if "tool_calls" in made["message"]:
            made["message"]["tool_calls"] = [*made["message"]["tool_calls"].values()]
    return [{"index": index, **made} for index, made in sorted(choices.items())]


_calls = st.lists(
    st.builds(
        lambda name, text: {"id": f"call_{name}", "type": "function", "function": {"name": name, "arguments": text}},
        st.text(min_size=1, max_size=9),
        st.text(max_size=5000),
    ),
    min_size=1,
    max_size=3,
)
_messages = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": st.none() | st.text(max_size=7000)},
    optional={
        "refusal": st.text(min_size=1, max_size=9),
        "tool_calls": _calls,
        "reasoning_content": st.text(min_size=1, max_size=9),
    },
)
_choices = st.lists(
    st.fixed_dictionaries(
        {
            "message": _messages,
            "logprobs": st.none() | st.just({"content": [{"token": "P", "logprob": -0.1}]}),
            "finish_reason": st.sampled_from(["stop", "length", "tool_calls"]),
        }
    ),
    min_size=1,
    max_size=3,
).map(lambda choices: [{"index": index, **choice} for index, choice in enumerate(choices)])


@given(_choices)
def test_a_stream_put_together_is_the_completion(choices: list[Any]) -> None:
    assert put_together(events_of(chunks_of(outcome(choices), 1.5, usage=False))) == choices


def test_usage_comes_last_and_where_it_is_wanted_alone() -> None:
    plain = events_of(chunks_of(outcome(None), 1.5, usage=False))
    assert all("usage" not in event for event in plain)
    *events, last = events_of(chunks_of(outcome(None, used=Usage(3, 4)), 1.5, usage=True))
    assert all(event["usage"] is None for event in events)
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 7)


def test_the_outcome_is_told_once_at_the_end() -> None:
    events = events_of(chunks_of(outcome(None), 1.5, usage=False))
    told = [event.get("tamiz") for event in events]
    assert told[:-1] == [None] * (len(events) - 1)
    assert told[-1]["score"] == 0.5


def test_an_answer_without_choices_of_a_server_has_one() -> None:
    made = json.loads(bytes(completion_of(outcome(None), 1.5).choices))
    assert [choice["message"]["content"] for choice in made] == ["Paris."]
