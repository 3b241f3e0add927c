"""Bad answers made from good ones, for who has none: of the other rows' and of the question's own words."""

from collections.abc import Sequence

from tamiz.identity import digest

__all__ = ["spoil"]

_REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "As an AI language model, I do not have an answer to this.",
    "I don't have enough information to say.",
    "It depends on many things, and nobody can say for sure.",
)


def spoil(pairs: Sequence[tuple[str, str]]) -> list[tuple[int, str, str]]:
    """Make bad answers of (question, good answer) pairs; give (the pair's number, what was done, the bad answer).

    Of each pair: another pair's answer, a refusal, the question itself, the answer cut at its middle. The same pairs
    give the same answers. A made answer that equals the good one is left out.
    """
    made: list[tuple[int, str, str]] = []
    for number, (question, answer) in enumerate(pairs):
        chance = int(digest(question, answer, size=4), 16)
        other = pairs[(number + 1 + chance % max(1, len(pairs) - 1)) % len(pairs)][1]
        tries = (
            ("mismatch", other),
            ("refusal", _REFUSALS[chance % len(_REFUSALS)]),
            ("echo", question),
            ("truncation", answer[: len(answer) // 2].rstrip()),
        )
        made.extend((number, what, text) for what, text in tries if text.strip() and text.strip() != answer.strip())
    return made
