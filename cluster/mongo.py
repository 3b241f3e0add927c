"""A server that speaks MongoDB's protocol and keeps its data on disk."""

from pathlib import Path
from typing import Final

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from cluster.install import mongo_python
from cluster.ports import port
from cluster.server import Server

__all__ = ["MongoServer"]

_CHILD: Final = Path(__file__).with_name("mongo_child.py")


class MongoServer(Server):
    """A server whose data are in `folder`; its address stays the same, whatever happens to it.

    It is a replica set of one. What was acknowledged with `w="majority"` and `j=True` survives `kill`; without `j=True`
    some of it does not, which a real server does only where it was told to.
    """

    def __init__(self, folder: Path, *, preferred_port: int | None = None) -> None:
        number = port(preferred_port)
        self.url = f"mongodb://127.0.0.1:{number}"
        """Its address, without a database; `f"{url}/{database}"` is one with it."""
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(
            # Isolated: what this environment has on its path is none of that one's business.
            [str(mongo_python()), "-I", str(_CHILD), str(folder / "data"), str(number)],
            log=folder / "mongo.log",
            answers=self._answers_now,
        )

    def _answers_now(self) -> bool:
        try:
            with MongoClient[dict[str, object]](self.url, serverSelectionTimeoutMS=200) as client:
                client.admin.command("ping")
        except PyMongoError:
            return False
        return True
