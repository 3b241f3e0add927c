"""Calls and tokens: what each model has spent, what calls in flight may still spend, and what a budget allows."""

import msgspec

from tamiz.statefile import StateFile

__all__ = ["Budget", "Spending", "Usage"]


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """Most calls and tokens, over all processes on a state file; `None`: any number."""

    calls: int | None = None
    tokens: int | None = None

    @property
    def limited(self) -> bool:
        """Whether there is a limit at all."""
        return self.calls is not None or self.tokens is not None

    def __str__(self) -> str:
        limits = {"--max-calls": self.calls, "--max-tokens": self.tokens}
        return " or ".join(f"{name} {limit}" for name, limit in limits.items() if limit is not None)


class Usage(msgspec.Struct):
    """What one model was used for, as `--model` names it."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Spending:
    """The account. A call is reserved before it is made and settled after it.

    `save` writes both into the transaction, so that a host that commits between a reservation and its call can never
    exceed the budget: what was reserved by a process that died counts as spent.
    """

    def __init__(self, state: StateFile, budget: Budget) -> None:
        self._state = state
        self._budget = budget
        self._usage = {
            model: Usage(calls, prompt, completion)
            for model, calls, prompt, completion in state.execute("SELECT * FROM usage")
        }
        self._changed: set[str] = set()
        self._lost_calls = int(state.meta("lost_calls") or 0) + int(state.meta("reserved_calls") or 0)
        self._lost_tokens = int(state.meta("lost_tokens") or 0) + int(state.meta("reserved_tokens") or 0)
        self._reserved_calls = 0
        self._reserved_tokens = 0
        self._tokens = sum(usage.prompt_tokens + usage.completion_tokens for usage in self._usage.values())
        self._calls = sum(usage.calls for usage in self._usage.values())
        self._alone = False
        self._saved: tuple[int, ...] = ()

    @property
    def calls(self) -> int:
        """Calls of all processes; one that was in flight when its process died counts."""
        return self._calls + self._lost_calls + self._reserved_calls

    @property
    def usage(self) -> dict[str, Usage]:
        """What each model was used for, over all processes."""
        return self._usage

    @property
    def counts_tokens(self) -> bool:
        """Whether a reservation has to say how many tokens the call may use."""
        return self._budget.tokens is not None

    @property
    def limited(self) -> bool:
        """Whether calls have to wait for their reservation to be durable."""
        return self._budget.limited

    def spent(self, tokens: int | None) -> bool:
        """Tell whether the budget has nothing left for a call of so many tokens, whatever calls in flight give back."""
        if self._budget.calls is not None and self.calls >= self._budget.calls:
            return True
        if self._budget.tokens is None:
            return False
        left = self._budget.tokens - self._tokens - self._lost_tokens
        return left <= 0 or left < (tokens or 0)

    def reserve(self, tokens: int | None) -> bool:
        """Set aside a call and the most tokens that it may use; `False` where it has to wait for others to end.

        A call of which that is not known, `None`, is made alone.
        """
        if (
            self._alone
            or (tokens is None and self._reserved_calls)
            or self.spent((tokens or 0) + self._reserved_tokens)
        ):
            return False
        self._alone = tokens is None
        self._reserved_calls += 1
        self._reserved_tokens += tokens or 0
        return True

    def release(self, tokens: int | None) -> None:
        """Take a reservation back: the call was not made."""
        self._alone = False
        self._reserved_calls -= 1
        self._reserved_tokens -= tokens or 0

    def settle(
        self, model: str, reserved: int | None, prompt_tokens: int | None, completion_tokens: int | None
    ) -> None:
        """Put what a call used in place of what it was reserved; of one that used nobody knows what, all of that."""
        self.release(reserved)
        usage = self._usage.setdefault(model, Usage())
        usage.calls += 1
        self._calls += 1
        if prompt_tokens is None and completion_tokens is None:
            self._lost_tokens += reserved or 0
        usage.prompt_tokens += prompt_tokens or 0
        usage.completion_tokens += completion_tokens or 0
        self._tokens += (prompt_tokens or 0) + (completion_tokens or 0)
        self._changed.add(model)

    def save(self) -> None:
        """Write the account into the open transaction."""
        self._state.execute_many(
            "INSERT OR REPLACE INTO usage VALUES (?, ?, ?, ?)",
            [(model, *msgspec.structs.astuple(self._usage[model])) for model in self._changed],
        )
        self._changed.clear()
        now = (self._lost_calls, self._lost_tokens, self._reserved_calls, self._reserved_tokens)
        if now != self._saved:
            self._saved = now
            names = ("lost_calls", "lost_tokens", "reserved_calls", "reserved_tokens")
            self._state.set_meta(**dict(zip(names, now, strict=True)))
