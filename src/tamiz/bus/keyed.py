"""Order by key without a line for each partition: who may be worked on now."""

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["KeyedQueue"]

T = TypeVar("T")


class KeyedQueue(Generic[T]):
    """Hands out runs of items with one key; the next run of that key comes only when the last one is done.

    So items of one key are worked on in the order they came, however long one of them takes, and those of other keys
    never wait for them. Keys take turns in the order in which they have something to hand out.
    """

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[T]] = {}
        self._turns: deque[Hashable] = deque()  # keys that wait and are not out
        self._out: set[Hashable] = set()
        self._size = 0

    def __len__(self) -> int:
        """Give how many items wait."""
        return self._size

    def put(self, key: Hashable, item: T) -> None:
        """Add an item."""
        self._size += 1
        items = self._waiting.get(key)
        if items is not None:
            items.append(item)
            return
        self._waiting[key] = deque((item,))
        if key not in self._out:
            self._turns.append(key)

    def take(self, limit: int) -> list[T]:
        """Give up to `limit` (at least 1) items of the key whose turn it is, in their order; nothing where none may go.

        `done` has to be called for the key when all of them are.
        """
        if not self._turns:
            return []
        key = self._turns.popleft()
        self._out.add(key)
        items = self._waiting[key]
        run = [items.popleft() for _ in range(min(limit, len(items)))]
        if not items:
            del self._waiting[key]
        self._size -= len(run)
        return run

    def done(self, key: Hashable) -> None:
        """Say that the run of this key is finished."""
        self._out.remove(key)
        if key in self._waiting:
            self._turns.append(key)
