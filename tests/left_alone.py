"""A process with a bus, for tests that kill it: it receives, acknowledges all but what it is told to keep, and waits.

`python left_alone.py URL GROUP COUNT KEPT…`
"""

import asyncio
import sys

from on_kafka import received
from tamiz.bus.address import KafkaAddress
from tamiz.bus.kafka import KafkaBus
from tamiz.messages import READ_BY


async def _main(url: str, group: str, count: int, keeping: set[str]) -> None:
    bus = KafkaBus(KafkaAddress.parse(url), {group: READ_BY[group]}, {}, say=print)
    await bus.open()
    for delivery in await received(bus, group, count):
        if delivery.event.message_id not in keeping:
            bus.acknowledge(delivery)
    sys.stdout.write("waits\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3]), set(sys.argv[4:])))
