import re

from hypothesis import given
from hypothesis import strategies as st

from strategies import TEXTS
from tamiz.identity import cache_key, digest, message_id

PARTS = st.lists(st.none() | TEXTS | st.integers() | st.floats(allow_nan=False, allow_infinity=False), max_size=5)
SOME = st.none() | TEXTS


def distinct(values: list[object]) -> list[tuple[type, object]]:
    return [(type(value), repr(value)) for value in values]


@given(PARTS, PARTS)
def test_a_digest_tells_all_parts_apart(one: list[str | float | None], other: list[str | float | None]) -> None:
    """Equal parts give equal digests, and different ones different ones: no part runs into the next."""
    assert (digest(*one) == digest(*other)) is (distinct([*one]) == distinct([*other]))


def test_parts_do_not_run_together() -> None:
    parts: list[tuple[str | float | None, ...]] = [
        (),
        ("",),
        ("", ""),
        (None,),
        ("None",),
        ("null",),
        ("ab", "c"),
        ("a", "bc"),
        ("a,b",),
        ("a", "b"),
        (1,),
        ("1",),
    ]
    assert len({digest(*one) for one in parts}) == len(parts)


def test_a_digest_stays() -> None:
    """It is kept in files: another release has to give the same."""
    assert digest("a", None, 1.5, size=4) == "9f092d4e"
    assert cache_key("Why?", "", None, "m") == "716b6fe25f206a616ccbbeaf6aaf002e"
    assert message_id(digest("s"), 7, "1", "Why?", "", None) == "5cc6ce19af870000000007fd106c4c53"


@given(TEXTS, TEXTS, SOME, TEXTS)
def test_a_cache_key_is_32_digits(title: str, content: str, reference: str | None, how: str) -> None:
    assert re.fullmatch("[0-9a-f]{32}", cache_key(title, content, reference, how))
    assert cache_key(title, content, reference, how) == cache_key(title, content, reference, how)


def test_identical_is_the_same_text_reference_and_way_of_asking() -> None:
    """Also no reference and an empty one are two things, and title and content do not run together."""
    keys = {
        cache_key(*question)
        for question in [
            ("t", "c", "r", "how"),
            ("T", "c", "r", "how"),
            ("tc", "", "r", "how"),
            ("t", "c", "R", "how"),
            ("t", "c", None, "how"),
            ("t", "c", "", "how"),
            ("t", "c", "r", "other"),
        ]
    }
    assert len(keys) == 7


@given(TEXTS, st.lists(st.tuples(st.integers(0, 16**10 - 1), st.lists(SOME, max_size=4)), min_size=2, max_size=5))
def test_message_ids_sort_by_position(settings: str, rows: list[tuple[int, list[str | None]]]) -> None:
    """Up to a trillion rows, whatever is in them."""
    settings = digest(settings)
    ids = [message_id(settings, position, *content) for position, content in rows]
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)
    positions = [int(one[12:22], 16) for one in sorted(ids)]
    assert positions == sorted(position for position, _ in rows)


@given(st.integers(0, 10**9), st.lists(SOME, max_size=4))
def test_a_repeated_run_gives_the_same_ids(position: int, content: list[str | None]) -> None:
    """And another row, place or setting another one."""
    settings = digest("settings")
    one = message_id(settings, position, *content)
    assert one == message_id(settings, position, *content)
    assert one != message_id(settings, position + 1, *content)
    assert one != message_id(settings, position, *content, "more")
    assert one != message_id(digest("others"), position, *content)
