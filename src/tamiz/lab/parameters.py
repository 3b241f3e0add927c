"""Reads the parameters of a cell: which are settings of the flow, which are the traffic's, which the model's."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from tamiz.errors import UsageError
from tamiz.lab.cells import Cell
from tamiz.models.simulated import Profile, parse_profile
from tamiz.settings import Settings, load_settings
from tamiz.traffic.plan import Plan
from tamiz.units import seconds

__all__ = ["SIMULATOR", "Run", "read_parameters"]

_FLOW: Final = "flow"
SIMULATOR: Final = "simulator"

_SHORT: Final = {"policy": "cache_policy", "size": "cache_size", "ttl": "cache_ttl", "retry_limit": "retries"}
"""Names of settings that say more, or that no metric has."""
_PLAN: Final = frozenset(Plan.__struct_fields__) - {"seed"}
_PROFILE: Final = frozenset(Profile.__struct_fields__) - {"seed"}
_OWN: Final = frozenset({"measured_on", "questions", "dataset", "model", "workers", "partitions", "parallelism"})
_SETTINGS: Final = frozenset(Settings.__struct_fields__) - {
    *("model", "state", "limit", "seed", "prices", "refusal", "kafka", "bus", "store"),
    *(name for name in Settings.__struct_fields__ if name.startswith("traffic_")),
}

_OF_PLACES: Final = (
    "bus",
    "store",
    "kafka",
    "openai_base_url",
    "openai_api_key",
    "ollama_host",
    "cache_dir",
    "prices",
    "refusal",
)
_FLAG: Final = re.compile(r"--([a-z][a-z-]*)")
_NOWHERE: Final = Path("/nonexistent")
"""No settings file changes what an experiment says."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell is to do."""

    measured_on: str
    """`flow`, or `simulator` (of caches)."""
    plan: Plan
    settings: Settings
    questions: int
    """How many different ones; of a dataset: the first so many, 0 for all."""
    dataset: str | None
    """A question file; `None`: made up."""
    workers: int
    partitions: int
    parallelism: int
    """Of the Flink job; 0: the workers judge."""


def read_parameters(cell: Cell, base: Settings) -> Run:
    """Sort the parameters, with the seed of the repetition for all that is drawn.

    Of `base` only count where a cluster and the servers of models are, and what they need to be reached. Raises
    `UsageError` where a parameter is unknown or its value is not what it takes.
    """
    try:
        return _read(cell, base)
    except UsageError as error:  # a file has no flags
        raise UsageError(_FLAG.sub(lambda flag: flag[1].replace("-", "_"), str(error))) from error


def _read(cell: Cell, base: Settings) -> Run:
    settings: dict[str, Any] = {}
    plan: dict[str, Any] = {}
    profile: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for name, value in cell.parameters.items():
        setting = _SHORT.get(name, name)
        if name in _OWN:
            own[name] = value
        elif name in _PLAN:
            plan[name] = value
        elif name in _PROFILE:
            profile[name] = value
        elif setting in _SETTINGS:
            settings[setting] = value
        else:
            known = sorted(_OWN | _PLAN | _PROFILE | _SETTINGS | set(_SHORT))
            raise UsageError(f"an experiment has no parameter {name!r}; it takes {', '.join(known)}")
    model = own.get("model")
    if model is None:
        parse_profile({name: str(value) for name, value in profile.items()})
        model = f"simulated:?{urlencode({**profile, 'seed': cell.seed})}"
    elif profile:
        raise UsageError(f"{', '.join(profile)} are of the simulated model, and model is {model!r}: leave one out")
    place = _text(own, "measured_on", _FLOW)
    if place not in {_FLOW, SIMULATOR}:
        raise UsageError(f"measured_on = {place!r} is no place: choose {_FLOW} or {SIMULATOR}")
    # the simulator has more of them, and checks its own
    policy = settings.pop("cache_policy", None) if place == SIMULATOR else None
    checked = load_settings({**settings, "model": (model,), "seed": cell.seed}, {}, _NOWHERE)
    return Run(
        measured_on=place,
        plan=_plan(plan, cell.seed),
        settings=msgspec.structs.replace(
            checked,
            cache_policy=policy or checked.cache_policy,
            **{name: getattr(base, name) for name in _OF_PLACES},
        ),
        questions=_whole(own, "questions", 1_000, 0),
        dataset=_text(own, "dataset", None),
        workers=_whole(own, "workers", 1, 1),
        partitions=_whole(own, "partitions", 6, 1),
        parallelism=_whole(own, "parallelism", 0, 0),
    )


def _plan(values: Mapping[str, Any], seed: int) -> Plan:
    if isinstance(duration := values.get("duration"), str):
        values = {**values, "duration": seconds(duration, "duration")}
    try:
        plan = msgspec.convert({**values, "seed": seed}, Plan)
    except msgspec.ValidationError as error:
        raise UsageError(f"the traffic of an experiment is not right: {error}") from error
    plan.check()
    return plan


def _whole(values: Mapping[str, Any], name: str, default: int, low: int) -> int:
    value = values.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise UsageError(f"{name} = {value!r} is not a whole number of at least {low}")
    return value


def _text(values: Mapping[str, Any], name: str, default: str | None) -> str | None:
    value = values.get(name, default)
    if value is not None and not isinstance(value, str):
        raise UsageError(f"{name} = {value!r} is not a text")
    return value
