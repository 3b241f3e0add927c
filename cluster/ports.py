"""Ports of this machine that a server can have to itself."""

import random
import socket
from typing import Final

__all__ = ["port"]

_RANGE: Final = range(20_000, 32_000)
"""Below those the system gives to clients: one of these, reconnecting, could take the port of a server that is down."""


def port(preferred: int | None = None) -> int:
    """Give `preferred` where it is free, otherwise some port that is."""
    if preferred is not None and _is_free(preferred):
        return preferred
    return next(port for port in random.SystemRandom().sample(_RANGE, len(_RANGE)) if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        # As servers do: connections of the last one that are still winding down do not keep the port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
