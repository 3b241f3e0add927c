"""API keys: who may come in, and whose the questions are."""

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Self

import msgspec

from tamiz.errors import UsageError

__all__ = ["LOCAL", "OPERATOR", "Caller", "Keys", "hashed", "make_key"]

OPERATOR: Final = "operator"
"""The tenant whose keys see everybody's questions and may change how the service works."""

_PREFIX: Final = "tz-"
_SHORTEST: Final = 24
_FEWEST_CHARACTERS: Final = 10
_TENANT: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_HASH: Final = re.compile(r"[0-9a-f]{64}")


class Caller(msgspec.Struct, frozen=True):
    """Who sent a request."""

    tenant: str
    """Whose questions these are; empty where nobody is asked for a key."""
    operator: bool
    """Whether the caller sees everybody's questions and may change how the service works."""

    @property
    def sees(self) -> str | None:
        """The tenant whose questions the caller may see; `None`: everybody's."""
        return None if self.operator else self.tenant


LOCAL: Final = Caller("", operator=True)
"""Whoever reaches a service that asks for no keys."""


class Keys:
    """The keys that let in, each known by its digest alone.

    A key is at least 24 characters of 10 different ones, so a plain SHA-256 of it cannot be turned back by guessing.
    """

    def __init__(self, tenants: dict[str, str]) -> None:
        """Take the tenants by the digests of their keys."""
        self._tenants = [(bytes.fromhex(digest), tenant) for digest, tenant in tenants.items()]

    def __len__(self) -> int:
        return len(self._tenants)

    @classmethod
    def read(cls, path: str, environment: str | None) -> Self:
        """Read those of a file (`TENANT SHA-256` a line), if it is there, and of the environment (`TENANT:KEY …`).

        Raises `UsageError` where a line is wrong, or a key too weak.
        """
        tenants = {digest: tenant for tenant, digest in _lines(path)}
        for part in (environment or "").split():
            tenant, colon, key = part.partition(":")
            if not colon:
                raise UsageError("TAMIZ_API_KEYS: write it like TENANT:KEY, with blanks between several")
            _check_tenant(tenant, "TAMIZ_API_KEYS")
            if len(key) < _SHORTEST or len(set(key)) < _FEWEST_CHARACTERS:
                raise UsageError(
                    f"TAMIZ_API_KEYS: the key of {tenant} is weak: take {_SHORTEST} random characters or more, such as "
                    "`tamiz keys make` gives"
                )
            tenants[hashed(key)] = tenant
        return cls(tenants)

    def caller(self, key: str) -> Caller | None:
        """Give whose key it is, `None` where it is nobody's. Takes as long whichever it is."""
        wanted = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        found = None
        for digest, tenant in self._tenants:
            if hmac.compare_digest(digest, wanted):
                found = tenant
        return None if found is None else Caller(found, operator=found == OPERATOR)


def make_key(path: str, tenant: str) -> str:
    """Make a key for a tenant, add its digest to the file, and give the key, which nothing knows after that.

    Raises `UsageError` where the tenant's name or the file is wrong.
    """
    _check_tenant(tenant, "tenant")
    known = list(_lines(path))
    key = _PREFIX + secrets.token_urlsafe(32)
    text = "".join(f"{name} {digest}\n" for name, digest in [*known, (tenant, hashed(key))])
    _write(path, text)
    return key


def revoke(path: str, tenant: str) -> int:
    """Take all keys of a tenant out of the file; give how many there were."""
    known = list(_lines(path))
    left = [(name, digest) for name, digest in known if name != tenant]
    if len(left) < len(known):
        _write(path, "".join(f"{name} {digest}\n" for name, digest in left))
    return len(known) - len(left)


def hashed(key: str) -> str:
    """Give the SHA-256 of a key, in hexadecimal."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _lines(path: str) -> Iterable[tuple[str, str]]:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the API keys of {path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        tenant, _, digest = line.partition(" ")
        if not _HASH.fullmatch(digest.strip()):
            raise UsageError(f"{path}, line {number}: not `TENANT SHA-256`; make keys with `tamiz keys make TENANT`")
        _check_tenant(tenant, f"{path}, line {number}")
        yield tenant, digest.strip()


def _write(path: str, text: str) -> None:
    """Write the file anew, whole or not at all, for its owner alone."""
    new = Path(f"{path}.new")
    try:
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(file, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        new.replace(path)
    except OSError as error:
        raise UsageError(f"the API keys cannot be written to {path}: {error.strerror or error}") from error


def _check_tenant(tenant: str, where: str) -> None:
    if not _TENANT.fullmatch(tenant):
        raise UsageError(f"{where}: {tenant!r} is no name of a tenant: letters, digits, _ . - and at most 64 of them")
