"""Where a Kafka cluster is, and what its topics are called there."""

import re
from typing import Final, Self
from urllib.parse import parse_qsl

import msgspec

from tamiz.errors import UsageError
from tamiz.messages import Topic

__all__ = ["KafkaAddress"]

_SERVER: Final = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[^\s:/,\[\]]+):\d{1,5}")
_PREFIX: Final = re.compile(r"[A-Za-z0-9._-]{0,100}")


class KafkaAddress(msgspec.Struct, frozen=True, kw_only=True):
    """A Kafka cluster, and a prefix that keeps several tamiz apart on it."""

    servers: str
    """`HOST:PORT`, several of them separated by commas."""
    prefix: str = ""
    """Put before the names of topics and of consumer groups."""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `kafka:HOST:PORT[,HOST:PORT…][?prefix=NAME]`. Raises `UsageError` that says what is wrong with it."""
        scheme, _, rest = url.partition(":")
        servers, _, query = rest.removeprefix("//").partition("?")
        if scheme != "kafka" or not all(_SERVER.fullmatch(server) for server in servers.split(",")):
            raise UsageError(f"--bus {url!r} is not the address of a bus; write it like kafka:localhost:9092")
        options = dict(parse_qsl(query, keep_blank_values=True))
        prefix = options.pop("prefix", "")
        if options or not _PREFIX.fullmatch(prefix):
            raise UsageError(
                f"--bus {url!r}: {next(iter(options), 'prefix')!r} is not right; "
                "a prefix=NAME of letters, digits, '.', '_' and '-' is all that may follow the question mark"
            )
        return cls(servers=servers, prefix=prefix)

    def topic(self, topic: Topic) -> str:
        """Give the name that a topic has on this cluster."""
        return self.prefix + topic

    def group(self, stage: str) -> str:
        """Give the name of a stage's consumer group."""
        return f"{self.prefix}tamiz-{stage}"

    @property
    def url(self) -> str:
        """The address as `parse` takes it."""
        return f"kafka:{self.servers}" + (f"?prefix={self.prefix}" if self.prefix else "")
