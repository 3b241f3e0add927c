"""Whether a server of this container is up: `python -IS health.py PORT [PATH]`; exit code 0 where it is.

With a path it has to answer 200 there, without one it has to take connections.

By hand over a socket: it runs every few seconds, and imports nothing that takes long.
"""

import socket
import sys
from typing import Final

_PATIENCE: Final = 3.0
"""Seconds."""


def main(port: str, path: str = "") -> int:
    """Ask it, and give the exit code."""
    try:
        with socket.create_connection(("127.0.0.1", int(port)), _PATIENCE) as connection:
            if not path:
                return 0
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            said = connection.makefile("rb").readline()
    except OSError as error:
        print(error)
        return 1
    print(said.decode(errors="replace").strip())
    return 0 if said.split()[1:2] == [b"200"] else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
