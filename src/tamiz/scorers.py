"""Makes a scorer by its name, with the checks that the user switched off or added."""

from collections.abc import Sequence
from typing import Final

from tamiz.errors import UsageError
from tamiz.scoring import Scorer, TfidfScorer

__all__ = ["SCORERS", "make_scorer"]

SCORERS: Final = ("gate", "gate-vectors", "tfidf")


def make_scorer(name: str, checks: Sequence[str] = ()) -> Scorer:
    """Make the scorer of that name; `checks` are those of `--check`.

    Raises `UsageError` where the name, or what a check says, is not known, and where an extra is missing.
    """
    if name not in SCORERS:
        raise UsageError(f"there is no scorer {name!r}; choose from: {', '.join(SCORERS)}")
    if name == "tfidf" and not checks:
        return TfidfScorer()
    from tamiz.gate.checked import Checked  # noqa: PLC0415 - whoever uses tfidf alone does not wait for the gate
    from tamiz.gate.checks import parse_checks  # noqa: PLC0415

    off, own = parse_checks(checks)
    scorer: Scorer
    if name == "tfidf":
        if off:
            raise UsageError(f"--check {off[0]}=off: the scorer 'tfidf' has no checks of its own; choose --scorer gate")
        scorer = TfidfScorer()
    else:
        from tamiz.gate.scorer import GateScorer  # noqa: PLC0415

        scorer = GateScorer(off=off, vectors=name == "gate-vectors")
    return Checked(scorer, own) if own else scorer
