"""Cuts the lines of a CSV or TSV file into records, where a bad line spoils its own record only."""

import csv
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tamiz.datasets.rows import FIELD_CAP, shorten
from tamiz.datasets.source import ROW_CAP, Lines

__all__ = ["Record", "Records"]

Record = tuple[int, list[str], str | None]
"""The line where a record starts, its fields, and what is wrong with it; then the fields are what could be read."""

_QUICK: Final = 100_000
_ENDS: Final = ("\n", "\r\n", "")
_REWIND_BUDGET: Final = 1_000_000_000
_SALVAGED: Final = 10_000
_ROW_TOO_LONG: Final = "the row is over 32 MB"
_MALFORMED: Final = (
    ("field limit", "a field is over 10 MB (as where a closing quote is missing)"),
    ("unexpected end", "a quote is opened and never closed"),
    ("expected after", "text follows a closing quote (a quote inside a quoted field is written twice)"),
    ("new-line character", "a carriage return stands in a field without quotes"),
    (_ROW_TOO_LONG, _ROW_TOO_LONG),
)

_limit_lock = threading.Lock()


class Records:
    """The records of a CSV (TSV) file: exactly what the csv module reads in strict mode, blank lines left out.

    A record that cannot be read is reported at the line where it starts, and reading goes on with the line after
    that one: a quote that is never closed takes no other row with it. What such quotes may cost is bounded: beyond a
    gigabyte read again, the lines that one swallowed (10 MB at most) are skipped and named in the report.
    """

    def __init__(self, lines: Lines, delimiter: str) -> None:
        self._lines = lines
        self._next_line = iter(lines)
        self._delimiter = delimiter
        self._line = 1
        self._again: deque[bytes] = deque()
        self._held: list[bytes] = []
        self._size = 0
        self._flaw: str | None = None
        self._ended = False
        self._rewound = 0

    def __iter__(self) -> Iterator[Record]:
        while (raw := self._take()) is not None:
            fields = self._quick(raw)
            if fields is not None:
                if len(fields) > 1 or raw.strip():
                    yield self._line, fields, None
                self._line += 1
                continue
            self._again.appendleft(raw)
            record = self._record()
            if record is None:
                break
            yield record
            self._line += len(self._held)
            self._held.clear()
        if self._lines.broken:
            yield self._line, [], self._lines.broken

    def _take(self) -> bytes | None:
        return self._again.popleft() if self._again else next(self._next_line, None)

    def _quick(self, raw: bytes) -> list[str] | None:
        """Give the fields of a line without quotes, or with all fields in quotes and none inside them.

        That is most lines, and several times faster than the csv module, which looks at each character.
        """
        if len(raw) > _QUICK:
            return None
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            return None
        if "\0" in text:
            return None
        pieces = text.split('"')
        if len(pieces) == 1:
            text = text.rstrip("\r\n")
            return None if "\r" in text else text.split(self._delimiter)
        # every second piece is inside quotes; each of the others must be one delimiter, and the line's end the last
        between = pieces[2:-1:2]
        if (
            pieces[0]
            or pieces[-1] not in _ENDS
            or len(pieces) % 2 == 0
            or between.count(self._delimiter) != len(between)
        ):
            return None
        return pieces[1::2]

    def _record(self) -> Record | None:
        """Read one record with the csv module; `None` where the stream broke inside it."""
        try:
            return self._read()
        except csv.Error:
            pass
        # a field may be longer than the limit that this process happens to have, or the record is malformed
        self._push(self._held)
        with _field_limit():
            try:
                return self._read()
            except csv.Error as error:
                if self._ended and self._lines.broken:
                    return None
                return self._malformed(str(error))

    def _read(self) -> Record:
        self._held.clear()
        self._size = 0
        self._flaw = None
        fields = next(csv.reader(self._text(), delimiter=self._delimiter, strict=True))
        if self._size > FIELD_CAP:
            self._flag_long_fields(fields)
        return self._line, fields, self._flaw

    def _text(self) -> Iterator[str]:
        self._ended = False
        while (raw := self._take()) is not None:
            self._held.append(raw)
            self._size += len(raw)
            if self._size > ROW_CAP:
                raise csv.Error(_ROW_TOO_LONG)
            yield self._decoded(raw)
        self._ended = True

    def _decoded(self, raw: bytes) -> str:
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            text = raw.decode(errors="replace")
            around = raw[max(0, error.start - 20) : error.start + 20].decode(errors="replace")
            self._flaw = (
                f"{shorten(around)} is not UTF-8 (byte 0x{raw[error.start]:02x} in line "
                f"{self._line + len(self._held) - 1}); is the file Latin-1? Convert it with iconv"
            )
        if "\0" in text:
            self._flaw = f"{shorten(text[max(0, text.index(chr(0)) - 20) :])} contains a NUL character"
        return text

    def _flag_long_fields(self, fields: list[str]) -> None:
        for field in fields:
            if len(field.encode(errors="replace")) > FIELD_CAP:
                self._flaw = f"the field {shorten(field)} is over 10 MB"

    def _push(self, lines: list[bytes]) -> None:
        self._again.extendleft(reversed(lines))

    def _malformed(self, error: str) -> Record:
        first, rest = self._held[0], self._held[1:]
        problem = next((text for clue, text in _MALFORMED if clue in error), f"the row is not CSV ({error})")
        start = first[:_SALVAGED].decode(errors="replace").strip("\r\n").replace("\r", " ")
        flaw = f"{problem}: the row starts with {shorten(start)}"
        if self._rewound + self._size <= _REWIND_BUDGET:
            self._rewound += self._size
            self._push(rest)
            self._held = [first]
        elif rest:
            flaw += f"; the lines to {self._line + len(rest)} are skipped with it"
        return self._line, next(csv.reader([start], delimiter=self._delimiter), []), flaw


@contextmanager
def _field_limit() -> Iterator[None]:
    # the csv module has one limit for the whole process: it is raised only while a long record is read
    with _limit_lock:
        before = csv.field_size_limit()
        csv.field_size_limit(max(before, FIELD_CAP))
        try:
            yield
        finally:
            csv.field_size_limit(before)
