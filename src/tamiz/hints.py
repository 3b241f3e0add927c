"""What a model is told of its last answer, so that the next one differs.

Nothing of the reference is in it: what was found beside the reference is told as "wrong", whatever it was.
"""

from collections.abc import Sequence
from typing import Final

__all__ = ["hint"]

_TOLD: Final = {
    "refusal": "it did not answer the question. Answer it directly, as well as you can",
    "echo": "it repeated the question. Say what the answer is",
    "junk": "it was not a text that answers the question. Answer in plain sentences, in the language of the question",
    "truncated": "it stopped before its end. Give a shorter answer that is complete",
    "off topic": "it was about something else. Answer the question that was asked",
    "conflict": "it was wrong. Think again",
    "meaning": "it was wrong. Think again",
}


def hint(reasons: Sequence[str]) -> str | None:
    """Give a sentence or two on what was wrong with an answer, for the next attempt; `None` where there is no reason.

    `reasons` are those of a `Score`. What a user's own check says is passed on as it is.
    """
    told: list[str] = []
    for reason in reasons:
        check, _, said = reason.partition(": ")
        text = _TOLD.get(check, said or reason)
        if text not in told:
            told.append(text)
    if not told:
        return None
    return "Your last answer was not accepted: " + "; and ".join(told) + "."
