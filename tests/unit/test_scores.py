"""The counts behind the histogram, and what another threshold would have made of the last answers."""

from hypothesis import given
from hypothesis import strategies as st

from tamiz.hosts.scores import STEPS, Scores
from tamiz.policy import Policy

UNIT = st.floats(0, 1) | st.integers(0, STEPS).map(lambda step: step / STEPS)


@given(st.lists(st.tuples(st.none() | UNIT, st.booleans()), max_size=50), st.integers(0, STEPS))
def test_a_threshold_in_hundredths_splits_the_counts_as_the_policy_does(
    answers: list[tuple[float | None, bool]], step: int
) -> None:
    scores = Scores()
    for score, accepted in answers:
        scores.add(score, accepted=accepted)
    seen, policy = scores.seen(), Policy(threshold=step / STEPS)
    for counts, which in ((seen.accepted, True), (seen.refused, False)):
        passing = sum(policy.passes(score) for score, accepted in answers if score is not None and accepted is which)
        assert sum(counts[step:]) == passing
        assert sum(counts) == sum(score is not None and accepted is which for score, accepted in answers)
    assert seen.unscored == sum(score is None for score, _ in answers)


def test_only_the_last_two_thousand_count() -> None:
    scores = Scores()
    for n in range(5_000):
        scores.add(0.0 if n < 3_000 else 1.0, accepted=n >= 3_000)
    seen = scores.seen()
    assert (sum(seen.refused), sum(seen.accepted), seen.accepted[STEPS]) == (0, 2_000, 2_000)
