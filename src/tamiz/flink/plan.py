"""All that the job has to know, gathered where it is submitted, so that no machine of Flink's needs any settings."""

import re
from typing import Final, Self

import msgspec

from tamiz.bus.address import KafkaAddress
from tamiz.errors import UsageError
from tamiz.flink.kafka import java_properties
from tamiz.identity import digest
from tamiz.messages import Topic
from tamiz.policy import Policy
from tamiz.scorers import make_scorer
from tamiz.settings import Settings
from tamiz.stages.judge import Judge

__all__ = ["JUDGED", "PARAMETER", "Plan", "job_name"]

JUDGED: Final = (Topic.VALIDATED_RESPONSES, Topic.REGENERATION_REQUESTS, Topic.DEAD_LETTERS)
"""The topics that the job writes."""


PARAMETER: Final = "tamiz.settings"
"""The job parameter that has the plan's fingerprint."""

_SECRET: Final = frozenset({"sasl.jaas.config", "ssl.keystore.key", "ssl.keystore.password", "ssl.key.password"})
_PASSWORD: Final = re.compile(r'password="((?:[^"\\]|\\.)+)"')


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The job, as data. It holds secrets (`kafka`): it is never shown, and its file is for one reader."""

    job_id: str
    """32 hexadecimal digits; Flink takes no second job with it."""
    name: str
    servers: str
    group: str
    topics: dict[Topic, str]
    """Their names on the cluster."""
    kafka: dict[str, str]
    """Properties of the Java client."""
    scorer: str
    checks: tuple[str, ...]
    policy: Policy
    parallelism: int
    checkpoints: str
    """The URI of the folder that the checkpoints of this job go to; all machines of Flink's see it."""
    every: float
    """Seconds from checkpoint to checkpoint."""
    remember: float
    """Seconds that the last attempt judged is remembered."""
    state_backend: str
    exactly_once: bool

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        job_id: str,
        checkpoints: str,
        every: float,
        remember: float,
        state_backend: str,
        exactly_once: bool,
    ) -> Self:
        """Take from the settings what a judge worker takes. Raises `UsageError`."""
        address = _address(settings)
        make_scorer(settings.scorer, settings.check)
        return cls(
            job_id=job_id,
            name=job_name(settings),
            servers=address.servers,
            group=address.group("judge"),
            topics={topic: address.topic(topic) for topic in (Topic.LLM_RESPONSES, *JUDGED)},
            kafka=java_properties(settings.kafka),
            scorer=settings.scorer,
            checks=settings.check,
            policy=Policy(threshold=settings.threshold, attempts=settings.attempts, unscored=settings.unscored),
            parallelism=settings.flink_parallelism,
            checkpoints=checkpoints,
            every=every,
            remember=remember,
            state_backend=state_backend,
            exactly_once=exactly_once,
        )

    def judge(self) -> Judge:
        """Make the judge."""
        return Judge(make_scorer(self.scorer, self.checks), self.policy)

    @property
    def fingerprint(self) -> str:
        """A digest of all but the id and the secrets, which tells whether another plan would make the same job."""
        shown = {name: value for name, value in self.kafka.items() if name not in _SECRET}
        return digest(msgspec.json.encode(msgspec.structs.replace(self, job_id="", kafka=shown)).decode())

    @property
    def secrets(self) -> list[str]:
        """The texts that nobody is to see."""
        found = [value for name, value in self.kafka.items() if name in _SECRET]
        return [secret for value in found for secret in (value, *_PASSWORD.findall(value)) if secret]


def job_name(settings: Settings) -> str:
    """Give the name of the job, which is that of its consumer group. Raises `UsageError`."""
    return _address(settings).group("judge")


def _address(settings: Settings) -> KafkaAddress:
    if settings.bus is None:
        raise UsageError("no bus given: name the Kafka cluster with --bus kafka:HOST:PORT (or KAFKA_BOOTSTRAP_SERVERS)")
    return KafkaAddress.parse(settings.bus)
