"""The page: one HTML file that needs nothing beside it."""

import re
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files

from tamiz.reports.document import Document, Table
from tamiz.reports.style import Drawn

__all__ = ["page"]

_NUMBER = re.compile(r"(less than |more than )?-?[\d,.]+(e[-+]?\d+)?( ?(%|µs|ms|s|min|h|days|MB|GB))?( .*)?")

_UNIT = re.compile(r"(\d) (%|µs|ms|s|min|h|days)(?!\w)")


def page(document: Document, drawn: Sequence[Drawn]) -> str:
    """Write the page. Every text in it is data, and escaped."""
    style = files("tamiz.reports").joinpath("page.css").read_text(encoding="utf-8")
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        # nothing is loaded and nothing runs, whatever the data are
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{escape(document.title)}</title>",
        f"<style>{style}</style>",
        "</head>",
        "<body>",
        "<header>",
        f"<h1>{escape(document.title)}</h1>",
        f"<p>{_text(document.lead)}</p>",
        "</header>",
        "<main>",
        *_facts(document),
        *(f'<p class="missing">{_text(text)}</p>' for text in document.missing),
        *(line for each in drawn for line in _figure(each)),
        *_tables(document),
        *_pairs("Parameters", document.parameters),
        *_preset(document),
        *_pairs("Machine", document.machine),
        "</main>",
        "</body>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def _text(text: str) -> str:
    """Escape a text, and keep its numbers with their units."""
    return _UNIT.sub(r"\1&nbsp;\2", escape(text))


def _facts(document: Document) -> Iterator[str]:
    if document.facts:
        yield '<dl class="facts">'
        for what, much in document.facts:
            yield f"<div><dt>{escape(what)}</dt><dd>{_text(much)}</dd></div>"
        yield "</dl>"


def _figure(drawn: Drawn) -> Iterator[str]:
    figure = drawn.figure
    name, title = escape(figure.name), escape(figure.title)
    yield f'<section aria-labelledby="{name}">'
    yield f'<h2 id="{name}">{title}</h2>'
    yield "<figure>"
    for kind, svg in (("wide", drawn.wide), ("narrow", drawn.narrow)):
        yield f'<div class="{kind}" role="img" aria-label="Plot: {title}. What it shows is told below.">{svg}</div>'
    yield "<figcaption>"
    for paragraph in figure.says.splitlines():
        yield f"<p>{_text(paragraph)}</p>"
    if figure.how:
        yield f'<p class="how">{_text(figure.how)}</p>'
    yield "</figcaption></figure>"
    if figure.table is not None:
        yield "<details><summary>The numbers</summary>"
        yield from _table(figure.table)
        yield "</details>"
    yield f'<p class="files">{title} as <a href="{name}.svg">SVG</a> and <a href="{name}.png">PNG</a></p>'
    yield "</section>"


def _tables(document: Document) -> Iterator[str]:
    for table in document.tables:
        yield f"<section><h2>{escape(table.title)}</h2>"
        yield from _table(table)
        yield "</section>"


def _table(table: Table) -> Iterator[str]:
    numeric = [
        index > 0 and all(not row[index] or _NUMBER.fullmatch(row[index]) for row in table.rows)
        for index in range(len(table.head))
    ]
    # whoever has no mouse scrolls a wide table with the keys
    yield f'<div class="scrolls" role="group" tabindex="0" aria-label="{escape(table.title)}"><table>'
    yield "<thead><tr>"
    for text, right in zip(table.head, numeric, strict=True):
        tag = "th" if text else "td"
        scope = ' scope="col"' if text else ""
        yield f"<{tag}{scope}{_side(right)}>{escape(text)}</{tag}>"
    yield "</tr></thead><tbody>"
    for row in table.rows:
        cells = "".join(f"<td{_side(right)}>{_text(text)}</td>" for text, right in zip(row, numeric, strict=True))
        yield f"<tr>{cells}</tr>"
    yield "</tbody></table></div>"
    if table.note:
        yield f'<p class="how">{escape(table.note)}</p>'


def _side(right: bool) -> str:  # noqa: FBT001 - one thing to tell
    return ' class="n"' if right else ""


def _pairs(title: str, pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    if pairs:
        yield f'<section><h2>{title}</h2><dl class="pairs">'
        for name, value in pairs:
            yield f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
        yield "</dl></section>"


def _preset(document: Document) -> Iterator[str]:
    if document.preset:
        yield "<details><summary>The experiment's file</summary>"
        yield f'<pre tabindex="0">{escape(document.preset)}</pre></details>'
