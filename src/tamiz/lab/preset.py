"""What an experiment is: a TOML file with parameters and grids, one of those that tamiz brings or a user's own."""

import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import msgspec

from tamiz.errors import UsageError

__all__ = ["PRESETS", "Grid", "Preset", "Value", "load_preset"]

PRESETS: Final = ("cache", "threshold", "arrivals", "retries", "scale", "latency")

Value = str | int | float | bool | None
"""Of a parameter; TOML has no null, so `none` stands for it."""


class Grid(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All combinations of some values: one cell each."""

    axes: dict[str, list[Value]] = {}
    parameters: dict[str, Value] = {}
    """Of all its cells, over those of the experiment."""


class Preset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An experiment."""

    name: str
    description: str
    repetitions: int = 3
    seed: int = 1
    """Of the first repetition; the next has the next one, in every cell, so that cells differ by their axes alone."""
    parameters: dict[str, Value] = {}
    choices: dict[str, dict[str, dict[str, Value]]] = {}
    """`[choices.AXIS.VALUE]`: the parameters that a value of an axis stands for."""
    grid: list[Grid] = []
    text: str = ""
    """The file as it was read."""

    @property
    def axes(self) -> dict[str, list[Value]]:
        """The axes of all grids together, with their values in order."""
        found: dict[str, list[Value]] = {}
        for grid in self.grid:
            fixed = {name: [value] for name, value in grid.parameters.items() if len(self.grid) > 1}
            for name, values in {**fixed, **grid.axes}.items():
                known = found.setdefault(name, [])
                known += [value for value in values if value not in known]
        return {name: values for name, values in found.items() if len(values) > 1 or name in self.grid[0].axes}


def load_preset(
    name: str, *, quick: bool = False, clustered: bool = False, given: Mapping[str, Value] | None = None
) -> Preset:
    """Read an experiment by its name or from a `.toml` file; `given` are parameters over those of the file.

    The tables `[quick]` and `[cluster]` of the file replace what they name, where they apply. Raises `UsageError` that
    names the file and what is wrong with it.
    """
    text = _text(name)
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name} is not TOML: {error}") from error
    for table, wanted in (("cluster", clustered), ("quick", quick)):
        over = found.pop(table, {})
        if wanted:
            found = _merged(found, over)
    try:
        preset = msgspec.convert({**found, "text": text}, Preset)
    except msgspec.ValidationError as error:
        raise UsageError(f"{name} is not an experiment: {error}") from error
    _check(preset, name)
    return _without_none(_with(preset, given or {}, name))


def _text(name: str) -> str:
    if name in PRESETS:
        return files("tamiz.lab").joinpath("presets", f"{name}.toml").read_text(encoding="utf-8")
    if not name.endswith(".toml"):
        raise UsageError(f"no experiment {name!r}: choose one of {', '.join(PRESETS)}, or give a .toml file")
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{name!r} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Put tables over tables, value by value; anything else replaces what was there."""
    found = dict(under)
    for name, value in over.items():
        both = isinstance(value, dict) and isinstance(found.get(name), dict)
        found[name] = _merged(found[name], value) if both else value
    return found


def _check(preset: Preset, name: str) -> None:
    if not preset.grid:
        raise UsageError(f"{name} has no [[grid]]: an experiment needs at least one")
    if preset.repetitions < 1:
        raise UsageError(f"{name}: repetitions = {preset.repetitions} is out of range: 1 or more")
    for grid in preset.grid:
        for axis, values in grid.axes.items():
            if not values:
                raise UsageError(f"{name}: the axis {axis} has no values")
            for n, value in enumerate(values):
                if value in values[:n]:
                    raise UsageError(f"{name}: the axis {axis} has {value!r} twice; to repeat it give repetitions = N")
            for value in values if axis in preset.choices else ():
                if str(value) not in preset.choices[axis]:
                    raise UsageError(f"{name}: {axis} = {value!r} has no table [choices.{axis}.{value}]")


def _with(preset: Preset, given: Mapping[str, Value], name: str) -> Preset:
    """Put parameters over those of the file, those of single grids included."""
    varied = {axis for grid in preset.grid for axis in grid.axes}
    varied |= {each for values in preset.choices.values() for parameters in values.values() for each in parameters}
    for each in given:
        if each in varied:
            raise UsageError(f"--set {each}: it differs from cell to cell in {name}; change it in a copy of the file")
    grids = [
        msgspec.structs.replace(
            grid, parameters={each: given.get(each, value) for each, value in grid.parameters.items()}
        )
        for grid in preset.grid
    ]
    return msgspec.structs.replace(preset, parameters={**preset.parameters, **given}, grid=grids)


def _without_none(preset: Preset) -> Preset:
    def read(value: Value) -> Value:
        return None if value == "none" else value

    def read_all(values: Sequence[Value]) -> list[Value]:
        return [read(value) for value in values]

    grids = [
        Grid(
            axes={name: values if name in preset.choices else read_all(values) for name, values in grid.axes.items()},
            parameters={name: read(value) for name, value in grid.parameters.items()},
        )
        for grid in preset.grid
    ]
    parameters = {name: read(value) for name, value in preset.parameters.items()}
    return msgspec.structs.replace(preset, grid=grids, parameters=parameters)
