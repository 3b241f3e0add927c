"""Order by key without a line for each partition: who may be worked on now."""

from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["KeyedQueue"]

T = TypeVar("T")


class KeyedQueue(Generic[T]):
    """Hands out runs of items with one key; the next run of that key comes only when the last one is done.

    So items of one key are worked on in the order they came, however long one of them takes, and those of other keys
    never wait for them. Keys take turns in the order in which they have something to hand out.
    """

    def __init__(self) -> None:
        self._turns: deque[tuple[Hashable, T]] = deque()  # of each key that may go the first item
        self._behind: dict[Hashable, deque[T] | None] = {}  # of each key that waits or is out what comes after that
        self._more: dict[
            Hashable, int
        ] = {}  # of each run that is out and not the last of its items, how many there are
        self._size = 0

    def __len__(self) -> int:
        """Give how many items wait."""
        return self._size

    def put(self, key: Hashable, item: T) -> None:
        """Add an item."""
        self._size += 1
        if key not in self._behind:
            self._behind[key] = None
            self._turns.append((key, item))
            return
        behind = self._behind[key]
        if behind is None:
            self._behind[key] = deque((item,))
        else:
            behind.append(item)

    def take(self, limit: int) -> list[T]:
        """Give up to `limit` items that may go, those of one key together and in their order.

        `done` has to be called for the key of each.
        """
        taken: list[T] = []
        while self._turns and len(taken) < limit:
            key, item = self._turns.popleft()
            taken.append(item)
            if behind := self._behind[key]:
                more = min(limit - len(taken), len(behind))
                taken += [behind.popleft() for _ in range(more)]
                if more:
                    self._more[key] = more
        self._size -= len(taken)
        return taken

    def done(self, key: Hashable) -> None:
        """Say that an item of this key is finished; with the last one of its run the next run may go."""
        if self._more and (more := self._more.pop(key, 0)):
            if more > 1:
                self._more[key] = more - 1
            return
        behind = self._behind[key]
        if behind:
            self._turns.append((key, behind.popleft()))
        else:
            del self._behind[key]

    def discard(self, unwanted: Callable[[T], bool]) -> None:
        """Throw away what waits and is unwanted; what is out stays out."""
        waiting = {key: [item] for key, item in self._turns}
        out = [key for key in self._behind if key not in waiting]
        for key, behind in self._behind.items():
            waiting.setdefault(key, []).extend(behind or ())
        self._turns.clear()
        self._behind = dict.fromkeys(out)
        self._size = 0
        for key, items in waiting.items():
            for item in items:
                if not unwanted(item):
                    self.put(key, item)
