"""The checks of `tamiz doctor`. Each gives its result; none raises."""

import asyncio
import os
import platform
import shutil
import sqlite3
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import msgspec

from tamiz import __version__
from tamiz.bus.address import KafkaAddress
from tamiz.clock import Clock, SystemClock
from tamiz.errors import Failed, FailureKind, TamizError
from tamiz.models.factory import make_model
from tamiz.settings import SETTINGS_FILE, Settings, load_settings, without_password
from tamiz.store.sqlite.reader import StateReader, holder
from tamiz.units import plural

__all__ = [
    "Check",
    "check_bus",
    "check_disk",
    "check_extras",
    "check_models",
    "check_settings",
    "check_state",
    "check_store",
    "check_versions",
]

_PATIENCE: Final = 5.0
"""Seconds that a server gets to answer."""
_LOOKING: Final = 20.0
"""Seconds spent in search of damage in a state file."""
_ROOM: Final = 500_000_000
"""Bytes of free space below which a run of some size may fill the disk."""

_VARIABLES: Final = ("TAMIZ_", "OPENAI_API_KEY", "OPENAI_BASE_URL", "OLLAMA_HOST", "KAFKA_", "MONGO_URI")
"""Beginnings of the names of variables worth telling of; their values may be secrets."""

_EXTRAS: Final = {
    "kafka": ("confluent_kafka",),
    "mongo": ("pymongo",),
    "serve": ("litestar", "uvicorn"),
    "local": ("xllamacpp",),
    "lab": ("pyarrow",),
    "telemetry": ("opentelemetry",),
}

_REMEDIES: Final = {
    FailureKind.OVERLOAD: "see that the server runs, and that the address is right",
    FailureKind.TIMEOUT: "see that the server runs, and that nothing is in between",
    FailureKind.QUOTA: "top up the account, or wait",
    FailureKind.FATAL: "see that the address is right, with its /v1",
}


class Check(msgspec.Struct, frozen=True):
    """What one check found, and the remedy where it needs one that the detail does not name."""

    name: str
    ok: bool
    detail: str
    remedy: str | None = None


@runtime_checkable
class _Server(Protocol):
    """A model that can be asked whether it would answer."""

    async def check(self, within: float) -> bool: ...


def check_versions() -> Check:
    """Name the versions that a report of a problem should name."""
    system = f"{platform.system()} {platform.machine()}"
    versions = f"tamiz {__version__}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {system}"
    return Check("versions", ok=True, detail=versions)


def check_extras() -> Check:
    """Tell which extras are installed; none has to be."""
    there = [name for name, modules in _EXTRAS.items() if all(find_spec(module) for module in modules)]
    missing = [name for name in _EXTRAS if name not in there]
    detail = f"installed: {', '.join(there) or 'none'}"
    if missing:
        detail += f"; not installed: {', '.join(missing)} (when needed: pip install 'tamiz[{missing[0]}]')"
    return Check("extras", ok=True, detail=detail)


def check_settings(model: tuple[str, ...], state: str | None) -> tuple[Settings, Check]:
    """Read the settings as a run would; where they are wrong, the flags alone are the settings."""
    try:
        settings = load_settings({"model": model, "state": state})
    except TamizError as error:
        flags = Settings(model=model, state=state) if state else Settings(model=model)
        return flags, Check("settings", ok=False, detail=str(error))
    variables = sorted(name for name, value in os.environ.items() if value and name.startswith(_VARIABLES))
    file = SETTINGS_FILE if Path(SETTINGS_FILE).exists() else f"no {SETTINGS_FILE} here"
    return settings, Check("settings", ok=True, detail=", ".join([file, *variables]))


