"""What providers really answer when they refuse: the cases of `data/refusal_cases.toml`."""

import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

__all__ = ["CASES", "Case"]

_FILE: Final = Path(__file__).parent / "data" / "refusal_cases.toml"


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One response, and what it is to mean."""

    provider: str
    what: str
    status: int
    headers: dict[str, str] = {}
    body: str
    expect: str
    """A `FailureKind`, or `stop`."""
    wait: float | None = None
    """Seconds after which to try again, where the response says."""
    now: datetime | None = None
    """When the response came, where its times are absolute."""
    source: str

    @property
    def name(self) -> str:
        """Who and what, as the name of a test."""
        return f"{self.provider}: {self.what}"


def _read() -> tuple[Case, ...]:
    found: dict[str, Any] = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return msgspec.convert(found["case"], tuple[Case, ...])


CASES: Final = _read()
