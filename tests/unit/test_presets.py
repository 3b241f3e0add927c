"""What an experiment is: presets, grids and cells, before anything runs."""

import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamiz.errors import UsageError
from tamiz.lab.cells import cells_of
from tamiz.lab.parameters import read_parameters
from tamiz.lab.preset import PRESETS, Grid, Preset, load_preset
from tamiz.lab.simulator import makes_sense
from tamiz.settings import Settings

PLAIN = """
name = "mine"
description = "Something."
[parameters]
total = 10
threshold = 0.5
[[grid]]
[grid.axes]
attempts = [1, 2]
[quick]
repetitions = 1
[quick.parameters]
total = 5
[cluster.parameters]
workers = 2
"""


def file(folder: Path, text: str) -> str:
    (folder / "mine.toml").write_text(text, encoding="utf-8")
    return str(folder / "mine.toml")


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("clustered", [False, True])
def test_every_preset_can_be_run(name: str, quick: bool, clustered: bool) -> None:  # noqa: FBT001 - a variant
    """Each of its cells has parameters that are known and right; quick ones are fewer."""
    preset = load_preset(name, quick=quick, clustered=clustered)
    cells = [cell for cell in cells_of(preset) if makes_sense(cell)]
    for cell in cells:
        read_parameters(cell, Settings())
        assert set(cell.axes) == set(preset.axes)
    assert len({cell.name for cell in cells}) == len(cells)
    if quick:
        assert len(cells) < len([*cells_of(load_preset(name, clustered=clustered))])


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_says_what_it_is(name: str) -> None:
    """Its file begins with words for a reader, and shows how it is run."""
    text = files("tamiz.lab").joinpath("presets", f"{name}.toml").read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert f"tamiz experiment {name} --out" in text
    assert tomllib.loads(text)["name"] == name


def test_quick_and_cluster_replace_what_they_name(tmp_path: Path) -> None:
    path = file(tmp_path, PLAIN)
    usual, quick = load_preset(path), load_preset(path, quick=True)
    assert (usual.repetitions, usual.parameters) == (3, {"total": 10, "threshold": 0.5})
    assert (quick.repetitions, quick.parameters) == (1, {"total": 5, "threshold": 0.5})
    assert load_preset(path, clustered=True).parameters["workers"] == 2
    assert load_preset(path, quick=True, given={"total": 7}).parameters["total"] == 7
    assert usual.text == PLAIN


def test_a_value_of_an_axis_can_stand_for_several_parameters() -> None:
    preset = Preset(
        name="x",
        description="",
        repetitions=1,
        parameters={"overload": 0.0, "total": 1},
        choices={"faults": {"none": {}, "some": {"overload": 0.5, "retries": 1}}},
        grid=[Grid(axes={"faults": ["none", "some"], "threshold": [0.1]})],
    )
    none, some = cells_of(preset)
    assert none.axes == {"faults": "none", "threshold": 0.1}
    assert none.parameters["overload"] == 0.0
    assert some.parameters["overload"] == 0.5
    run = read_parameters(some, Settings())
    assert run.settings.retries == 1
    assert "overload=0.5" in run.settings.model[0]


def test_several_grids_are_told_apart(tmp_path: Path) -> None:
    """What differs between grids is an axis; a cell of a grid without another's axis has its own value there."""
    text = """
name = "x"
description = ""
repetitions = 2
[parameters]
ttl = "none"
[[grid]]
parameters = { measured_on = "simulator", total = 10 }
axes = { policy = ["lru", "belady"], ttl = ["none", 60] }
[[grid]]
parameters = { measured_on = "flow", total = 5 }
axes = { policy = ["lru"] }
"""
    preset = load_preset(file(tmp_path, text))
    assert preset.axes["measured_on"] == ["simulator", "flow"]
    assert preset.axes["ttl"] == [None, 60]
    cells = [cell for cell in cells_of(preset) if makes_sense(cell)]
    assert len(cells) == 2 * (4 - 1 + 1)  # the bound has no TTL
    assert {(cell.axes["measured_on"], cell.axes["total"]) for cell in cells} == {("simulator", 10), ("flow", 5)}
    assert all(cell.axes["ttl"] is None for cell in cells if cell.axes["measured_on"] == "flow")


