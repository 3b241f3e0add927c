"""What a report is made of, before it is drawn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from matplotlib.figure import Figure as Canvas

__all__ = ["Document", "Draw", "Figure", "Table"]

Draw = Callable[[Canvas, bool], None]
"""Draws on an empty canvas; the flag is whether it is a narrow one, for a phone."""


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as they are shown. Those of columns from the second on are aligned to the right where they are numbers."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot with its words."""

    name: str
    """Of its files, without the ending; unique within a report."""
    title: str
    draw: Draw
    says: str
    """What the plot shows: sentences that its numbers bear, a paragraph a line."""
    how: str = ""
    """How it was computed, where a reader has to know."""
    table: Table | None = None
    """Its numbers."""
    height: float = 3.4
    """Of the wide canvas, in inches."""
    narrow_height: float | None = None
    """Of the narrow canvas; `None`: a little less than its width."""


@dataclass(slots=True)
class Document:
    """A whole report."""

    title: str
    lead: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    """The few figures that stand at the top: what, and how much."""
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    parameters: list[tuple[str, str]] = field(default_factory=list)
    machine: list[tuple[str, str]] = field(default_factory=list)
    preset: str = ""
    """The text of the file that the experiment was started with."""
    missing: list[str] = field(default_factory=list)
    """What could not be shown, and why."""
