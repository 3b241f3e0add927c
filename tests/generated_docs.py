"""The parts of the documentation that are made from the code.

To renew them after a change: `.venv/bin/python tests/generated_docs.py`.
"""

import ast
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from tamiz import settings
from tamiz.asyncapi import document
from tamiz.cli import cli
from tamiz.settings import Settings

__all__ = ["CLI_PAGE", "README", "ROOT", "TOPICS_PAGE", "between", "cli_page", "settings_table", "topics_page"]

ROOT: Final = Path(__file__).resolve().parents[1]
README: Final = ROOT / "README.md"
CLI_PAGE: Final = ROOT / "docs" / "cli.md"
TOPICS_PAGE: Final = ROOT / "docs" / "asyncapi.json"

_WIDTH: Final = 100
_SETTINGS: Final = ("<!-- settings:start -->", "<!-- settings:end -->")
_UNDOCUMENTED: Final = {
    "openai_base_url": "The server behind `openai:`.",
    "openai_api_key": "The key for `openai:` and `openai+http(s):`; it goes to that server and into no output.",
    "ollama_host": "Where Ollama is.",
}
"""Settings that have neither a docstring nor a flag that tells."""

_CLI_INTRODUCTION: Final = """\
# Command line

What each command says with `--help`. This page is made from the commands; a test keeps it current, and
`.venv/bin/python tests/generated_docs.py` renews it.
"""


def settings_table() -> str:
    """Give all settings as a Markdown table."""
    flags = _flags()
    told = _docstrings()
    aliases = {name: variable for variable, name in settings._ALIASES.items()}
    lines = ["| Setting | Flag | Environment | Default | What it is |", "|---|---|---|---|---|"]
    for name, default in _defaults():
        flag = flags.get(name)
        own = [] if name in settings._TABLES else [f"`TAMIZ_{name.upper()}`"]
        variables = [*own, *([f"`{aliases[name]}`"] if name in aliases else [])]
        what = told.get(name) or (_help(flag) if flag else _UNDOCUMENTED[name])
        cells = (f"`{name}`", f"`{flag.opts[0]}`" if flag else "", ", ".join(variables), default, what)
        lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(lines)


def cli_page() -> str:
    """Give the page of all commands."""
    return "\n".join([_CLI_INTRODUCTION, *_sections(cli, _context(cli, "tamiz", None))])


def topics_page() -> str:
    """Give the AsyncAPI document of the topics."""
    return json.dumps(document(), indent=2) + "\n"


def between(text: str, marks: tuple[str, str] = _SETTINGS) -> str:
    """Give what stands between two marks of a page."""
    return text.partition(marks[0])[2].partition(marks[1])[0].strip()


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    level = "#" * (context.command_path.count(" ") + 2)
    yield f"{level} {context.command_path}\n\n```text\n{command.get_help(context).strip()}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _sections(child, _context(child, name, context))


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    helps = command.context_settings.get("help_option_names")
    return click.Context(
        command, parent, name, terminal_width=_WIDTH, max_content_width=_WIDTH, help_option_names=helps
    )


def _flags() -> dict[str, click.Option]:
    run = cli.get_command(click.Context(cli), "run")
    assert run is not None
    options = {option.name: option for option in run.params if isinstance(option, click.Option)}
    return {name: options[name] for name in Settings.__struct_fields__ if name in options}


def _help(flag: click.Option) -> str:
    return (flag.help or "").partition("  [default")[0]


def _docstrings() -> dict[str, str]:
    """Give the text below each setting's definition, which Python does not keep."""
    (body,) = ast.parse(inspect.getsource(Settings)).body
    assert isinstance(body, ast.ClassDef)
    told = {}
    for field, after in zip(body.body, body.body[1:], strict=False):
        match field, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                told[name] = " ".join(text.split())
    return told


def _defaults() -> Iterator[tuple[str, str]]:
    default = Settings()
    for name in Settings.__struct_fields__:
        value = getattr(default, name)
        if value is None or value in ((), "", {}):
            yield name, "none"
        else:
            yield name, f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _renew() -> None:
    text = README.read_text(encoding="utf-8")
    before, start, rest = text.partition(_SETTINGS[0])
    _, end, after = rest.partition(_SETTINGS[1])
    README.write_text(f"{before}{start}\n{settings_table()}\n{end}{after}", encoding="utf-8")
    CLI_PAGE.write_text(cli_page(), encoding="utf-8")
    TOPICS_PAGE.write_text(topics_page(), encoding="utf-8")


if __name__ == "__main__":
    _renew()
