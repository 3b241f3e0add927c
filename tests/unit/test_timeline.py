from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tamiz.reports.timeline import BINS, Timeline

EVENTS = st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1e7)), max_size=200)


@given(EVENTS, st.integers(1, 50))
def test_every_event_is_in_its_bin_however_long_it_took(events: list[tuple[str, float]], chunk: int) -> None:
    timeline = Timeline()
    for start in range(0, len(events), chunk):
        for kind in "abc":
            timeline.add(kind, np.array([at for each, at in events[start : start + chunk] if each == kind]))
    assert len(timeline.starts()) <= BINS
    for kind in timeline.kinds():
        wanted = Counter(int(at / timeline.width) for each, at in events if each == kind)
        found = timeline.counts(kind)
        assert {place: int(number) for place, number in enumerate(found) if number} == wanted


def test_short_runs_have_narrow_bins() -> None:
    timeline = Timeline()
    timeline.add("a", np.array([0.0, 1.0]))
    assert timeline.width < 0.1
    timeline.add("a", np.array([3600.0]))
    assert 3600 / BINS <= timeline.width <= 7200 / BINS
