"""Reads names with parameters, such as `burst:on=1s,off=4s`."""

from collections.abc import Mapping

from tamiz.errors import UsageError
from tamiz.units import seconds

__all__ = ["Parameters", "parse_spec"]


class Parameters:
    """The parameters of a name; each is taken once, and `done` refuses those that nobody took."""

    def __init__(self, what: str, values: Mapping[str, str]) -> None:
        self._what = what
        self._values = dict(values)
        self._known: list[str] = []

    def duration(self, name: str, default: float) -> float:
        """Take a duration in seconds, above 0. Raises `UsageError` where it is not one."""
        self._known.append(name)
        text = self._values.pop(name, None)
        value = default if text is None else seconds(text, f"{self._what}: {name}")
        if value <= 0:
            raise UsageError(f"{self._what}: {name}={text} is out of range: above 0")
        return value

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """Take a number in [low, high]. Raises `UsageError` where it is not one."""
        self._known.append(name)
        text = self._values.pop(name, None)
        try:
            value = default if text is None else float(text)
        except ValueError:
            raise UsageError(f"{self._what}: {name}={text!r} is not a number") from None
        if not low <= value <= high:
            raise UsageError(f"{self._what}: {name}={text} is out of range: {low:g} to {high:g}")
        return value

    def whole(self, name: str, default: int, low: int) -> int:
        """Take a whole number of at least `low`. Raises `UsageError` where it is not one."""
        self._known.append(name)
        text = self._values.pop(name, None)
        try:
            value = default if text is None else int(text)
        except ValueError:
            raise UsageError(f"{self._what}: {name}={text!r} is not a whole number") from None
        if value < low:
            raise UsageError(f"{self._what}: {name}={text} is out of range: at least {low}")
        return value

    def done(self) -> None:
        """Raise `UsageError` where a parameter was given that does not exist."""
        for name in self._values:
            known = f"it takes {', '.join(self._known)}" if self._known else "it takes none"
            raise UsageError(f"{self._what} has no parameter {name!r}: {known}")


def parse_spec(text: str, what: str) -> tuple[str, Parameters]:
    """Read `NAME` or `NAME:KEY=VALUE,…`; `what` is named in errors."""
    name, _, rest = text.partition(":")
    values = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise UsageError(f"{what} {text!r}: {part!r} is not a parameter; write {name}:key=value,key=value")
        values[key.strip()] = value.strip()
    return name, Parameters(f"{what} {name!r}", values)
