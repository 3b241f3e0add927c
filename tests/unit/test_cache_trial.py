"""What another cache would have done for the last answers."""

import pytest

from tamiz.errors import UsageError
from tamiz.hosts.cache_trial import CacheTrial, cache_trial

KEYS = [(float(n), key) for n, key in enumerate("abcabcabd")]


@pytest.mark.parametrize(("size", "hits"), [(10, 5), (2, 0), (3, 5), (0, 0)])
def test_a_cache_has_what_it_had_room_for(size: int, hits: int) -> None:
    assert cache_trial(KEYS, "lru", size, None) == CacheTrial(9, hits)


def test_policies_differ() -> None:
    """The hot key stays where use counts, and goes in its turn where it does not."""
    keys = [(0.0, key) for key in "aabacadaea"]
    assert cache_trial(keys, "lfu", 2, None).hits == 5
    assert cache_trial(keys, "fifo", 2, None).hits < 5


def test_an_answer_that_was_too_old_is_no_hit() -> None:
    keys = [(0.0, "a"), (5.0, "a"), (20.0, "a")]
    assert cache_trial(keys, "lru", 9, 10.0).hits == 1


def test_a_policy_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="clock"):
        cache_trial(KEYS, "clock", 9, None)
