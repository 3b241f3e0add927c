"""The acknowledgement tracker of one partition: which records are finished, and from where to read after a restart.

Records finish in any order, since a slow one must not hold up those behind it. What a consumer group can keep is one
offset a partition: the end of the contiguous finished prefix. A crash would repeat all that is finished beyond it, so
what is known of that travels as the commit's metadata, and whoever takes the partition over leaves it out.
"""

import base64
import binascii
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise
from typing import Final

__all__ = ["Acks"]

_FORMAT: Final = "t1."
_LONGEST: Final = 3_000
"""Characters of metadata; a broker takes 4,096 bytes unless it is told otherwise."""


class Acks:
    """Follows the records of one partition for as long as it is assigned.

    Pure, and not thread-safe: one thread owns it. Records are begun in ascending order, with gaps where the log has
    them (compaction, transactions); each is finished at most once, in any order.
    """

    def __init__(self, committed: int | None = None, metadata: str | None = None) -> None:
        """Start from what was committed: the offset to read next, and what is finished beyond it.

        `committed` is `None` where nothing was; metadata that is not ours, or not right, is as good as none.
        """
        self._next = committed  # behind the last record that was begun
        self._open: OrderedDict[int, None] = OrderedDict()
        # what was finished beyond the prefix before the start, as ranges (first, behind the last), in order
        self._before = [] if committed is None else list(_ranges(committed, metadata or ""))
        self._at = 0  # ranges before this one are passed

    def begin(self, offset: int) -> bool:
        """Take note of the next record; `False` where it was finished before the start, so that it is not done again.

        Raises `ValueError` where it does not come after the one before it.
        """
        if self._next is not None and offset < self._next:
            raise ValueError(f"record {offset} comes after {self._next - 1}")
        self._next = offset + 1
        while self._at < len(self._before) and self._before[self._at][1] <= offset:
            self._at += 1
        if self._at < len(self._before) and self._before[self._at][0] <= offset:
            return False
        self._open[offset] = None
        return True

    def finish(self, offset: int) -> None:
        """Take note that a record's effects have happened. Raises `KeyError` where it was not begun, or twice."""
        del self._open[offset]

    @property
    def committable(self) -> int | None:
        """The offset to read next after a restart: all records before it are finished. `None` where none was begun."""
        return next(iter(self._open), self._next)

    @property
    def in_flight(self) -> int:
        """How many records were begun and are not finished."""
        return len(self._open)

    @property
    def span(self) -> int:
        """How far the last record that was begun is from the first that is not finished."""
        return 0 if not self._open or self._next is None else self._next - next(iter(self._open))

    @property
    def metadata(self) -> str:
        """What is finished beyond `committable`, in a form that a commit can carry; empty where nothing is.

        Where it would be too long, what comes last is left out, and would be done again.
        """
        first = self.committable
        return "" if first is None else _text(self._finished(first), first)

    def _finished(self, first: int) -> Iterator[tuple[int, int]]:
        """Give the ranges of finished offsets from `first` on, in order."""
        if self._next is None:
            return
        for offset, following in pairwise(chain(self._open, [self._next])):
            if offset + 1 < following:
                yield offset + 1, following
        for low, high in self._before[self._at :]:
            if high > max(self._next, first):
                yield max(low, self._next), high


def _text(ranges: Iterable[tuple[int, int]], at: int) -> str:
    """Encode ranges as pairs of lengths: unfinished from `at` on, then finished, and so on."""
    room = (_LONGEST - len(_FORMAT)) // 4 * 3  # base64
    data = bytearray()
    for low, high in ranges:
        pair = _varint(low - at) + _varint(high - low)
        if len(data) + len(pair) > room:
            break
        data += pair
        at = high
    return _FORMAT + base64.urlsafe_b64encode(data).decode() if data else ""


def _ranges(at: int, text: str) -> Iterator[tuple[int, int]]:
    """Give the ranges that `_text` encoded; none where the text is not right."""
    if not text.startswith(_FORMAT):
        return
    try:
        lengths = list(_numbers(base64.b64decode(text.removeprefix(_FORMAT), altchars=b"-_", validate=True)))
    except (binascii.Error, ValueError):
        return
    for unfinished, finished in zip(lengths[::2], lengths[1::2], strict=False):
        low = at + unfinished
        at = low + finished
        if low < at:
            yield low, at


def _varint(number: int) -> bytes:
    """Encode in LEB128: seven bits a byte, the lowest first."""
    data = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)


def _numbers(data: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:  # noqa: PLR2004 - the last byte of a number
            yield number
            number = shift = 0
