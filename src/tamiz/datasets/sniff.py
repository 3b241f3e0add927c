"""Refuses a file that is not what its name says, before anything runs."""

import re
import stat
from pathlib import Path
from typing import Final

from tamiz.datasets.source import BOM, BROKEN, Source, how_broken
from tamiz.errors import UsageError

__all__ = ["check_file", "check_text", "check_text_file", "kind_of"]

_KINDS: Final = ("csv", "tsv", "jsonl", "parquet")
_BLOCK: Final = 8192
_GZIP: Final = b"\x1f\x8b"
_NULS_IN_TEXT: Final = 0.5

_SIGNATURES: Final = (
    (_GZIP, "gzip data", "give its name the end .gz, or decompress it"),
    (b"PAR1", "Parquet data", "give its name the end .parquet"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "unpack it, or export the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", "export the sheet as CSV"),
    (b"BZh", "bzip2 data", "decompress it"),
    (b"\xfd7zXZ\x00", "xz data", "decompress it"),
    (b"\x28\xb5\x2f\xfd", "zstd data", "decompress it"),
    (b"%PDF-", "a PDF document", "export its table as CSV"),
    (b"\xff\xfe", "UTF-16 text", "convert it: iconv -f UTF-16 -t UTF-8"),
    (b"\xfe\xff", "UTF-16 text", "convert it: iconv -f UTF-16 -t UTF-8"),
)
_HTML: Final = re.compile(rb"\s*<(!doctype|html|head|body|\?xml)\b", re.IGNORECASE)
_JSON: Final = re.compile(rb"""\s*(\{\s*["}]|\[\s*["\[{\]])""")


def kind_of(path: str) -> tuple[str, bool]:
    """Give what a file is by its name, and whether it is compressed. Raises `UsageError` for an unknown end."""
    name = Path(path).name.lower()
    plain = name.removesuffix(".gz")
    kind = plain.rpartition(".")[2] if "." in plain else ""
    if kind not in _KINDS:
        raise UsageError(
            f"{path!r} is of no known kind; tamiz reads .csv, .tsv, .jsonl and .parquet, each also .gz, "
            "and - is JSON Lines on standard input"
        )
    return kind, plain != name


def check_file(path: str) -> None:
    """Raise `UsageError` where there is no file to read at `path`."""
    try:
        state = Path(path).stat()
    except FileNotFoundError:
        raise UsageError(f"{path!r} does not exist; check its name and folder") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path!r} cannot be read: {getattr(error, 'strerror', error)}; check its name") from error
    if stat.S_ISDIR(state.st_mode):
        raise UsageError(f"{path!r} is a directory; name the files in it")
    if not stat.S_ISREG(state.st_mode):
        raise UsageError(f"{path!r} is not a regular file; give JSON Lines on standard input instead, as -")
    if not state.st_size:
        raise UsageError(f"{path!r} is empty; give a file with questions")


def check_text_file(source: Source, kind: str) -> None:
    """Raise `UsageError` where the start of the file is not text of its kind."""
    if source.gz:
        _check_gzip(source.path)
    with source.open() as stream:
        try:
            # one read of the buffer below it: whatever can be decompressed before a break is still given
            head = stream.peek(_BLOCK)[:_BLOCK]  # type: ignore[attr-defined]
        except BROKEN as error:
            raise UsageError(f"{source.path!r} cannot be read: {how_broken(error)}; fetch it again") from error
    check_text(source.path, head, kind)


def check_text(path: str, head: bytes, kind: str) -> None:
    """Raise `UsageError` where `head`, the first bytes of a file, is not text of its kind."""
    wanted = kind.upper()
    if not head:
        raise UsageError(f"{path!r} is empty; give a file with questions")
    for signature, what, remedy in _SIGNATURES:
        if head.startswith(signature):
            raise UsageError(f"{path!r} is {what}, not {wanted}; {remedy}")
    if _is_binary(head):
        raise UsageError(f"{path!r} is binary data (it has NUL bytes), not {wanted}; export it as UTF-8 text")
    text = head.removeprefix(BOM)
    if _HTML.match(text):
        raise UsageError(f"{path!r} is HTML or XML, not {wanted}; fetch the file itself, not the page that shows it")
    if kind != "jsonl":
        _check_table(path, text, wanted)


def _check_gzip(path: str) -> None:
    with Source(path, gz=False).open() as stream:
        if stream.read(len(_GZIP)) != _GZIP:
            raise UsageError(f"{path!r} is not gzip data; take .gz off its name, or compress it")


def _is_binary(head: bytes) -> bool:
    # a NUL in one row spoils that row; in or below a first line that is no text it means that nothing here is
    first = head.split(b"\n", 1)[0]
    return b"\0" in head and (b"\0" in first or not _is_utf8(first) or head.count(b"\0") > len(head) * _NULS_IN_TEXT)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _check_table(path: str, head: bytes, wanted: str) -> None:
    if _JSON.match(head):
        raise UsageError(
            f"{path!r} is JSON, not {wanted}; one object a line is .jsonl (jq -c '.[]' makes it of a list)"
        )
    if b"\r" in head and b"\n" not in head:
        raise UsageError(f"{path!r} ends its lines with CR alone; convert it: tr '\\r' '\\n'")
