"""What MongoDB's errors mean: which pass by themselves, and what to do about the others."""

from collections.abc import Iterable
from typing import Any, Final

from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
    WTimeoutError,
)

__all__ = ["DUPLICATE", "passes", "remedy", "what"]

DUPLICATE: Final = 11000
"""The code of a write that met another document with the same key."""

_PASSING: Final = frozenset(
    {
        6,  # HostUnreachable
        7,  # HostNotFound
        24,  # LockTimeout
        43,  # CursorNotFound: the server was started anew
        46,  # LockBusy
        50,  # MaxTimeMSExpired
        63,  # StaleShardVersion
        64,  # WriteConcernTimeout
        89,  # NetworkTimeout
        91,  # ShutdownInProgress
        100,  # UnsatisfiableWriteConcern: members are down
        112,  # WriteConflict
        133,  # FailedToSatisfyReadPreference
        134,  # ReadConcernMajorityNotAvailableYet
        189,  # PrimarySteppedDown
        202,  # NetworkInterfaceExceededTimeLimit
        234,  # RetryChangeStream
        262,  # ExceededTimeLimit
        317,  # ConnectionPoolExpired
        384,  # ConnectionError
        9001,  # SocketException
        10107,  # NotWritablePrimary
        11600,  # InterruptedAtShutdown
        11601,  # Interrupted
        11602,  # InterruptedDueToReplStateChange
        13388,  # StaleConfig
        13435,  # NotPrimaryNoSecondaryOk
        13436,  # NotPrimaryOrSecondary
    }
)
_AUTHENTICATION: Final = frozenset({11, 18})
_UNAUTHORIZED: Final = 13
_DISK: Final = frozenset({14031, 12501})
_LONGEST: Final = 200


def passes(error: PyMongoError) -> bool:
    """Tell whether the same call may succeed a little later, with nobody doing anything about it."""
    match error:
        case BulkWriteError():
            return all(code in _PASSING for code in _codes(error))
        case AutoReconnect() | ConnectionFailure() | ExecutionTimeout() | WTimeoutError() | WriteConcernError():
            return True
        case OperationFailure():
            return error.code in _PASSING or error.has_error_label("RetryableWriteError")
        case _:
            return error.timeout


def what(error: PyMongoError, secrets: Iterable[str]) -> str:
    """Say in a few words what went wrong, with none of the secrets in it."""
    if isinstance(error, OperationFailure) and error.code in _AUTHENTICATION:
        return "it refuses the user or the password"
    if isinstance(error, OperationFailure) and error.code == _UNAUTHORIZED:
        return "the user may not do this"  # the server's own words repeat the whole command
    text = _first(error)
    for end in (" (configured timeouts", ", Timeout: ", ", full error: ", " Topology Description: "):
        text = text.partition(end)[0]
    for secret in secrets:
        text = text.replace(secret, "…")
    text = " ".join(text.split()) or type(error).__name__
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def remedy(error: PyMongoError) -> str:
    """Say what to do about an error that does not pass by itself."""
    match error:
        case OperationFailure() if error.code in _AUTHENTICATION:
            return "set its user and password with --store or MONGO_URI (and authSource where it is not the database)"
        case OperationFailure() if error.code == _UNAUTHORIZED:
            return "give the user the role readWrite on that database"
        case OperationFailure() if error.code in _DISK:
            return "free space on its disk"
        case ConfigurationError():
            return "mend the address given with --store or MONGO_URI"
        case _:
            return "see the server's log"


def _codes(error: BulkWriteError) -> list[Any]:
    details = error.details
    return [each.get("code") for kind in ("writeErrors", "writeConcernErrors") for each in details.get(kind, [])]


def _first(error: PyMongoError) -> str:
    if isinstance(error, BulkWriteError):
        details = error.details
        errors = [*details.get("writeErrors", []), *details.get("writeConcernErrors", [])]
        worst = next((each for each in errors if each.get("code") not in _PASSING), errors[0] if errors else {})
        return str(worst.get("errmsg", ""))
    if isinstance(error, OperationFailure) and error.details:
        return str(error.details.get("errmsg", error))
    return str(error)
