"""Summaries, as text for people and as JSON for programs."""

from typing import Any

from tamiz.hosts.batch import Summary
from tamiz.units import plural

__all__ = ["summary_json", "summary_text"]


def summary_json(summary: Summary, state: str, out: str | None) -> dict[str, Any]:
    """Give the summary as one JSON object."""
    totals = summary.totals
    return {
        "rows": totals.rows,
        "rows_read": summary.read,
        "all_rows_read": summary.all_read,
        "rows_written": summary.written,
        "first_open_row": summary.first_open,
        "accepted": totals.accepted,
        "exhausted": totals.exhausted,
        "failed": totals.failed,
        "unscored": totals.unscored,
        "mean_score": _mean(summary),
        "sources": totals.sources,
        "saved_calls": totals.saved,
        "model_calls": summary.all_calls,
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
    rate = f", {summary.finished / summary.seconds:,.0f} questions/s" if summary.finished and summary.seconds else ""
    lines = [
        ("questions", _rows(summary) + (f", {summary.known:,} known from before" if summary.known else "")),
        (
            "outcomes",
            f"{totals.accepted:,} accepted, {totals.exhausted:,} exhausted, {totals.failed:,} failed"
            + (f" ({totals.unscored:,} accepted without a score)" if totals.unscored else ""),
        ),
        ("mean score", "none" if mean is None else f"{mean:.3f}"),
        ("model calls", f"{summary.all_calls:,} ({summary.calls:,} in this run){_cost(summary)}"),
        (
            "saved calls",
            f"{totals.saved:,} ("
            + ", ".join(f"{totals.sources.get(source, 0):,} {source}" for source in ("cache", "store", "coalesced"))
            + ")"
            + (f", about ${summary.cost.saved:,.4f}" if summary.cost else ""),
        ),
        ("retried", plural(totals.retries, "failed call") + (f": {kinds}" if kinds else "")),
        ("regenerated", f"{plural(totals.refused, 'answer')} fell short"),
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


def _rows(summary: Summary) -> str:
    rows = summary.totals.rows
    if summary.stopped is None:
        return f"{rows:,}"
    read = f"{summary.read:,}" if summary.all_read else f"the {summary.read:,} read so far"
    still = "" if summary.first_open is None else f" (row {summary.first_open:,} is still open)"
    have = "has" if rows == 1 else "have"
    return f"{rows:,} of {read} {have} an outcome, {plural(summary.written, 'row')} written{still}"


def _in_flight(summary: Summary) -> str:
    calls = summary.finished_late + summary.abandoned
    if not calls:
        return ""
    said = f"{summary.finished_late:,} ended in time and {summary.abandoned:,} were given up (they are made again)"
    return f"\nof {plural(calls, 'call')} in flight {said}"


def _cost(summary: Summary) -> str:
    if summary.cost is None:
        return ""
    without = f" without {', '.join(summary.cost.unpriced)}" if summary.cost.unpriced else ""
    return f", ${summary.cost.spent:,.4f}{without}"


def _mean(summary: Summary) -> float | None:
    totals = summary.totals
    return round(totals.score_sum / totals.scored, 4) if totals.scored else None
