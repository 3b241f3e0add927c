"""The cells of an experiment, and what was measured in one."""

from collections.abc import Iterator
from itertools import product

import msgspec

from tamiz.identity import digest
from tamiz.lab.preset import Preset, Value

__all__ = ["Cell", "Columns", "Measured", "cells_of"]

Columns = dict[str, list[Value]]
"""A table, column by column; all columns are of one length."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """A point of a grid, to be measured once."""

    number: int
    repetition: int
    """From 0."""
    seed: int
    axes: dict[str, Value]
    """Where in the grid it is; `None` on an axis that its grid does not have."""
    parameters: dict[str, Value]
    """All that it is run with."""

    @property
    def name(self) -> str:
        """A name for its file, which no cell of another experiment has."""
        told = msgspec.json.encode([self.seed, sorted(self.parameters.items())]).decode()
        return f"{self.number:04d}-{self.repetition:03d}-{digest(told, size=6)}"


class Measured(msgspec.Struct, kw_only=True):
    """What a cell gave."""

    metrics: dict[str, Value]
    questions: Columns = {}
    """Of each question: when it was due and sent, when it ended and how; empty where there are none."""
    series: Columns = {}
    """Of moments: what had arrived and ended, and what was under way."""


def cells_of(preset: Preset) -> Iterator[Cell]:
    """Give all cells, a repetition of all before the next one: what is there after half of the time has all of them."""
    points: list[tuple[dict[str, Value], dict[str, Value]]] = []
    axes = preset.axes
    for grid in preset.grid:
        for values in product(*grid.axes.values()):
            at = dict(zip(grid.axes, values, strict=True))
            # a value of a choice is a name for the parameters that take its place
            named = {axis: value for axis, value in at.items() if axis in preset.choices}
            parameters = {**preset.parameters, **grid.parameters}
            parameters |= {axis: value for axis, value in at.items() if axis not in named}
            for axis, value in named.items():
                parameters |= preset.choices[axis][str(value)]
            points.append(({axis: named.get(axis, parameters.get(axis)) for axis in axes}, parameters))
    for repetition in range(preset.repetitions):
        for number, (where, parameters) in enumerate(points):
            yield Cell(
                number=number,
                repetition=repetition,
                seed=preset.seed + repetition,
                axes=where,
                parameters=parameters,
            )
