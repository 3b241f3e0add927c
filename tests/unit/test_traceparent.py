import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamiz.identity import message_id, trace_of
from tamiz.telemetry.traceparent import Traceparent, parse

DIGITS = "0123456789abcdef"
ABOVE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def digits(count: int) -> st.SearchStrategy[str]:
    return st.text(DIGITS, min_size=count, max_size=count).filter(lambda text: int(text, 16) > 0)


@given(st.builds(Traceparent, digits(32), digits(16), st.booleans()))
def test_what_is_written_is_read(span: Traceparent) -> None:
    assert parse(str(span)) == span


@given(st.text(), st.text("-" + DIGITS))
def test_any_text_is_read_or_is_none(any_text: str, near: str) -> None:
    for text in (any_text, near):
        assert parse(text) is None or parse(text) == parse(str(parse(text)))


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        ABOVE[:-1],
        ABOVE.upper(),
        ABOVE + "-and-more",  # version 00 has no more
        "ff" + ABOVE[2:],
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
        " " + ABOVE,
        ABOVE + "\n",
    ],
)
def test_what_the_standard_forbids_is_none(text: str | None) -> None:
    assert parse(text) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert parse("01" + ABOVE[2:] + "-and-more") == parse(ABOVE)


def test_flags_that_are_not_known_are_let_pass() -> None:
    assert parse(ABOVE[:-2] + "fe") == Traceparent(ABOVE[3:35], ABOVE[36:52], sampled=False)
    assert parse(ABOVE[:-2] + "ff") == parse(ABOVE)


@given(st.lists(st.tuples(st.integers(0, 16**10 - 1), st.text(max_size=5)), unique=True, max_size=50))
def test_traces_have_ids_of_their_own(rows: list[tuple[int, str]]) -> None:
    """Each of 32 digits, told apart like the submissions that they are of."""
    submissions = {message_id("a1b2c3d4e5f6", position, text) for position, text in rows}
    traces = {trace_of(submission) for submission in submissions}
    assert len(traces) == len(submissions)
    assert all(len(trace) == 32 and set(trace) <= set(DIGITS) for trace in traces)


def test_samplers_see_random_digits_first() -> None:
    """The rows of one run are spread over all values of a trace's lower half, by which samplers go."""
    lower = [int(trace_of(message_id("a1b2c3d4e5f6", n, str(n)))[16:], 16) for n in range(1000)]
    share = sum(value < 2**64 // 10 for value in lower) / 1000
    assert 0.05 < share < 0.16
