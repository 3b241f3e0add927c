"""Rows as readers give them in lists."""

from tamiz.store.lives import Answered

__all__ = ["answered"]


def answered(number: int, at: float, outcome: str = "accepted") -> Answered:
    """Give an outcome of that time, to a question that was asked a second before."""
    return Answered(
        message_id=f"o{number}",
        id=None,
        question="Q?",
        reference=None,
        answer="A",
        outcome=outcome,
        score=0.5,
        reason=None,
        reasons=(),
        kind=None,
        source="model",
        attempts=1,
        retries=0,
        model="m",
        latency_ms=1.0,
        created_at=at - 1,
        finished_at=at,
        tenant="",
    )
