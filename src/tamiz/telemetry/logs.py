"""Logs: what a process says, as lines for people or as JSON, one object a line, on stderr."""

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import click
import msgspec

from tamiz.errors import TamizError
from tamiz.settings import Settings, secrets_in

__all__ = ["JsonLines", "Say", "logging_as"]

_encode: Final = msgspec.json.Encoder(enc_hook=str).encode


class Say:
    """Says something to whoever watches the process."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def __call__(self, text: str) -> None:
        """Say it."""
        if self._as_json:
            logging.getLogger("tamiz").info(text)
        else:
            click.echo(f"tamiz: {text}", err=True)


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object; what is in its `fields` stands beside `time`, `level` and `message`.

    No secret gets out: whatever the line is, those that were given are replaced.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        # as they stand within a JSON text
        self._secrets = [text for secret in secrets if (text := _encode(secret).decode()[1:-1])]

    def format(self, record: logging.LogRecord) -> str:
        """Give the line, without its end."""
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        told |= getattr(record, "fields", {})
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        line = _encode(told).decode()
        for secret in self._secrets:
            if secret in line:
                line = line.replace(secret, "…")
        return line


class _Plain(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("tamiz: %(message)s")


@contextmanager
def logging_as(settings: Settings, stream: TextIO | None = None) -> Iterator[Say]:
    """Have everything of this process logged as the settings say, for the block; give what it says things with.

    As text, that is what it says, and errors. As JSON it is also each request, each outcome and, at level `debug`, each
    hop of a question; an error that ends the block is a line too, and becomes the exit code.
    """
    as_json = settings.log == "json"
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonLines(secrets_in(settings)) if as_json else _Plain())
    root, own = logging.getLogger(), logging.getLogger("tamiz")
    before = root.level, own.level
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    own.setLevel(settings.log_level.upper() if as_json else logging.WARNING)
    try:
        yield Say(as_json=as_json)
    except TamizError as error:
        if not as_json:
            raise
        own.error(str(error))
        raise click.exceptions.Exit(error.exit_code) from None
    finally:
        root.removeHandler(handler)
        root.setLevel(before[0])
        own.setLevel(before[1])
