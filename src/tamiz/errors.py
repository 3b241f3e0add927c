"""Every error that tamiz raises on purpose; each says what, where and the remedy."""

from enum import StrEnum

__all__ = [
    "BudgetSpent",
    "BusError",
    "Failed",
    "FailureKind",
    "GaveUp",
    "Interrupted",
    "ModelRefused",
    "NoSuchQuestion",
    "Sign",
    "StateError",
    "TamizError",
    "UnreadableMessage",
    "UsageError",
]


class TamizError(Exception):
    """Something went wrong that tamiz knows about."""

    exit_code = 1

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class UsageError(TamizError):
    """A flag, a setting, an environment variable or an input file is wrong."""

    exit_code = 2


class StateError(TamizError):
    """The state file or the store cannot be used: held by another process, not reachable, damaged, its disk is full."""


class NoSuchQuestion(StateError):
    """The store knows no question of that id."""


class BusError(TamizError):
    """The Kafka cluster cannot be used: not reachable, not allowed, or its topics are not there."""


class UnreadableMessage(TamizError):
    """A record is not a message of this version of tamiz. It is kept, never dropped."""


class ModelRefused(TamizError):
    """The model's server refuses every call (key, model name or address), so no question is spent on it."""


class GaveUp(TamizError):
    """No endpoint has answered for as long as --give-up-after allows; what is open is kept."""


class BudgetSpent(TamizError):
    """A budget of calls or tokens is spent; what is open is kept."""

    exit_code = 4


class Interrupted(TamizError):
    """Interrupted. The same command goes on where this one stopped."""

    exit_code = 130


class FailureKind(StrEnum):
    """Why a model call gave no answer; each kind has its own way back (see `stages/retry.py`)."""

    OVERLOAD = "overload"  # busy, rate limit of a short window, 5xx, connection lost
    QUOTA = "quota"  # nothing more until a stated time or a top-up
    TIMEOUT = "timeout"
    INVALID = "invalid"  # this question cannot be answered as asked (content filter, context length)
    FATAL = "fatal"  # anything that trying again cannot mend


class Sign(StrEnum):
    """What a failed call says of the endpoint, where its kind says what becomes of the question."""

    ALIVE = "alive"  # it answered; what was wrong is this call's own affair
    BUSY = "busy"  # it takes no more right now: 429, 503, 529
    ERROR = "error"  # it failed at this call, or at all of them: 500
    LOST = "lost"  # no answer, or a gateway's word that there is none: reset, cut off, timeout, 502, 504, 52x
    UNREACHABLE = "unreachable"  # nobody is there: refused connection, unknown host
    SPENT = "spent"  # a quota is used up: no call of anybody's is answered until it is back


class Failed(TamizError):
    """A model call gave no answer.

    `retry_at` is when the provider said to try again, in seconds since the epoch, or `None` where it did not say.
    `tokens` are what the call used up all the same, `None` where nobody knows.
    """

    def __init__(
        self,
        kind: FailureKind,
        reason: str,
        *,
        retry_at: float | None = None,
        sign: Sign = Sign.ALIVE,
        tokens: int | None = 0,
    ) -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind = kind
        self.reason = reason
        self.retry_at = retry_at
        self.sign = sign
        self.tokens = tokens
