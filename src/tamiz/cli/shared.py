"""What the commands that look at a state file share: options, the search for a question, and how values are shown."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click
import msgspec

from tamiz.errors import UsageError
from tamiz.prompt import read_template
from tamiz.store.base import Reader

__all__ = [
    "aligned",
    "clock_time",
    "debug_option",
    "json_option",
    "plain",
    "resolve",
    "say_json",
    "say_strange_places",
    "shorten",
    "table",
    "until",
]

F = TypeVar("F", bound=Callable[..., Any])

_LISTED: Final = 10


def debug_option(command: F) -> F:
    """Add `--debug`, which main() reads."""
    return click.option("--debug", is_flag=True, expose_value=False, help="Show a traceback with an error.")(command)


def json_option(text: str) -> Callable[[F], F]:
    """Add `--json` as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help=text)


def say_strange_places(prompt: str | None, say: Callable[[str], None]) -> None:
    """Say what in a prompt template looks like a place and is none, where there is such a thing."""
    if strange := read_template(prompt).strange:
        say(
            f"--prompt {prompt}: sent as it stands: {', '.join(strange)}; "
            "the places of the question are {title} and {content}"
        )


def say_json(value: object) -> None:
    """Print a value as one line of JSON."""
    click.echo(msgspec.json.encode(value))


def resolve(reader: Reader, text: str) -> str:
    """Give the `message_id` of the one question that a user means by `text`.

    Raises `UsageError` where there is none, or where there are several, which it lists.
    """
    matches = reader.find(text, _LISTED + 1)
    if not matches:
        raise UsageError(
            f"no question {text!r} is there: give its message_id, a beginning of that, or the dataset's id"
        )
    if len(matches) == 1:
        return matches[0].message_id
    rows = [(each.message_id, each.id or "-", each.outcome or "open", each.question) for each in matches[:_LISTED]]
    more = "\n  …" if len(matches) > _LISTED else ""
    raise UsageError(f"{text!r} is more than one question; give the message_id of one:\n{table(rows, indent=2)}{more}")


def plain(text: str) -> str:
    """Make a text fit for a terminal: what is neither printable nor a line's end is replaced."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in text)


def shorten(text: str | None, most: int = 60) -> str:
    """Give a text as one line of at most so many characters."""
    line = " ".join(plain((text or "")[: 10 * most]).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def clock_time(seconds: float) -> str:
    """Give a time since the epoch as local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def until(seconds: float) -> str:
    """Tell how far off a time since the epoch is."""
    wait = seconds - time.time()
    return f"in {wait:,.0f} s" if wait > 0 else "now"


def aligned(lines: Sequence[tuple[str, str]]) -> str:
    """Lay out names and values, each value's further lines below its first."""
    width = max((len(name) for name, _ in lines), default=0)
    below = "\n" + " " * (width + 2)
    return "\n".join(f"{name:>{width}}  {value.replace(chr(10), below)}".rstrip() for name, value in lines)


def table(rows: Sequence[tuple[str, ...]], indent: int = 0) -> str:
    """Lay out rows in columns, the last one (shortened) as it comes."""
    cells = [[shorten(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        (" " * indent + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))).rstrip()
        for row in cells
    )
