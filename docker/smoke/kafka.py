"""Runs a broker as Kafka's image does: the variables `KAFKA_…` are its properties, and its data outlive it."""

import os
import subprocess
from pathlib import Path
from typing import Final

_CONFIG: Final = Path("/opt/kafka/config/server.properties")
_JAVA: Final = ("java", "-Dlog4j2.configurationFile=/opt/kafka/log4j2.properties", "-Dlog.level=WARN")
_NOT_PROPERTIES: Final = ("KAFKA_HEAP_OPTS", "KAFKA_OPTS")


def main() -> None:
    """Write the configuration, prepare new data, and become the broker."""
    properties = {_property(name): value for name, value in os.environ.items() if _is_property(name)}
    _CONFIG.write_text("".join(f"{name}={value}\n" for name, value in properties.items()), encoding="utf-8")
    java = (*_JAVA, *os.environ.get("KAFKA_HEAP_OPTS", "").split(), "-cp", "/opt/kafka/libs/*")
    tool = ("kafka.tools.StorageTool", "format", "--ignore-formatted", f"--cluster-id={os.environ['CLUSTER_ID']}")
    subprocess.run([*java, *tool, "-c", str(_CONFIG)], check=True)
    os.execvp(java[0], [*java, "kafka.Kafka", str(_CONFIG)])  # noqa: S606 - what the image is for


def _is_property(name: str) -> bool:
    return name.startswith("KAFKA_") and name not in _NOT_PROPERTIES


def _property(variable: str) -> str:
    """Give the property that a variable stands for, as Kafka's image reads it."""
    name = variable.removeprefix("KAFKA_").lower()
    return name.replace("___", "-").replace("__", "\0").replace("_", ".").replace("\0", "_")


if __name__ == "__main__":
    main()
