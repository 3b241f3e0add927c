import re
from pathlib import Path
from typing import Final

import click
import pytest

from generated_docs import CLI_PAGE, README, ROOT, between, cli_page, settings_table
from tamiz.cli import cli
from tamiz.models.factory import CHOICES
from tamiz.settings import Settings

PAGES: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
ARCHITECTURE: Final = ROOT / "docs" / "architecture.md"

_FENCED: Final = re.compile(r"^(```+).*?^\1", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"^#+ +(.+)$", re.MULTILINE)
_TEST: Final = re.compile(r"(?:unit|contract|integration|acceptance)/test_\w+\.py(?:::\w+)?")


def test_every_setting_is_documented() -> None:
    """The README's table has each setting, with its flag, variable and default as they are."""
    table = between(README.read_text(encoding="utf-8"))
    for name in Settings.__struct_fields__:
        assert f"| `{name}` |" in table
    assert table == settings_table(), "renew it: .venv/bin/python tests/generated_docs.py"


def test_no_setting_is_left_unexplained() -> None:
    for line in settings_table().splitlines():
        assert line.split(" | ")[-1].removesuffix("|").strip(), line


def test_the_page_of_commands_is_current() -> None:
    assert CLI_PAGE.read_text(encoding="utf-8") == cli_page(), "renew it: .venv/bin/python tests/generated_docs.py"


def test_every_command_is_in_the_readme() -> None:
    text = README.read_text(encoding="utf-8")
    for name in cli.list_commands(click.Context(cli)):
        assert f"`tamiz {name}" in text, name


def test_every_kind_of_model_is_in_the_readme() -> None:
    text = README.read_text(encoding="utf-8")
    schemes = {line.split(":")[0].strip() for line in CHOICES.splitlines()}
    for scheme in schemes:
        assert f"`{scheme}:" in text, scheme


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page: Path) -> None:
    """Each link to a file names one that exists, and each link to a heading one that its page has."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    for link in _LINK.findall(text):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name} links to {link}"
        if heading:
            assert heading in _headings(target), f"{page.name} links to {link}"


def test_every_test_that_the_map_names_exists() -> None:
    named = _TEST.findall(ARCHITECTURE.read_text(encoding="utf-8"))
    assert named
    for name in named:
        path, _, function = name.partition("::")
        file = ROOT / "tests" / path
        assert file.is_file(), name
        if function:
            assert f"def {function}(" in file.read_text(encoding="utf-8"), name


def test_every_module_that_the_map_names_exists() -> None:
    """Paths below `src/tamiz/` in backticks are files or folders."""
    text = _FENCED.sub("", ARCHITECTURE.read_text(encoding="utf-8"))
    for name in re.findall(r"`((?:\w+/)+\w*(?:\.py)?|\w+\.py)`", text):
        places = (ROOT / name, ROOT / "src" / "tamiz" / name)
        assert any(place.exists() for place in places), name


def _headings(page: Path) -> set[str]:
    """Give the anchors of a page, as GitHub makes them."""
    titles = _HEADING.findall(_FENCED.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}
