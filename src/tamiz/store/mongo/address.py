"""Where a MongoDB is, fit to be shown."""

import re
from typing import Final, Self

import msgspec

from tamiz.errors import UsageError

__all__ = ["MongoAddress"]

_SCHEMES: Final = ("mongodb", "mongodb+srv")
_EXAMPLE: Final = "write it as mongodb://HOST/DATABASE"
_DATABASE: Final = re.compile(r'[^/\\. "$*<>:|?\x00]{1,63}')
_DEFAULT: Final = "tamiz"


class MongoAddress(msgspec.Struct, frozen=True, kw_only=True):
    """A database of a MongoDB server or cluster."""

    url: str
    """As it was given, with the user and the password."""
    database: str
    shown: str
    """The scheme, the hosts and the database alone: options may hold secrets too."""

    def __repr__(self) -> str:
        return f"MongoAddress({self.shown!r})"

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `mongodb://[USER:PASSWORD@]HOST[:PORT][,HOST…][/DATABASE][?OPTIONS]`; the database's default is `tamiz`.

        Raises `UsageError` that says what is wrong, and shows neither the user nor the password.
        """
        scheme, colon, rest = url.partition("://")
        if not colon or scheme not in _SCHEMES:
            given = repr(scheme) if colon else "no scheme"
            raise UsageError(f"the store's address has {given}: {_EXAMPLE}")
        before, _, _ = rest.partition("?")
        servers, _, database = before.partition("/")
        user, _, hosts = servers.rpartition("@")
        if "@" in user or "@" in database:
            raise UsageError(
                "the store's address has characters in its user or password that have to be written as %40 (@), "
                "%2F (/), %3A (:), %25 (%) and the like"
            )
        if not hosts:
            raise UsageError(f"the store's address names no host: {_EXAMPLE}")
        if database and not _DATABASE.fullmatch(database):
            raise UsageError(f"the store's database is {database!r}, which is no name of one: {_EXAMPLE}")
        database = database or _DEFAULT
        return cls(url=url, database=database, shown=f"{scheme}://{hosts}/{database}")