@given(
    st.dictionaries(
        st.sampled_from(["threshold", "attempts", "rate", "alpha", "quality"]),
        st.lists(st.sampled_from([0.1, 0.25, 0.5, 1]), min_size=1, max_size=4, unique=True),
        min_size=1,
    ),
    st.integers(1, 4),
    st.integers(0, 100),
)
def test_a_grid_is_all_combinations(axes: dict[str, list[float]], repetitions: int, seed: int) -> None:
    """Each as often as there are repetitions, the seed being the repetition's in all cells."""
    grid = Grid(axes={name: [*values] for name, values in axes.items()})
    preset = Preset(name="x", description="", repetitions=repetitions, seed=seed, grid=[grid])
    cells = list(cells_of(preset))
    points = 1
    for values in axes.values():
        points *= len(values)
    assert len(cells) == points * repetitions == len({cell.name for cell in cells})
    assert all(cell.seed == seed + cell.repetition for cell in cells)
    assert len({tuple(cell.axes.items()) for cell in cells}) == points
    assert {cell.repetition for cell in cells[:points]} == {0}, "a repetition of all cells before the next one"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = ", "is not TOML"),
        ('name = "x"', "is not an experiment: Object missing required field `description`"),
        ('name = "x"\ndescription = ""', r"has no \[\[grid\]\]"),
        ('name = "x"\ndescription = ""\nrepetition = 3', "unknown field `repetition`"),
        ('name = "x"\ndescription = ""\nrepetitions = 0\n[[grid]]', "1 or more"),
        ('name = "x"\ndescription = ""\n[[grid]]\naxes = { threshold = [] }', "threshold has no values"),
        ('name = "x"\ndescription = ""\n[[grid]]\naxes = { rate = [0, 1, 0.0] }', "the axis rate has 0.0 twice"),
        (
            'name = "x"\ndescription = ""\n[choices.f.a]\n[[grid]]\naxes = { f = ["b"] }',
            r"f = 'b' has no table \[choices.f.b\]",
        ),
    ],
)
def test_what_is_no_experiment_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load_preset(file(tmp_path, text))


@pytest.mark.parametrize(("name", "said"), [("cach", "choose one of cache, threshold"), ("no.toml", "cannot be read")])
def test_an_experiment_that_is_not_there_is_refused(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load_preset(name)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"treshold": 0.5}, "no parameter 'treshold'; it takes alpha"),
        ({"threshold": 2}, "out of range"),
        ({"quality": 2}, "between 0 and 1"),
        ({"arrivals": "possion"}, "no arrivals 'possion'"),
        ({"rate": "fast"}, "the traffic of an experiment is not right"),
        ({"questions": -1}, "questions = -1"),
        ({"workers": 0}, "workers = 0"),
        ({"dataset": 3}, "dataset = 3 is not a text"),
        ({"model": "openai:x", "quality": 0.5}, "quality are of the simulated model"),
        ({"state": "x.db"}, "no parameter 'state'"),
        ({"measured_on": "moon"}, "measured_on = 'moon' is no place"),
        ({"policy": "sieve"}, "^cache_policy: 'sieve'"),
        ({"total": None}, "no end: give total N or duration S"),
        ({"threshold": "high"}, "^threshold: 'high' is not a number"),
    ],
)
def test_parameters_that_are_wrong_are_refused(parameters: dict[str, str | float], said: str) -> None:
    preset = Preset(name="x", description="", parameters={"total": 1, **parameters}, grid=[Grid()])
    with pytest.raises(UsageError, match=said):
        read_parameters(next(cells_of(preset)), Settings())


def test_an_axis_is_a_parameter_or_has_choices() -> None:
    """A mistyped axis, along which nothing would differ, is refused."""
    preset = Preset(name="x", description="", parameters={"total": 1}, grid=[Grid(axes={"treshold": [0.1, 0.5]})])
    with pytest.raises(UsageError, match="no parameter 'treshold'"):
        read_parameters(next(cells_of(preset)), Settings())


def test_a_given_parameter_is_over_those_of_all_grids() -> None:
    """Each cell of each grid has it."""
    cells = [*cells_of(load_preset("cache", quick=True, given={"total": 70}))]
    assert {cell.parameters["total"] for cell in cells} == {70}


@pytest.mark.parametrize(("name", "each"), [("threshold", "threshold"), ("cache", "ttl"), ("retries", "overload")])
def test_what_differs_from_cell_to_cell_cannot_be_given(name: str, each: str) -> None:
    """It would be without effect, or make the cells alike."""
    with pytest.raises(UsageError, match=f"--set {each}: it differs from cell to cell in {name}"):
        load_preset(name, given={each: 1})
