"""Serves the MongoDB protocol until a signal ends it: `python mongo_child.py FOLDER PORT [ADDRESS]`.

Run by the interpreter of the server's own environment. The server's own command cannot be told how often to look for
documents that have expired.
"""

import signal
import sys
import threading
from typing import Final

from secantus import SecantusDBServer

_LOCAL: Final = "127.0.0.1"


def main(folder: str, port: str, address: str = _LOCAL) -> None:
    """Serve the data of `folder` on that port: to this machine, as a replica set of one, or at another address.

    There it is no replica set, whose clients would go to the address that it has for itself.
    """
    replica_set = "secantus" if address == _LOCAL else None
    server = SecantusDBServer(
        address, int(port), folder, replica_set_name=replica_set, ttl_sweep_seconds=1.0, cache_size="256M"
    )
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    server.start()
    ended.wait()
    server.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
