"""What is wrong with a body, whatever it holds."""

import json
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tamiz.http.fields import missing, of_query, reading, shown, unknown
from tamiz.http.problems import Problem


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    """An object within another."""

    name: Annotated[str, msgspec.Meta(min_length=2)]
    kind: Literal["a", "b"] = "a"


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    """A body with a field of each kind."""

    inner: Inner
    several: Annotated[list[Inner], msgspec.Meta(max_length=2)] = []
    weights: dict[str, float] = {}
    share: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    least: Annotated[int, msgspec.Meta(ge=3)] = 3
    either: str | list[int] | None = None
    flag: bool = False


FINE: dict[str, Any] = {"inner": {"name": "xy"}}


def problem(body: bytes) -> Problem:
    with pytest.raises(Problem) as raised:
        reading(Outer)(body)
    return raised.value


@pytest.mark.parametrize(
    ("more", "field", "detail"),
    [
        ({"inner": {}}, "inner.name", "inner.name is missing; it must be a text of at least 2 characters"),
        (
            {"inner": {"name": "x"}},
            "inner.name",
            "inner.name is the text 'x'; it must be a text of at least 2 characters",
        ),
        ({"inner": {"name": "xy", "kid": "a"}}, "inner.kid", "inner.kid is not known; did you mean kind?"),
        ({"inner": {"name": "xy", "?": 1}}, "inner.?", "inner.? is not known; there is name and kind"),
        ({"inner": {"name": "xy", "kind": "c"}}, "inner.kind", "inner.kind is the text 'c'; it must be a or b"),
        ({"inner": None}, "inner", "inner is null; it must be an object with name and kind"),
        ({"several": [FINE["inner"], 1]}, "several[1]", "several[1] is 1; it must be an object with name and kind"),
        (
            {"several": [{"name": 5}]},
            "several[0].name",
            "several[0].name is 5; it must be a text of at least 2 characters",
        ),
        ({"several": [FINE["inner"]] * 3}, "several", "several is a list of 3; it must be a list of at most 2"),
        ({"weights": {"x": "y"}}, "weights[...]", "weights[...] is wrong; it must be a number"),
        ({"share": 0}, "share", "share is 0; it must be a number above 0 and up to 1"),
        ({"share": "0.5"}, "share", "share is the text '0.5'; it must be a number above 0 and up to 1"),
        ({"least": 2}, "least", "least is 2; it must be a whole number of at least 3"),
        ({"least": 3.5}, "least", "least is 3.5; it must be a whole number of at least 3"),
        ({"either": {}}, "either", "either is an object; it must be a text or a list"),
        ({"either": ["x"]}, "either[0]", "either[0] is the text 'x'; it must be a whole number"),
        ({"flag": 1}, "flag", "flag is 1; it must be true or false"),
    ],
)
def test_the_field_its_value_and_what_it_must_be_are_told(more: dict[str, Any], field: str, detail: str) -> None:
    found = problem(json.dumps({**FINE, **more}).encode())
    assert (found.status, found.field, found.detail) == (400, field, detail)


def test_what_is_right_is_read() -> None:
    assert reading(Outer)(b'{"inner": {"name": "xy"}, "share": 1}') == Outer(Inner("xy"), share=1.0)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*Outer.__struct_fields__, "name", "kind", "x` - at `$.inner", "", "$"]), inner
        )
    ),
    max_leaves=8,
)


@given(json_values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=20))
@example(b'{"x` - at `$.inner.name": 1}')
@example(b'{"inner": {"x` - at `$.several[9].": 1}}')
@example(b'{"": 1}')
@example(b'{"least": ' + b"9" * 5000 + b"}")
def test_any_body_is_read_or_refused(body: bytes) -> None:
    """And never with anything but a word of what is wrong."""
    try:
        reading(Outer)(body)
    except Problem as found:
        assert (found.status, bool(found.field), ";" in found.detail) == (400, True, True)  # noqa: PT017 - either is right


def test_a_parameter_of_a_url_is_told_as_it_was_given() -> None:
    assert of_query("n", ["1", "many"], int).detail == "n is '1'; it must be a whole number"
    assert missing("n", int).detail == "n is missing; it must be a whole number"
    assert unknown("nn", ["n"]).detail == "nn is not known; did you mean n?"
    assert unknown("x", []).detail == "x is not known; there is none that it takes"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ("x" * 41, f"the text '{'x' * 40}'… of 41 characters"),
        ([1] * 2000, "a list of 2,000"),
        ({}, "an object"),
    ],
)
def test_a_value_is_shown_in_a_few_words(value: object, text: str) -> None:
    assert shown(value) == text
