from pathlib import Path

import msgspec
import pytest

from tamiz.errors import UsageError
from tamiz.flink.kafka import PLAIN_LOGIN, SCRAM_LOGIN, java_properties
from tamiz.flink.plan import Plan
from tamiz.policy import Policy
from tamiz.settings import Settings

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nMIIC\n-----END PRIVATE KEY-----\n"
OLD_KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIC\n-----END RSA PRIVATE KEY-----\n"


def planned(**settings: object) -> Plan:
    return Plan.of(
        msgspec.convert({"bus": "kafka:h:1?prefix=p.", **settings}, Settings),
        job_id="1" * 32,
        checkpoints="file:///c",
        every=1.0,
        remember=60.0,
        state_backend="rocksdb",
        exactly_once=False,
    )


@pytest.mark.parametrize(("mechanism", "login"), [("PLAIN", PLAIN_LOGIN), ("SCRAM-SHA-512", SCRAM_LOGIN)])
@pytest.mark.parametrize("name", ["sasl.mechanism", "sasl.mechanisms"])
def test_a_password_becomes_a_login_module(mechanism: str, login: str, name: str) -> None:
    found = java_properties(
        {"security.protocol": "sasl_ssl", name: mechanism, "sasl.username": "me", "sasl.password": 'a"b\\c'}
    )
    assert found == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": mechanism,
        "sasl.jaas.config": rf'{login} required username="me" password="a\"b\\c";',
    }


def test_certificates_and_keys_travel_as_text(tmp_path: Path) -> None:
    """No machine of Flink's needs the files, from which all of it is read here."""
    files = {"ca": CERTIFICATE, "certificate": CERTIFICATE, "key": KEY}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    by_file = {f"ssl.{name}.location": str(tmp_path / name) for name in files}
    by_text = {f"ssl.{name}.pem": text for name, text in files.items()}
    wanted = {
        "ssl.truststore.type": "PEM",
        "ssl.truststore.certificates": CERTIFICATE,
        "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": CERTIFICATE,
        "ssl.keystore.key": KEY,
        "ssl.key.password": "secret",
    }
    assert java_properties({**by_file, "ssl.key.password": "secret"}) == wanted
    assert java_properties({**by_text, "ssl.key.password": "secret"}) == wanted


def test_what_tunes_librdkafka_is_left_out() -> None:
    assert java_properties({"linger.ms": 5, "socket.keepalive.enable": True, "log_level": 3}) == {}


@pytest.mark.parametrize(
    ("properties", "why"),
    [
        ({"sasl.oauthbearer.method": "oidc"}, "sasl.oauthbearer.method"),
        ({"sasl.mechanism": "GSSAPI"}, "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"),
        ({"sasl.username": "me", "sasl.mechanism": "PLAIN"}, "need each other"),
        ({"sasl.username": "me", "sasl.password": "p"}, "a sasl.mechanism"),
        ({"enable.ssl.certificate.verification": False}, "always verifies"),
        ({"ssl.ca.location": "/no/such/file"}, "cannot be read"),
        ({"ssl.key.pem": OLD_KEY}, "openssl pkcs8 -topk8"),
        ({"ssl.engine.location": "/x"}, "judge workers"),
    ],
)
def test_what_cannot_be_told_to_flink_is_refused(properties: dict[str, str | bool], why: str) -> None:
    """Nothing that has to do with security is left out in silence."""
    with pytest.raises(UsageError, match=why):
        java_properties(properties)


def test_a_plan_holds_what_a_worker_takes_from_the_settings() -> None:
    plan = planned(threshold=0.5, attempts=4, unscored="retry", flink_parallelism=3)
    assert plan.policy == Policy(threshold=0.5, attempts=4, unscored="retry")
    assert (plan.parallelism, plan.name, plan.group) == (3, "p.tamiz-judge", "p.tamiz-judge")
    assert plan.topics == {
        name: f"p.{name}" for name in ("llm_responses", "validated_responses", "regeneration_requests", "dead_letters")
    }
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan


def test_a_plan_knows_its_secrets() -> None:
    plan = planned(
        kafka={"sasl.mechanism": "PLAIN", "sasl.username": "me", "sasl.password": "hush", "ssl.key.pem": KEY}
    )
    assert {"hush", KEY, plan.kafka["sasl.jaas.config"]} == {*plan.secrets}


def test_a_fingerprint_tells_plans_apart() -> None:
    """It is shown on Flink's pages, so it tells nothing of secrets."""
    login = {"sasl.mechanism": "PLAIN", "sasl.username": "me"}
    plan = planned(kafka={**login, "sasl.password": "hush"})
    assert plan.fingerprint == planned(kafka={**login, "sasl.password": "other"}).fingerprint
    assert plan.fingerprint == msgspec.structs.replace(plan, job_id="2" * 32).fingerprint
    assert plan.fingerprint != planned(kafka={**login, "sasl.password": "hush"}, threshold=0.9).fingerprint


def test_a_plan_needs_a_bus_and_a_scorer_that_can_be_made() -> None:
    with pytest.raises(UsageError, match="--bus"):
        planned(bus=None)
    with pytest.raises(UsageError, match="scorer"):
        planned(check=["refusal=off"])
