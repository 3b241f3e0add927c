"""A scorer with a user's own checks before it."""

from collections.abc import Sequence

from tamiz.gate.own import Check
from tamiz.scoring import Score, Scorer

__all__ = ["Checked"]


class Checked:
    """Scores 0.0 what a check of the user's own objects to, with what each of them says; else as the scorer does.

    So a threshold above 0 refuses what the user forbids, whatever the reference says.
    """

    def __init__(self, scorer: Scorer, checks: Sequence[Check]) -> None:
        self.name = scorer.name
        self._scorer = scorer
        self._checks = tuple(checks)

    def score(self, answer: str, reference: str | None, question: str = "") -> Score:
        """Ask the checks, then the scorer."""
        said = tuple(found for check in self._checks if (found := check(question, answer)) is not None)
        return Score(0.0, reasons=said) if said else self._scorer.score(answer, reference, question)
