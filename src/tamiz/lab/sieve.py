"""SIEVE (Zhang et al., NSDI 2024): a FIFO queue and a hand that spares what was asked for since it last passed."""

__all__ = ["Sieve"]

_NONE = -1


class Sieve:
    """At most `size` entries.

    A hit marks its entry. The hand moves from the oldest entry to the newest, and then from the oldest again; it takes
    the mark of each marked entry that it passes, and evicts the first that has none. New entries are the newest.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._slots: dict[int, int] = {}
        self._keys = [0] * size
        self._values = [0.0] * size
        self._marked = bytearray(size)
        self._newer = [_NONE] * size
        self._older = [_NONE] * size
        self._newest = self._oldest = self._hand = _NONE
        self._free = list(range(size - 1, -1, -1))

    def __len__(self) -> int:
        return len(self._slots)

    def get(self, key: int) -> float | None:
        """Give the entry's value, and mark it; `None` where there is none."""
        slot = self._slots.get(key)
        if slot is None:
            return None
        self._marked[slot] = 1
        return self._values[slot]

    def insert(self, key: int, value: float) -> None:
        """Add an entry that is not there, in place of the one that the hand comes to where there is no room."""
        if not self._free:
            self._evict()
        slot = self._free.pop()
        self._slots[key] = slot
        self._keys[slot], self._values[slot], self._marked[slot] = key, value, 0
        self._older[slot], self._newer[slot] = self._newest, _NONE
        if self._newest == _NONE:
            self._oldest = slot
        else:
            self._newer[self._newest] = slot
        self._newest = slot

    def pop(self, key: int) -> None:
        """Remove an entry that is there."""
        self._remove(self._slots[key])

    def _evict(self) -> None:
        marked, newer = self._marked, self._newer
        hand = self._oldest if self._hand == _NONE else self._hand
        while marked[hand]:
            marked[hand] = 0
            hand = newer[hand]
            if hand == _NONE:
                hand = self._oldest
        self._hand = hand
        self._remove(hand)

    def _remove(self, slot: int) -> None:
        newer, older = self._newer[slot], self._older[slot]
        if self._hand == slot:
            self._hand = newer
        if newer == _NONE:
            self._newest = older
        else:
            self._older[newer] = older
        if older == _NONE:
            self._oldest = newer
        else:
            self._newer[older] = newer
        del self._slots[self._keys[slot]]
        self._free.append(slot)
