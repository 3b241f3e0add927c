"""A Kafka broker: one KRaft node."""

import subprocess
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from cluster.install import kafka_libs
from cluster.ports import port
from cluster.server import Server

__all__ = ["Broker"]

_HERE: Final = Path(__file__).parent
_JAVA: Final = ("java", f"-Dlog4j2.configurationFile={_HERE / 'log4j2.properties'}", "-Dlog.level=WARN")
_HEAP: Final = ("-Xms64m", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_CLUSTER_ID: Final = "dGFtaXotdGVzdC1jbHVzdA"
_PATIENCE: Final = {"reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 100, "log_level": 0}


class Broker(Server):
    """A broker whose data are in `folder`; its address stays the same, whatever happens to it.

    Topics are made by `AdminClient` alone, never by themselves. What was acknowledged survives `kill`.
    """

    def __init__(self, folder: Path, *, preferred_port: int | None = None) -> None:
        self.servers = f"127.0.0.1:{port(preferred_port)}"
        """As `bootstrap.servers` takes it."""
        java = (*_JAVA, "-cp", str(kafka_libs() / "*"))
        folder.mkdir(parents=True, exist_ok=True)
        properties, data = folder / "server.properties", folder / "data"
        properties.write_text(
            (_HERE / "server.properties.tmpl")
            .read_text(encoding="utf-8")
            .replace("@PORT@", self.servers.rpartition(":")[2])
            .replace("@CONTROLLER@", str(port()))
            .replace("@DATA@", str(data)),
            encoding="utf-8",
        )
        if not (data / "meta.properties").exists():
            tool = ("kafka.tools.StorageTool", "format", f"--cluster-id={_CLUSTER_ID}", "-c", str(properties))
            subprocess.run([*java, *tool], check=True, stdout=subprocess.DEVNULL)
        super().__init__(
            [java[0], *_HEAP, *java[1:], "kafka.Kafka", str(properties)],
            log=folder / "kafka.log",
            answers=self._answers_now,
        )

    def _answers_now(self) -> bool:
        try:
            return bool(AdminClient({"bootstrap.servers": self.servers, **_PATIENCE}).list_topics(timeout=1).brokers)
        except KafkaException:
            return False
