"""The order of the input: submission ids in a temporary file, 16 bytes each."""

import os
import tempfile
from collections.abc import Sequence
from typing import Final

from tamiz.errors import StateError

__all__ = ["Spool"]

_SIZE: Final = 16


class Spool:
    """A queue of ids that takes disk, not memory, for those not yet looked at. It is gone with the process."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        # unbuffered: what a full disk refuses is refused where it is written, not when the file is closed
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed by close()
        self._written = 0
        self._read = 0
        self._ids: list[str] = []

    def append(self, ids: Sequence[str]) -> None:
        """Add ids, each of 32 hexadecimal digits. Raises `StateError` where the disk is full."""
        data = bytes.fromhex("".join(ids))
        try:
            self._file.seek(self._written * _SIZE)
            whole = self._file.write(data) == len(data)
        except OSError as error:
            raise self._full() from error
        if not whole:
            raise self._full()
        self._written += len(ids)

    def peek(self, count: int) -> list[str]:
        """Give the first ids, up to `count` of them; they stay."""
        missing = min(count, len(self)) - len(self._ids)
        if missing > 0:
            start = self._read + len(self._ids)
            data = os.pread(self._file.fileno(), missing * _SIZE, start * _SIZE)
            self._ids += [data[n : n + _SIZE].hex() for n in range(0, len(data), _SIZE)]
        return self._ids[:count]

    def drop(self, count: int) -> None:
        """Drop the first `count` of what `peek` gave."""
        del self._ids[:count]
        self._read += count

    def _full(self) -> StateError:
        return StateError(
            f"the disk is full: no temporary file in {self._folder} can grow. Free some space and run the same command "
            "again; everything up to here is kept"
        )

    def __len__(self) -> int:
        return self._written - self._read

    def close(self) -> None:
        """Free the file."""
        self._file.close()
