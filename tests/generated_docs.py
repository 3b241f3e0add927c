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

__all__ = [
    "CLI_PAGE",
    "ENV_FILE",
    "README",
    "ROOT",
    "STACK_SETS",
    "TOPICS_PAGE",
    "between",
    "cli_page",
    "env_file",
    "settings_table",
    "topics_page",
]

ROOT: Final = Path(__file__).resolve().parents[1]
README: Final = ROOT / "README.md"
CLI_PAGE: Final = ROOT / "docs" / "cli.md"
TOPICS_PAGE: Final = ROOT / "docs" / "asyncapi.json"
ENV_FILE: Final = ROOT / ".env.example"
STACK_SETS: Final = frozenset({"bus", "store", "host", "port", "trust_network"})
"""Settings that `compose.yaml` has for each service, whatever its file of variables says."""

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


_ENV_INTRODUCTION: Final = """\
# Settings of the stack in compose.yaml: copy this file to .env and change what you want. All settings of tamiz are in
# it, with their defaults; it is made from the code, and a test keeps it current. A $ in a value is written $$.
# What only a file can hold (prices, refusal, kafka) goes into a tamiz.toml: docs/containers.md.

# The model, and its key where it needs one. Without any, a simulated one answers.
#TAMIZ_MODEL=openai:gpt-4o-mini
#OPENAI_API_KEY=
# With the profile `ollama`: TAMIZ_MODEL=ollama:NAME, the same name here, and how much memory it may take.
#OLLAMA_MODEL=llama3.2:1b
#OLLAMA_MEMORY=6g
# What the profile `load` sends.
#TRAFFIC_TOTAL=1000
#TRAFFIC_RATE=20

# Ports on localhost, where the usual one is taken.
#TRAFFIC_PORT=5000
#CACHE_PORT=5001
#LLM_PORT=5002
#SCORE_PORT=5003
#STORAGE_PORT=5004
#DASHBOARD_PORT=8000
#KAFKA_PORT=9094
#MONGO_PORT=27017
#FLINK_PORT=8081
#OLLAMA_PORT=11434
#PROMETHEUS_PORT=9090
#GRAFANA_PORT=3000
#GRAFANA_PASSWORD=admin

# How to log in, where a compose.override.yaml names a Kafka elsewhere in TAMIZ_BUS.
#KAFKA_SECURITY_PROTOCOL=
#KAFKA_SASL_MECHANISM=
#KAFKA_SASL_USERNAME=
#KAFKA_SASL_PASSWORD=

# All settings.
"""


def env_file() -> str:
    """Give the file of variables for the containers, which names every setting that a variable can hold."""
    told, flags = _docstrings(), _flags()
    lines = [_ENV_INTRODUCTION.rstrip("\n")]
    for name, default in _defaults():
        if name in settings._TABLES:
            continue
        what = _what(name, told, flags).replace("`None`", "empty")
        if name in STACK_SETS:
            what += " (compose.yaml says what it is.)"
        value = "" if default == "none" else default.strip("`")
        lines.append(f"# {what}\n#TAMIZ_{name.upper()}={value}")
    return "\n".join(lines) + "\n"


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
        what = _what(name, told, flags)
        cells = (f"`{name}`", f"`{flag.opts[0]}`" if flag else "", ", ".join(variables), default, what)
        lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(lines)


def _what(name: str, told: dict[str, str], flags: dict[str, click.Option]) -> str:
    return told.get(name) or (_help(flags[name]) if name in flags else _UNDOCUMENTED[name])


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
    ENV_FILE.write_text(env_file(), encoding="utf-8")


if __name__ == "__main__":
    _renew()
