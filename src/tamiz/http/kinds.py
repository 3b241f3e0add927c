"""What a type asks for, in words."""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import inspect

__all__ = ["choices", "expected", "listed"]


def expected(node: inspect.Type) -> str:  # noqa: PLR0911 - a kind of type, a text
    """Say what a value of that type is."""
    match node:
        case inspect.Metadata(type=inner, extra_json_schema=described):
            return str((described or {}).get("description") or expected(inner))
        case inspect.UnionType(types=types):
            return " or ".join(expected(each) for each in types if not isinstance(each, inspect.NoneType))
        case inspect.StrType(min_length=low, max_length=high):
            return f"a text{_range(low, high)}" + (" characters" if low or high else "")
        case inspect.IntType(gt=above, ge=low, le=high) | inspect.FloatType(gt=above, ge=low, le=high):
            number = "a whole number" if isinstance(node, inspect.IntType) else "a number"
            return number + (_range(low, high, "from") if above is None else f" above {above:g}{_up_to(high)}")
        case inspect.BoolType():
            return "true or false"
        case inspect.LiteralType(values=values):
            return listed(values, "or")
        case inspect.EnumType(cls=cls):
            return listed([each.value for each in cls], "or")
        case inspect.ListType(max_length=high):
            return f"a list{_range(None, high)}"
        case inspect.StructType(fields=fields):
            return f"an object with {listed([each.encode_name for each in fields])}"
        case _:
            return "an object"


def _up_to(high: float | None) -> str:
    return "" if high is None else f" and up to {high:,.10g}"


def _range(low: float | None, high: float | None, between: str = "of") -> str:
    match low, high:
        case None, None:
            return ""
        case None, _:
            return f" of at most {high:,.10g}"
        case _, None:
            return f" of at least {low:,.10g}"
        case _:
            return f" {between} {low:,.10g} to {high:,.10g}"


def listed(names: Iterable[Any], last: str = "and") -> str:
    """Join names, of which there is at least one."""
    *most, end = [str(name) for name in names]
    return f"{', '.join(most)} {last} {end}" if most else end


def choices(node: inspect.Type | None) -> Sequence[inspect.Type]:
    """Give the types of which a value may be any."""
    match node:
        case inspect.Metadata(type=inner):
            return choices(inner)
        case inspect.UnionType(types=types):
            return [found for each in types for found in choices(each)]
        case None:
            return []
        case _:
            return [node]
