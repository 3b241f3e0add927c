"""Where the commands that look find the questions: a state file, or the store of a cluster."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from tamiz.cli.options import settings_of
from tamiz.errors import UsageError
from tamiz.settings import Settings, without_password
from tamiz.store.sqlite.reader import StateReader

if TYPE_CHECKING:
    from tamiz.store.mongo.reader import MongoReader

__all__ = ["Place", "place_of", "place_options"]

F = TypeVar("F", bound=Callable[..., Any])


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A state file, or a cluster."""

    settings: Settings
    clustered: bool

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return without_password(self.settings.store or "") if self.clustered else self.settings.state

    @property
    def flags(self) -> str:
        """The flags that name it in another command."""
        return f"--store {self.name}" if self.clustered else f"--state {self.name}"

    def reader(self) -> "StateReader | MongoReader":
        """Open it for reading."""
        if not self.clustered:
            return StateReader(self.settings.state)
        from tamiz.store.mongo.reader import MongoReader  # noqa: PLC0415 - only with the extra

        return MongoReader(self.settings.store or "")


def place_of(flags: dict[str, Any]) -> Place:
    """Give the place that the flags or, without any, the settings name: a cluster where there is a bus.

    Raises `UsageError` where they name two, or a bus without a store.
    """
    if flags.get("state") and flags.get("store"):
        raise UsageError("--state is a file, --store a cluster's database: leave one of them out")
    if flags.get("state") and flags.get("bus"):
        raise UsageError("--state is a file of one process, --bus a cluster: leave one of them out")
    settings = settings_of(flags)
    clustered = bool(flags.get("store")) or (settings.bus is not None and not flags.get("state"))
    if clustered and settings.store is None:
        raise UsageError("no store given: name the database with --store mongodb://HOST/DATABASE (or MONGO_URI)")
    return Place(settings=settings, clustered=clustered)


def place_options(command: F) -> F:
    """Add `--state` and `--store`."""
    command = click.option("--store", metavar="URL", help="A cluster's database: mongodb://HOST/DATABASE.")(command)
    return click.option("--state", metavar="FILE", help="The durable log and store.  [default: tamiz.db]")(command)
