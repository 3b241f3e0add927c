"""The checkpoints of a job that has ended, as they lie in their folder."""

from pathlib import Path
from typing import Final

__all__ = ["newest", "uri"]

_FILE: Final = "file://"


def uri(folder: str) -> str:
    """Give a folder's URI, as Flink reads it: without escapes. One that is a URI already stays as it is."""
    if "://" in folder:
        return folder.rstrip("/")
    # Flink itself writes file:/…
    return f"{_FILE}{Path(folder.removeprefix('file:')).resolve()}"


def newest(folder: str) -> str | None:
    """Give the URI of the newest whole checkpoint or savepoint below the folder with this URI.

    `None` where there is none, or where the folder is not on a file system of this machine.
    """
    if not folder.startswith(_FILE):
        return None
    path = Path(folder.removeprefix(_FILE))
    # Flink writes `_metadata` last: without it a checkpoint is half of one
    found = [*path.glob("*/chk-*/_metadata"), *path.glob("savepoint-*/_metadata")]
    return f"{_FILE}{max(found, key=_written).parent}" if found else None


def _written(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except FileNotFoundError:  # deleted by now, by a job that runs
        return 0.0
