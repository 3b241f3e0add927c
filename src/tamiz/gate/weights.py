"""What the heads weigh: a data file that ships with tamiz and the script `bench/gate/train.py` makes."""

from functools import cache
from pathlib import Path

import msgspec

__all__ = ["Head", "Rule", "Sides", "Weights", "load_weights"]


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A logistic regression of one kind of failure against good answers, each of them half of the cases."""

    share: float
    """How often this failure is met, beside good answers, in the one rule."""
    bias: float
    weights: dict[str, float]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The heads, and what their word together is worth: points (x, share of good answers), x ascending."""

    heads: dict[str, Head]
    calibration: tuple[tuple[float, float], ...]


class Sides(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rules beside a reference in sentences, beside one of a few words, and without a reference."""

    beside: Rule
    short: Rule
    alone: Rule


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rules without word vectors, and those with them."""

    plain: Sides
    vectors: Sides


@cache
def load_weights() -> Weights:
    """Read the data file, once a process."""
    return msgspec.json.decode(Path(__file__).with_name("weights.json").read_bytes(), type=Weights)
