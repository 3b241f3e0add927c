"""The whole analysis: count, contrast, and write what was found."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from tamiz.errors import TamizError, UsageError
from tamiz.vocabulary.contrast import Contrast, contrasts
from tamiz.vocabulary.count import count_words

__all__ = ["analyse", "write"]

_KINDS: Final = {".csv": "csv, header", ".jsonl": "json", ".parquet": "parquet"}


def analyse(path: str) -> list[Contrast]:
    """Count the words of a source (`count_words`) and contrast them, from the most human to the one most of models."""
    return contrasts(count_words(path))


def write(found: Sequence[Contrast], out: str) -> None:
    """Write all words to a .csv, .jsonl or .parquet file, in their order.

    Raises `UsageError` where it has another name, and `TamizError` where it cannot be written; what was there stays.
    """
    kind = _KINDS.get(Path(out).suffix.lower())
    if kind is None:
        raise UsageError(f"--out {out!r}: the name must end in {', '.join(_KINDS)}")
    names = Contrast.__struct_fields__
    part = f"{out}.part"
    with duckdb.connect() as db:
        db.register("words", pa.table({name: [getattr(each, name) for each in found] for name in names}))
        try:
            db.execute(f"COPY words TO '{part.replace(chr(39), 2 * chr(39))}' (FORMAT {kind})")
            Path(part).replace(out)
        except (duckdb.Error, OSError) as error:
            with contextlib.suppress(OSError):
                Path(part).unlink()
            raise TamizError(f"{out!r} cannot be written: {str(error).splitlines()[0]}") from error
