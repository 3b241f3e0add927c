"""The quality bar: what an answer must reach, how often a question may be asked again."""

from typing import Literal

import msgspec

from tamiz.messages import Terms

__all__ = ["Policy"]


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """When an answer is good enough, and when to stop trying."""

    threshold: float = 0.3
    """The least score in [0, 1] that is accepted."""
    attempts: int = 3
    """How many answers to one question are judged before the best of them is kept as not accepted."""
    unscored: Literal["accept", "retry"] = "accept"
    """What becomes of an answer that could not be scored."""

    def under(self, terms: Terms | None) -> "Policy":
        """Give the policy for a question with these terms."""
        if terms is None or terms.threshold is None:
            return self
        return msgspec.structs.replace(self, threshold=terms.threshold)

    def passes(self, score: float | None) -> bool:
        """Tell whether an answer with this score is accepted; `None` is an answer that could not be scored."""
        if score is None:
            return self.unscored == "accept"
        return score >= self.threshold
