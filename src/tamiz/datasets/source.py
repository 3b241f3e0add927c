"""A file's bytes, as they are or decompressed, and its lines."""

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import msgspec

from tamiz.errors import UsageError

__all__ = ["BOM", "BROKEN", "ROW_CAP", "Lines", "Source", "how_broken", "standard_input"]

BOM: Final = b"\xef\xbb\xbf"
"""The mark that some programs put before UTF-8."""
ROW_CAP: Final = 32_000_000
"""The longest row that is read, in bytes: room for a field of the longest kind with every letter escaped in JSON."""
BROKEN: Final = (OSError, EOFError, zlib.error)
"""What reading raises where a file cannot be read any further."""

_BLOCK: Final = 1 << 16


class Source(msgspec.Struct, frozen=True):
    """A file of bytes."""

    path: str
    gz: bool

    def open(self) -> BinaryIO:
        """Give the bytes from the start, decompressed. Raises `UsageError` where the file cannot be opened."""
        try:
            if self.gz:
                # gzip's own lines cost a Python call each; those of a buffer on top of it do not
                return cast("BinaryIO", io.BufferedReader(cast("io.RawIOBase", _Gunzip(self.path)), _BLOCK))
            return Path(self.path).open("rb", buffering=_BLOCK)
        except OSError as error:
            raise UsageError(f"{self.path!r} cannot be read: {error.strerror}; check its permissions") from error


class _Gunzip(gzip.GzipFile):
    """Gives what it has decompressed before it fails: a full buffer is not waited for."""

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 (Buffer is a type from 3.12 on)
        with memoryview(buffer) as view, view.cast("B") as target:
            data = self.read1(len(target))
            target[: len(data)] = data
            return len(data)


class Lines:
    """The lines of a byte stream, with their ends, in memory that does not grow with the length of a line.

    A leading byte order mark is dropped. Of a line over `ROW_CAP` bytes only its start is given, which is itself over
    `ROW_CAP`. Where the stream breaks, the lines end and `broken` says why; the line it broke in is not given.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.broken: str | None = None

    def __iter__(self) -> Iterator[bytes]:
        readline, most = self._stream.readline, ROW_CAP + 1
        try:
            line = readline(most + len(BOM)).removeprefix(BOM)
            while line:
                if len(line) >= most and not line.endswith(b"\n"):
                    self._skip_line()
                yield line
                line = readline(most)
        except BROKEN as error:
            self.broken = f"the file cannot be read from here on: {how_broken(error)}"

    def _skip_line(self) -> None:
        while (rest := self._stream.readline(_BLOCK)) and not rest.endswith(b"\n"):
            pass


def standard_input() -> BinaryIO:
    """Give standard input by a buffer of its own: Python aborts if it ends while a thread is reading `sys.stdin`.

    Raises `UsageError` where it is closed.
    """
    if sys.stdin is None:
        raise UsageError("standard input is closed; give a file, or JSON Lines on standard input")
    try:
        return io.BufferedReader(io.FileIO(sys.stdin.fileno(), closefd=False))
    except OSError:  # it is something in memory
        return sys.stdin.buffer


def how_broken(error: Exception) -> str:
    """Say in words why a file cannot be read any further."""
    if isinstance(error, EOFError):
        return "its gzip data end too early (the file is cut short)"
    if isinstance(error, zlib.error | gzip.BadGzipFile):
        return f"its gzip data are damaged ({error})"
    return str(error)
