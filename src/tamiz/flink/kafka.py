"""The user's Kafka settings, which have librdkafka's names, in the words of the Java client that Flink has."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tamiz.errors import UsageError

__all__ = ["PLAIN_LOGIN", "SCRAM_LOGIN", "java_properties"]

PLAIN_LOGIN: Final = "org.apache.kafka.common.security.plain.PlainLoginModule"
SCRAM_LOGIN: Final = "org.apache.kafka.common.security.scram.ScramLoginModule"

_LOGINS: Final = {"PLAIN": PLAIN_LOGIN, "SCRAM-SHA-256": SCRAM_LOGIN, "SCRAM-SHA-512": SCRAM_LOGIN}
_SECURITY: Final = ("security.", "sasl.", "ssl.", "enable.ssl.")
"""How the names begin that must not be left out; the others tune librdkafka, which is not what reads here."""
_SAME: Final = frozenset({"ssl.keystore.password", "ssl.key.password"})

_PEM: Final = {
    "ssl.ca": "ssl.truststore.certificates",
    "ssl.certificate": "ssl.keystore.certificate.chain",
    "ssl.key": "ssl.keystore.key",
}
"""With `.location` or `.pem` behind them: a file, or what is in it."""
_STORE_OF: Final = {
    "ssl.truststore.certificates": "ssl.truststore.type",
    "ssl.keystore.certificate.chain": "ssl.keystore.type",
    "ssl.keystore.key": "ssl.keystore.type",
}
_OLD_KEY: Final = "PRIVATE KEY-----"


def java_properties(properties: Mapping[str, str | int | float | bool]) -> dict[str, str]:
    """Give the properties for the Java client that make it as safe as these make librdkafka.

    Certificates and keys are read here and travel as text, so that no other machine needs the files. What tunes
    librdkafka is left out. Raises `UsageError` where a property that has to do with security cannot be told to the Java
    client, or a file cannot be read.
    """
    found: dict[str, str] = {}
    login: dict[str, str] = {}
    for name, value in properties.items():
        text = str(value)
        if name in {"sasl.username", "sasl.password"}:
            login[name] = text
        elif name in _SAME:
            found[name] = text
        elif pem := _PEM.get(name.removesuffix(".location").removesuffix(".pem")):
            found[pem] = _pem(name, text)
            found[_STORE_OF[pem]] = "PEM"
        elif translate := _OTHERS.get(name):
            found.update(translate(text))
        elif name.startswith(_SECURITY):
            raise UsageError(f"[kafka] {name!r}: the Flink job cannot be told that; leave it out, or run judge workers")
    if login:
        found["sasl.jaas.config"] = _jaas(found.get("sasl.mechanism"), login)
    return found


def _protocol(text: str) -> dict[str, str]:
    return {"security.protocol": text.upper()}


def _mechanism(text: str) -> dict[str, str]:
    if text not in _LOGINS:
        raise UsageError(
            f"[kafka] sasl.mechanism {text!r}: the Flink job knows {', '.join(_LOGINS)}; use one, or run judge workers"
        )
    return {"sasl.mechanism": text}


def _algorithm(text: str) -> dict[str, str]:
    return {"ssl.endpoint.identification.algorithm": "" if text == "none" else text}


def _verification(text: str) -> dict[str, str]:
    if text.lower() != "true":
        raise UsageError(
            "[kafka] enable.ssl.certificate.verification: Flink's client always verifies; name the authority's "
            "certificate in ssl.ca.location, or run judge workers"
        )
    return {}


def _keystore(text: str) -> dict[str, str]:
    return {"ssl.keystore.type": "PKCS12", "ssl.keystore.location": text}


_OTHERS: Final[dict[str, Callable[[str], dict[str, str]]]] = {
    "security.protocol": _protocol,
    "sasl.mechanism": _mechanism,
    "sasl.mechanisms": _mechanism,
    "ssl.endpoint.identification.algorithm": _algorithm,
    "enable.ssl.certificate.verification": _verification,
    "ssl.keystore.location": _keystore,
}


def _pem(name: str, text: str) -> str:
    if name.endswith(".location"):
        try:
            text = Path(text).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"[kafka] {name}: {text!r} cannot be read as a PEM file: {error}") from None
    # Java reads a key in PKCS #8 only; the older formats name the algorithm
    if name.startswith("ssl.key.") and _OLD_KEY in text and not _is_pkcs8(text):
        raise UsageError(
            f"[kafka] {name}: Java reads keys in PKCS #8 only; make one with: openssl pkcs8 -topk8 -in KEY"
        )
    return text


def _is_pkcs8(text: str) -> bool:
    return "-----BEGIN PRIVATE KEY-----" in text or "-----BEGIN ENCRYPTED PRIVATE KEY-----" in text


def _jaas(mechanism: str | None, login: Mapping[str, str]) -> str:
    if mechanism is None or len(login) < len(("sasl.username", "sasl.password")):
        raise UsageError("[kafka]: sasl.username and sasl.password need each other, and a sasl.mechanism")
    username, password = _quoted(login["sasl.username"]), _quoted(login["sasl.password"])
    return f"{_LOGINS[mechanism]} required username={username} password={password};"


def _quoted(text: str) -> str:
    """Write a text as JAAS reads it: a Java string, in which a backslash begins an escape."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