def check_state(path: str) -> Check:
    """Tell whether a run could use the state file, and look for damage in it."""
    folder = Path(path).resolve().parent
    if not os.access(folder, os.W_OK):
        problem = f"{folder} cannot be written" if folder.is_dir() else f"there is no folder {folder}"
        return Check("state", ok=False, detail=problem, remedy="put the state file elsewhere: --state FILE")
    if not Path(path).exists():
        return Check("state", ok=True, detail=f"there is no {path} yet; `tamiz run` makes it")
    process = holder(path)
    health = "is whole"
    try:
        with StateReader(path) as reader:
            damage = reader.damage(_LOOKING)
    except TimeoutError:
        damage, health = None, f"is large, and its first part (all that {_LOOKING:g} s were enough for) is whole"
    except TamizError as error:
        return Check("state", ok=False, detail=str(error))
    if damage is not None:
        remedy = "save what can be read with `tamiz export --all`, then start anew with --fresh"
        return Check("state", ok=False, detail=f"{path} is damaged ({damage})", remedy=remedy)
    busy = "" if process is None else f", in use by process {process or 'unknown'}"
    return Check("state", ok=True, detail=f"{path} {health}{busy}")


def check_disk(path: str) -> Check:
    """Tell how much room there is for the state file."""
    folder = next(parent for parent in Path(path).resolve().parents if parent.is_dir())
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1e9:,.1f} GB free in {folder}"
    if free < _ROOM:
        return Check("disk", ok=False, detail=detail, remedy="free some space, or choose another disk: --state FILE")
    return Check("disk", ok=True, detail=detail)


def check_bus(settings: Settings) -> Check:
    """Tell whether Kafka answers, and whether the topics are as they should be."""
    try:
        from tamiz.bus.topics import Topics  # noqa: PLC0415 - only with the extra

        address = KafkaAddress.parse(settings.bus or "")
        states = Topics(address, settings.kafka).states()
    except ModuleNotFoundError:
        return Check("bus", ok=False, detail="the client of Kafka is missing", remedy="pip install 'tamiz[kafka]'")
    except TamizError as error:
        return Check("bus", ok=False, detail=str(error))
    problems = [f"{state.name} {state.problem}" for state in states if state.problem]
    if problems:
        remedy = f"tamiz topics create --bus '{address.url}'" if any("missing" in each for each in problems) else None
        return Check("bus", ok=False, detail=f"{address.url}: {'; '.join(problems)}", remedy=remedy)
    return Check("bus", ok=True, detail=f"{address.url} has the topics, of {states[0].partitions} partitions each")


def check_store(settings: Settings) -> Check:
    """Tell whether the database of a cluster answers."""
    url = without_password(settings.store or "")
    try:
        from tamiz.store.mongo.reader import MongoReader  # noqa: PLC0415 - only with the extra

        with MongoReader(settings.store or "") as reader:
            letters = sum(reader.dead_kinds().values())
    except ModuleNotFoundError:
        return Check("store", ok=False, detail="the client of MongoDB is missing", remedy="pip install 'tamiz[mongo]'")
    except TamizError as error:
        return Check("store", ok=False, detail=str(error))
    return Check("store", ok=True, detail=f"{url} answers; {plural(letters, 'dead letter')}")


async def check_models(settings: Settings) -> list[Check]:
    """Tell for each model whether it can be made and, where it is a server, whether that would answer."""
    urls = dict.fromkeys((*settings.model, *settings.escalate))
    if not urls:
        return [Check("model", ok=True, detail="none named; to check one: tamiz doctor --model URL")]
    clock = SystemClock()
    return await asyncio.gather(*(_model(url, settings, clock) for url in urls))


async def _model(url: str, settings: Settings, clock: Clock) -> Check:
    try:
        model = make_model(url, settings, clock)
    except TamizError as error:
        return Check("model", ok=False, detail=str(error))
    try:
        if isinstance(model, _Server):
            return await _ask(url, model, clock)
        return Check("model", ok=True, detail=f"{url} can be used")
    finally:
        await model.close()


async def _ask(url: str, model: _Server, clock: Clock) -> Check:
    began = clock.monotonic()
    try:
        listed = await model.check(_PATIENCE)
    except Failed as failure:
        remedy = _REMEDIES.get(failure.kind, "try again later")
        return Check("model", ok=False, detail=f"{url}: {failure.reason}", remedy=remedy)
    except TamizError as error:
        return Check("model", ok=False, detail=f"{url}: {error}")
    took = f"in {(clock.monotonic() - began) * 1000:,.0f} ms"
    if not listed:
        return Check("model", ok=True, detail=f"{url} is reachable {took}, but does not tell which models it has")
    return Check("model", ok=True, detail=f"{url} is reachable {took} and has the model")
