"""The embedded store, on the state file.

Nothing here commits: what is recorded becomes durable with the event that caused it, in the state file's next commit.
Writes are held back until then and go out in bulk; each class sees its own.
"""

from tamiz.store.sqlite.answers import SqliteAnswers
from tamiz.store.sqlite.claims import SqliteClaims
from tamiz.store.sqlite.deferrals import SqliteDeferrals
from tamiz.store.sqlite.endpoints import SqliteEndpoints

__all__ = ["SqliteAnswers", "SqliteClaims", "SqliteDeferrals", "SqliteEndpoints"]
