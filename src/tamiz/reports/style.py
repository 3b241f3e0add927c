"""How plots look, and how they become SVG and PNG: the same bytes each time."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice, pairwise
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from tamiz.reports.document import Figure

__all__ = ["COLOURS", "INK", "MUTED", "Drawn", "draw", "legend", "lines", "soften"]

INK: Final = "#1b1f24"
MUTED: Final = "#57606a"
_GRID: Final = "#d8dee4"
_PAPER: Final = "#ffffff"
COLOURS: Final = ("#0060a8", "#c24a00", "#007a5a", "#9b3a78", "#6b5900", "#3d6fb4", "#4a4f55")
"""Of lines, darker than the palette of Okabe and Ito that they follow, so that each stands out from white."""
_DASHES: Final = ("-", (0, (5, 2)), (0, (1, 1.4)), (0, (6, 2, 1, 2)), (0, (3, 1)), (0, (8, 2, 1, 2, 1, 2)), "-")
_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")

_VARIABLES: Final = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    _GRID: "var(--grid)",
    _PAPER: "var(--paper)",
    **{colour: f"var(--s{number})" for number, colour in enumerate(COLOURS)},
}
_WIDE: Final = 7.6
_NARROW: Final = 3.7

_TEXT: Final = 9
"""Size of all text, in points."""
_BESIDE: Final = 6.5 * _TEXT
"""What an entry of a legend takes beside its label, in points: the line, and the blanks around it."""

_RC: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": _TEXT,
    "axes.titlesize": _TEXT,
    "axes.titlelocation": "left",
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "figure.facecolor": _PAPER,
    "axes.facecolor": _PAPER,
    "hatch.linewidth": 0.8,
    "lines.linewidth": 1.7,
    "lines.markersize": 5,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "figure.constrained_layout.use": True,
    "path.simplify": True,
}


@dataclass(frozen=True, slots=True)
class Drawn:
    """A plot as SVG for the page, on a wide canvas and on a narrow one."""

    figure: Figure
    wide: str
    narrow: str


def lines(number: int) -> list[dict[str, Any]]:
    """Give so many line styles that differ in colour, dashes and marker."""
    styles = zip(cycle(COLOURS), cycle(_DASHES), cycle(_MARKERS), strict=False)
    return [
        {"color": colour, "linestyle": dashes, "marker": marker} for colour, dashes, marker in islice(styles, number)
    ]


def soften(axes: Axes, *, grid: str = "y") -> None:
    """Leave only the grid lines that help to read values."""
    axes.grid(visible=False)
    axes.grid(visible=True, axis=grid)  # type: ignore[arg-type]  # "x", "y" or "both"
    axes.tick_params(length=3)


def legend(canvas: Canvas) -> None:
    """Put a legend above the plots, in as many columns as there is room for, so that no label is cut off."""
    named = {
        label: handle for axes in canvas.axes for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    room = 72 * canvas.get_figwidth()
    columns = next((n for n in range(len(named), 1, -1) if _wide([*named], n) <= room), 1)
    canvas.legend(named.values(), named, loc="outside upper left", ncols=columns)


def _wide(labels: Sequence[str], columns: int) -> float:
    """Give how wide a legend of so many columns is, in points."""
    font = FontProperties(family="DejaVu Sans", size=_TEXT)
    widths = [text_to_path.get_text_width_height_descent(label, font, ismath=False)[0] + _BESIDE for label in labels]
    rows, longer = divmod(len(labels), columns)
    starts = [column * rows + min(column, longer) for column in range(columns + 1)]
    return sum(max(widths[start:stop]) for start, stop in pairwise(starts))


def draw(figure: Figure, folder: Path) -> Drawn:
    """Draw a plot, write NAME.svg and NAME.png into the folder, and give it for the page."""
    with mpl.rc_context(_look(figure.name)):
        canvas = _canvas(figure, narrow=False)
        wide = _svg(canvas)
        (folder / f"{figure.name}.svg").write_text(wide, encoding="utf-8")
        canvas.savefig(folder / f"{figure.name}.png", dpi=160, metadata={"Software": None})
    with mpl.rc_context(_look(figure.name + "-narrow")):
        narrow = _svg(_canvas(figure, narrow=True))
    return Drawn(figure, _inline(wide, figure.name), _inline(narrow, figure.name + "-n"))


def _look(salt: str) -> Any:  # noqa: ANN401 - matplotlib lists its hundreds of names in a type
    return {**_RC, "svg.hashsalt": salt}


def _canvas(figure: Figure, *, narrow: bool) -> Canvas:
    height = (figure.narrow_height or 3.3) if narrow else figure.height
    canvas = Canvas(figsize=(_NARROW if narrow else _WIDE, height))
    figure.draw(canvas, narrow)
    return canvas


def _svg(canvas: Canvas) -> str:
    file = io.StringIO()
    canvas.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return file.getvalue()


def _inline(svg: str, prefix: str) -> str:
    """Make an SVG file part of a page: colours by the page's scheme, the page's font, ids that are nobody else's."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    referred = set(re.findall(r"#([\w.-]+)", " ".join(re.findall(r'(?:xlink:href="|url\()#[\w.-]+', svg))))
    svg = re.sub(r' id="([\w.-]+)"', lambda m: f' id="{prefix}-{m[1]}"' if m[1] in referred else "", svg)
    svg = re.sub(r'(xlink:href="|url\()#', rf"\g<1>#{prefix}-", svg)
    svg = re.sub(r"font-family:[^;\"]*;?\s*", "", svg)
    svg = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    head, _, rest = svg.partition(">")
    box = re.search(r'viewBox="[^"]*"', head)
    return (
        f'<svg {box[0] if box else ""} aria-hidden="true" focusable="false" xmlns="http://www.w3.org/2000/svg" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink">{rest.strip()}'
    )
