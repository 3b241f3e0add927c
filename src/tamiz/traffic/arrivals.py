"""When questions arrive: offsets from the start of a run, in seconds, ascending, without an end.

`rate` is the mean number of arrivals a second (over whole periods, where the rate changes). All are seeded: the same
arguments give the same offsets.

| Name | Arrivals |
|---|---|
| `poisson` | a Poisson process: gaps exponential with mean 1/rate |
| `uniform` | gaps uniform on [0, 2/rate) |
| `constant` | the k-th (from 0) at k/rate |
| `burst:on=1s,off=4s` | an interrupted Poisson process (Kuczura 1973): on and off periods exponential with these means; arrivals only while on, as a Poisson process of rate * (on + off) / on. Begins with an on period of mean on * on / (on + off): as short as it takes for the mean over a run to be the rate |
| `diurnal:period=1m,depth=0.8` | a Poisson process whose rate at t is rate * (1 - depth * cos(2 pi t / period)), by thinning (Lewis and Shedler 1979). Begins at its lowest |
| `trace:FILE` | a recorded one, see `trace.py`; `rate` has no say |
| `max` | no schedule: each as soon as the one before it is out |
"""  # noqa: E501 - a table's row is a line

import math
import random
from collections.abc import Iterator
from itertools import count, repeat
from typing import Final

from tamiz.errors import UsageError
from tamiz.traffic.spec import Parameters, parse_spec
from tamiz.traffic.trace import read_trace

__all__ = ["ARRIVALS", "UNPACED", "make_arrivals"]

ARRIVALS: Final = ("poisson", "uniform", "constant", "burst", "diurnal", "trace:FILE", "max")
UNPACED: Final = "max"
"""The process without a schedule; its offsets mean nothing."""


def make_arrivals(spec: str, rate: float, seed: int) -> Iterator[float]:
    """Give the offsets of a process by its name.

    Raises `UsageError` for a name or a parameter that does not exist, or a rate that is not above 0.
    """
    if spec.startswith("trace:"):
        return iter(read_trace(spec.removeprefix("trace:")))
    name, parameters = parse_spec(spec, "arrivals")
    if not (math.isfinite(rate) and rate > 0):
        raise UsageError(f"a rate of {rate:g} a second is none: give --rate above 0")
    rng = random.Random(f"arrivals {seed}")  # noqa: S311 - reproducible, not secret
    found = _make(name, parameters, rate, rng)
    parameters.done()
    return found


def _make(name: str, parameters: Parameters, rate: float, rng: random.Random) -> Iterator[float]:
    match name:
        case "poisson":
            return _poisson(rate, rng)
        case "uniform":
            return _uniform(rate, rng)
        case "constant":
            return (n / rate for n in count())
        case "burst":
            return _burst(rate, parameters.duration("on", 1.0), parameters.duration("off", 4.0), rng)
        case "diurnal":
            return _diurnal(rate, parameters.duration("period", 60.0), parameters.number("depth", 0.8, 0, 1), rng)
        case "max":
            return repeat(0.0)
        case _:
            raise UsageError(f"no arrivals {name!r}: choose one of {', '.join(ARRIVALS)}")


def _poisson(rate: float, rng: random.Random) -> Iterator[float]:
    at, draw, log = 0.0, rng.random, math.log
    while True:
        at -= log(1.0 - draw()) / rate  # as random.expovariate has it, without its call
        yield at


def _uniform(rate: float, rng: random.Random) -> Iterator[float]:
    at, draw, widest = 0.0, rng.random, 2.0 / rate
    while True:
        at += draw() * widest
        yield at


def _burst(rate: float, on: float, off: float, rng: random.Random) -> Iterator[float]:
    share = on / (on + off)
    within = rate / share
    begins, mean = 0.0, on * share
    while True:
        ends = begins + rng.expovariate(1 / mean)
        at = begins + rng.expovariate(within)
        while at < ends:
            yield at
            at += rng.expovariate(within)
        begins, mean = ends + rng.expovariate(1 / off), on


def _diurnal(rate: float, period: float, depth: float, rng: random.Random) -> Iterator[float]:
    highest, turn = rate * (1 + depth), 2 * math.pi / period
    at = 0.0
    while True:
        at += rng.expovariate(highest)
        if rng.random() * (1 + depth) < 1 - depth * math.cos(turn * at):
            yield at
