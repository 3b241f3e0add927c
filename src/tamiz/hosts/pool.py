"""The questions of a dataset by their place, kept on disk: memory has 8 bytes of each."""

import os
import tempfile
from array import array
from collections.abc import Iterable
from typing import Final

import msgspec

from tamiz.datasets import BadRow, Row
from tamiz.traffic.question import Question

__all__ = ["Pool"]

_BLOCK: Final = 1 << 20


class Pool:
    """Gives the n-th question that was read, as often as asked. Rows that are no questions are left out and counted."""

    def __init__(self, rows: Iterable[Row | BadRow], folder: str | None = None) -> None:
        """Read all rows into a temporary file. Raises `UsageError` as their dataset does, `OSError` on a full disk."""
        self.bad = 0
        self._file = tempfile.TemporaryFile(dir=folder, buffering=_BLOCK)  # noqa: SIM115 - closed by close()
        self._ends = array("Q", [0])
        self._decode = msgspec.msgpack.Decoder(Question).decode
        encode = msgspec.msgpack.Encoder().encode
        end = 0
        for row in rows:
            if isinstance(row, BadRow):
                self.bad += 1
                continue
            end += self._file.write(encode(Question(row.id, row.title, row.content, row.reference)))
            self._ends.append(end)
        self._file.flush()

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, rank: int) -> Question:
        start = self._ends[rank]
        return self._decode(os.pread(self._file.fileno(), self._ends[rank + 1] - start, start))

    def close(self) -> None:
        """Free the file."""
        self._file.close()
