"""A request's body on the disk, for what has to be read more than once and may be long."""

import shutil
import tempfile
from hashlib import blake2b
from http import HTTPStatus
from typing import Any, Final

from litestar import Request

from tamiz.http.looks import Looks
from tamiz.http.problems import Problem

__all__ = ["DATASET_CAP", "Spooled"]

DATASET_CAP: Final = 4 * 1024**3
"""Most bytes of a data set in one request."""
_LEFT_FREE: Final = 256 * 1024**2
"""Bytes of the disk that are left to others."""
_AT_ONCE: Final = 1024 * 1024


class Spooled:
    """A body, as a file in the folder for temporary files (`TMPDIR`) that is gone once it is closed or forgotten."""

    def __init__(self, suffix: str) -> None:
        self.size = 0
        self._digest = blake2b(digest_size=16)
        self._file = tempfile.NamedTemporaryFile(prefix="tamiz-", suffix=suffix, buffering=0)  # noqa: SIM115 - a part

    @property
    def path(self) -> str:
        """The file's path."""
        return self._file.name

    @property
    def digest(self) -> str:
        """What tells the body from every other."""
        return self._digest.hexdigest()

    async def fill(self, request: Request[Any, Any, Any], looks: Looks) -> None:
        """Take the whole body in.

        Raises `Problem` 413 where it has more bytes than `DATASET_CAP`, and 507 where the disk has no room for it.
        """
        waiting: list[bytes] = []
        size = 0
        async for part in request.stream():
            self.size += len(part)
            if self.size > DATASET_CAP:
                raise Problem(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                    f"the body has more than {DATASET_CAP:,} bytes, which is the most: send it in several parts",
                    code="size",
                )
            waiting.append(part)
            size += len(part)
            if size >= _AT_ONCE:
                data = b"".join(waiting)
                await looks(lambda data=data: self._write(data))  # type: ignore[misc] # the default is the value
                waiting.clear()
                size = 0
        await looks(lambda: self._write(b"".join(waiting)))

    def close(self) -> None:
        """Remove the file."""
        self._file.close()

    def _write(self, data: bytes) -> None:
        if shutil.disk_usage(tempfile.gettempdir()).free < _LEFT_FREE + len(data):
            raise Problem(
                HTTPStatus.INSUFFICIENT_STORAGE,
                "the disk has no room for the body: send it in several parts, or free some space",
                code="disk",
            )
        self._digest.update(data)
        self._file.write(data)
