"""The store of a cluster, on MongoDB.

Every call is durable when it returns, may be repeated, and may be made by several processes at once. There is no
transaction over several documents: what has to hold between them is kept by the order in which they are written.
"""

from tamiz.store.mongo.store import MongoStore

__all__ = ["MongoStore"]
