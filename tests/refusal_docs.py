"""The part of docs/refusals.md that is made from the shipped rules.

To renew it after a change: `.venv/bin/python tests/refusal_docs.py`.
"""

import re
import tomllib
from pathlib import Path
from typing import Any, Final

from generated_docs import ROOT
from tamiz.models.refusals import TABLE

__all__ = ["MARKS", "PAGE", "comments", "entries", "refusal_table"]

PAGE: Final[Path] = ROOT / "docs" / "refusals.md"
MARKS: Final = ("<!-- refusals:start -->", "<!-- refusals:end -->")

_COMMENTED: Final = re.compile(r"((?:^#.*\n)+)\[\[refusal\]\]$", re.MULTILINE)


def entries() -> list[dict[str, Any]]:
    """Give the shipped entries as they are written."""
    found: list[dict[str, Any]] = tomllib.loads(TABLE.read_text(encoding="utf-8"))["refusal"]
    return found


def comments() -> list[str]:
    """Give the comment above each entry that has one."""
    blocks = _COMMENTED.findall(TABLE.read_text(encoding="utf-8"))
    return [" ".join(line.removeprefix("#").strip() for line in block.splitlines()) for block in blocks]


def refusal_table() -> str:
    """Give the shipped entries as a Markdown table, in their order."""
    lines = ["| | Kind | Status | Asks for | Why |", "|---|---|---|---|---|"]
    for number, (entry, why) in enumerate(zip(entries(), comments(), strict=True), 1):
        status = ", ".join(map(str, entry["status"]))
        asks = " or ".join(key for key in ("code", "message") if key in entry)
        lines.append(f"| {number} | `{entry['kind']}` | {status} | {asks} | {why} |")
    return "\n".join(lines)


def _renew() -> None:
    before, start, rest = PAGE.read_text(encoding="utf-8").partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    PAGE.write_text(f"{before}{start}\n{refusal_table()}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    _renew()
