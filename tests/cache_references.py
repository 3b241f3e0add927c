"""Cache policies as their papers tell them, with plain lists and no thought of speed: what the fast ones must equal."""

from collections.abc import Sequence
from functools import cache

__all__ = ["REFERENCES", "best_possible"]


def lru(requests: Sequence[int], size: int) -> int:
    kept: list[int] = []  # the one used last at the end
    hits = 0
    for key in requests:
        if key in kept:
            hits += 1
            kept.remove(key)
        elif len(kept) == size:
            kept.pop(0)
        kept.append(key)
    return hits


def fifo(requests: Sequence[int], size: int) -> int:
    kept: list[int] = []
    hits = 0
    for key in requests:
        if key in kept:
            hits += 1
            continue
        if len(kept) == size:
            kept.pop(0)
        kept.append(key)
    return hits


def sieve(requests: Sequence[int], size: int) -> int:
    queue: list[list[int]] = []  # [key, visited], the newest first
    hand: list[int] | None = None
    hits = 0
    for key in requests:
        found = [each for each in queue if each[0] == key]
        if found:
            hits += 1
            found[0][1] = 1
            continue
        if len(queue) == size:
            at = len(queue) - 1 if hand is None else next(n for n, each in enumerate(queue) if each is hand)
            while queue[at][1]:
                queue[at][1] = 0
                at = at - 1 if at else len(queue) - 1
            hand = queue[at - 1] if at else None
            del queue[at]
        queue.insert(0, [key, 0])
    return hits


def s3fifo(requests: Sequence[int], size: int) -> int:
    of_small = max(size // 10, 1)
    of_main = size - of_small
    small: list[list[int]] = []  # [key, hits], the newest first; likewise below
    main: list[list[int]] = []
    ghost: list[int] = []
    full = False
    hits = 0
    for key in requests:
        found = [each for each in small + main if each[0] == key]
        if found:
            hits += 1
            found[0][1] += 1
            continue
        again = key in ghost
        if again:
            ghost.remove(key)
        while len(small) + len(main) == size:
            full = True
            if len(main) > of_main or not small:
                evicted = False
                while not evicted:
                    each = main.pop()
                    if each[1]:
                        main.insert(0, [each[0], min(each[1], 3) - 1])
                    else:
                        evicted = True
            else:
                evicted = False
                while small and not evicted:
                    each = small.pop()
                    if each[1] >= 2:
                        main.insert(0, [each[0], 0])
                    else:
                        ghost.insert(0, each[0])
                        del ghost[of_main:]
                        evicted = True
        to_main = of_main > 0 and (again or (not full and len(small) >= of_small))
        (main if to_main else small).insert(0, [key, 0])
    return hits


def wtinylfu(requests: Sequence[int], size: int) -> int:  # noqa: C901 - told in one piece, as the paper does
    of_window = max(round(size / 100), 1)
    of_main = size - of_window
    of_protected = of_main * 8 // 10
    window: list[int] = []  # the one used last first; likewise below
    probation: list[int] = []
    protected: list[int] = []
    often: dict[int, int] = {}
    counted = hits = 0
    for key in requests:
        often[key] = min(often.get(key, 0) + 1, 15)
        counted += 1
        if counted == 10 * size:
            often = {each: count // 2 for each, count in often.items()}
            counted //= 2
        if key in protected:
            hits += 1
            protected.remove(key)
            protected.insert(0, key)
        elif key in probation:
            hits += 1
            probation.remove(key)
            protected.insert(0, key)
            if len(protected) > of_protected:
                probation.insert(0, protected.pop())
        elif key in window:
            hits += 1
            window.remove(key)
            window.insert(0, key)
        else:
            window.insert(0, key)
            if len(window) > of_window:
                candidate = window.pop()
                if len(probation) + len(protected) < of_main:
                    probation.insert(0, candidate)
                elif of_main:
                    part = probation or protected
                    if often.get(candidate, 0) > often.get(part[-1], 0):
                        part.pop()
                        probation.insert(0, candidate)
    return hits


REFERENCES = {"lru": lru, "fifo": fifo, "sieve": sieve, "s3fifo": s3fifo, "wtinylfu": wtinylfu}


def best_possible(requests: Sequence[int], size: int) -> int:
    """Give the most hits that any choice of what to evict can have, by trying them all."""

    @cache
    def most(now: int, kept: frozenset[int]) -> int:
        if now == len(requests):
            return 0
        key = requests[now]
        if key in kept:
            return 1 + most(now + 1, kept)
        if len(kept) < size:
            return most(now + 1, kept | {key})
        return max(most(now + 1, (kept - {victim}) | {key}) for victim in kept)

    return most(0, frozenset())
