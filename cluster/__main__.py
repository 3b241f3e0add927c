"""`make cluster`: a whole cluster on this machine, until Ctrl-C.

Argument: the folder of its data, which are kept from run to run.
"""

import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from cluster.broker import Broker
from cluster.flink import Flink
from cluster.install import Unavailable
from cluster.mongo import MongoServer
from cluster.server import ServerFailed

_SOURCE: Final = Path(__file__).parents[1] / "src"

_NEXT: Final = """
The cluster is up; its data and logs are in {folder}, and Flink's page is at {rest}.
Type this in another terminal, in this folder:

  export PATH="$PWD/.venv/bin:$PATH"
  export KAFKA_BOOTSTRAP_SERVERS={servers} MONGO_URI={url}/tamiz
  export TAMIZ_MODEL='simulated:?latency=50ms&overload=0.1&quality=0.7'
  tamiz topics create
  tamiz worker intake generate retry judge persist &
  tamiz run questions.csv --out answers.jsonl
  tamiz status

To have the judge inside Flink, leave `judge` out above and type:

  export FLINK_HOME={home} FLINK_CONF_DIR={conf}
  python -m tamiz.flink.submit --rest {rest}

Ctrl-C here ends it.
"""


def main(folder: str = "cluster-data") -> int:
    """Run the cluster until a signal ends it."""
    root = Path(folder).resolve()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ExitStack() as stack:
            broker = Broker(root / "kafka", preferred_port=9092)
            mongo = MongoServer(root / "mongo", preferred_port=27017)
            flink = Flink(root / "flink", _SOURCE, preferred_port=8081)
            servers: tuple[Broker | MongoServer | Flink, ...] = (broker, mongo, flink)
            for server in servers:
                print(f"starting {type(server).__name__}", file=sys.stderr, flush=True)
                stack.callback(server.stop)
                server.start()
            print(
                _NEXT.format(
                    folder=folder,
                    servers=broker.servers,
                    url=mongo.url,
                    rest=flink.rest,
                    home=flink.home,
                    conf=flink.environment["FLINK_CONF_DIR"],
                ),
                flush=True,
            )
            ended.wait()
    except (Unavailable, ServerFailed) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("the cluster has ended", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
