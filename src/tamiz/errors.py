"""Every error that tamiz raises on purpose; each says what, where and the remedy."""

from enum import StrEnum

__all__ = [
    "Failed",
    "FailureKind",
    "Interrupted",
    "ModelRefused",
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
    """The state file cannot be used: held by another process, of a newer version, damaged, or its disk is full."""


class UnreadableMessage(TamizError):
    """A record is not a message of this version of tamiz. It is kept, never dropped."""


class ModelRefused(TamizError):
    """The model's server refuses every call (key, model name or address), so no question is spent on it."""


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


class Failed(TamizError):
    """A model call gave no answer.

    `retry_at` is when the provider said to try again, in seconds since the epoch, or `None` where it did not say.
    """

    def __init__(self, kind: FailureKind, reason: str, *, retry_at: float | None = None) -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind = kind
        self.reason = reason
        self.retry_at = retry_at
