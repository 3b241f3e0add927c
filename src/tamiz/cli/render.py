"""Summaries, as text for people and as JSON for programs."""

from typing import Any

from tamiz.hosts.batch import Summary

__all__ = ["summary_json", "summary_text"]


def summary_json(summary: Summary, state: str, out: str | None) -> dict[str, Any]:
    """Give the summary as one JSON object."""
    totals = summary.totals
    return {
        "rows": totals.rows,
        "accepted": totals.accepted,
        "exhausted": totals.exhausted,
        "failed": totals.failed,
        "unscored": totals.unscored,
        "mean_score": _mean(summary),
        "sources": totals.sources,
        "saved_calls": totals.saved,
        "model_calls": totals.attempts + totals.retries,
        "answers_judged": totals.attempts,
        "answers_refused": totals.refused,
        "failed_calls": totals.retries,
        "failed_calls_by_kind": totals.failures,
        "this_run": {
            "model_calls": summary.calls,
            "tokens": summary.tokens,
            "known_rows": summary.known,
            "seconds": round(summary.seconds, 3),
        },
        "cost": None if summary.cost is None else round(summary.cost.spent, 6),
        "saved_cost": None if summary.cost is None else round(summary.cost.saved, 6),
        "stopped": summary.stopped,
        "state": state,
        "out": out,
    }


def summary_text(summary: Summary, state: str, flags: str, out: str | None) -> str:
    """Give the summary as a few aligned lines; `flags` name the state in another command."""
    totals = summary.totals
    mean = _mean(summary)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(totals.failures.items()))
    new = totals.rows - min(summary.known, totals.rows)
    rate = f", {new / summary.seconds:,.0f} questions/s" if new and summary.seconds > 0 else ""
    lines = [
        (
            "questions",
            f"{totals.rows:,}"
            + (" finished so far" if summary.stopped else "")
            + (f", {summary.known:,} known from before" if summary.known else ""),
        ),
        (
            "outcomes",
            f"{totals.accepted:,} accepted, {totals.exhausted:,} exhausted, {totals.failed:,} failed"
            + (f" ({totals.unscored:,} accepted without a score)" if totals.unscored else ""),
        ),
        ("mean score", "none" if mean is None else f"{mean:.3f}"),
        ("model calls", f"{totals.attempts + totals.retries:,} ({summary.calls:,} in this run){_cost(summary)}"),
        (
            "saved calls",
            f"{totals.saved:,} ("
            + ", ".join(f"{totals.sources.get(source, 0):,} {source}" for source in ("cache", "store", "coalesced"))
            + ")"
            + (f", about ${summary.cost.saved:,.4f}" if summary.cost else ""),
        ),
        ("retried", f"{totals.retries:,} failed calls" + (f": {kinds}" if kinds else "")),
        ("regenerated", f"{totals.refused:,} answers fell short"),
        ("time", f"{summary.seconds:.1f} s{rate}"),
        ("kept in", state + (f", rows in {out}" if out else "")),
    ]
    text = "\n".join(f"{name:>12}  {value}" for name, value in lines)
    if summary.stopped is not None:
        why = "interrupted" if summary.stopped == "interrupted" else "a budget is spent"
        text += f"\n{why}: the same command goes on from here" + (
            " (raise --max-calls or --max-tokens first)" if summary.stopped == "budget" else _in_flight(summary)
        )
    if totals.failed:
        text += f"\nwhy questions failed: tamiz dead list {flags}"
    return text


def _in_flight(summary: Summary) -> str:
    calls = summary.finished_late + summary.abandoned
    if not calls:
        return ""
    return (
        f"\nof {calls:,} calls in flight {summary.finished_late:,} ended in time and {summary.abandoned:,} were given "
        "up (they are made again)"
    )


def _cost(summary: Summary) -> str:
    if summary.cost is None:
        return ""
    without = f" without {', '.join(summary.cost.unpriced)}" if summary.cost.unpriced else ""
    return f", ${summary.cost.spent:,.4f}{without}"


def _mean(summary: Summary) -> float | None:
    totals = summary.totals
    return round(totals.score_sum / totals.scored, 4) if totals.scored else None
