"""Which of several measured means is ahead, as far as the measurements tell."""

from collections.abc import Callable, Mapping

from tamiz.reports.interval import Mean
from tamiz.reports.numbers import joined

__all__ = ["ahead"]


def ahead(means: Mapping[str, Mean], what: str, show: Callable[[float], str], *, most: bool = True) -> str:
    """Say who has the highest (or lowest) of `what`, and who cannot be told apart from it.

    A sentence without its stop; empty of fewer than two.
    """
    if len(means) < 2:  # noqa: PLR2004 - nobody to compare with
        return ""
    order = sorted(means, key=lambda label: (-means[label].value if most else means[label].value, label))
    best, top = order[0], means[order[0]]
    word = "highest" if most else "lowest"
    equal = [label for label in order if means[label].value == top.value]
    if len(equal) == len(order):
        return f"all have the same {what}, {show(top.value)}"
    if len(equal) > 1:
        return f"the {word} {what}, {show(top.value)}, is shared by {joined(equal)}"
    second = means[order[1]]
    if top.n == 1 or second.n == 1:
        return (
            f"the {word} {what} is that of {best}, {show(top.value)}, before {order[1]} with {show(second.value)}; "
            "measured once, so chance is not ruled out"
        )
    level = [label for label in order[1:] if not means[label].apart(top)]
    if level:
        return (
            f"the {word} mean {what} is that of {best}, {show(top.value)}, but its interval overlaps with "
            f"{'that' if len(level) == 1 else 'those'} of {joined(level)}: these repetitions do not tell them apart"
        )
    return f"the {word} {what} is that of {best}, {show(top.value)}, before {order[1]} with {show(second.value)}"
