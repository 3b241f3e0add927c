"""Serves the MongoDB protocol until a signal ends it: `python mongo_child.py FOLDER PORT`.

Run by the interpreter of the server's own environment. The server's own command cannot be told how often to look for
documents that have expired.
"""

import signal
import sys
import threading

from secantus import SecantusDBServer


def main(folder: str, port: str) -> None:
    """Serve the data of `folder` on that port of localhost."""
    server = SecantusDBServer(port=int(port), storage_path=folder, ttl_sweep_seconds=1.0, cache_size="256M")
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    server.start()
    ended.wait()
    server.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
