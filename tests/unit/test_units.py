import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamiz.errors import UsageError
from tamiz.units import seconds

UNITS = {"": 1, "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


@given(st.integers(0, 10**6), st.integers(0, 999), st.sampled_from(sorted(UNITS)), st.sampled_from(["", " ", "  "]))
def test_a_number_and_its_unit(whole: int, thousandths: int, unit: str, blank: str) -> None:
    """Any decimal number with any unit, or none for seconds, with blanks around it."""
    number = f"{whole}.{thousandths:03}"
    assert seconds(f"{blank}{number}{blank}{unit}{blank}", "x") == pytest.approx(float(number) * UNITS[unit])


@pytest.mark.parametrize(
    ("text", "value"), [("50ms", 0.05), ("2s", 2), ("1.5m", 90), ("1h", 3600), ("0.5", 0.5), (".5s", 0.5), ("2.s", 2)]
)
def test_as_people_write_it(text: str, value: float) -> None:
    assert seconds(text, "x") == pytest.approx(value)


@pytest.mark.parametrize(
    "text", ["", " ", "-1s", "+1s", "1,5s", "1e3", "nan", "inf", "s", ".", "1 x", "1S", "1s 2s", "1h30m", "٣s"]
)
def test_anything_else_is_refused(text: str) -> None:
    """The error names what it was for, the text, and how to write it."""
    with pytest.raises(UsageError) as refusal:
        seconds(text, "--timeout")
    assert str(refusal.value).startswith(f"--timeout: {text!r} is not a duration")
    assert "50ms" in str(refusal.value)


@given(st.text())
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    """It never gives less than nothing, and raises nothing else."""
    try:
        value = seconds(text, "x")
    except UsageError:
        return
    assert value >= 0
    assert not math.isnan(value)
