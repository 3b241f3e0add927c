"""The commands of the README work as typed, and print what it shows."""

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import click
import pytest

from running import tamiz_environment
from tamiz.cli import cli
from tamiz.settings import _ALIASES, load_settings
from waiting import PATIENCE

ROOT: Final = Path(__file__).resolve().parents[2]
README: Final = (ROOT / "README.md").read_text(encoding="utf-8")

_BLOCK: Final = re.compile(
    r"^(?:<!-- (?P<mark>run|file: \S+) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_MASKS: Final = (
    (re.compile(r"\b[0-9a-f]{32}\b"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "TIME"),
    (re.compile(r'"latency_ms":[\d.]+'), '"latency_ms":0'),
    (re.compile(r"\b\d+ ms\b"), "0 ms"),
    (re.compile(r"\b[\d.]+ s\b(, [\d,]+ questions/s)?"), "0 s"),
    (re.compile(r"\b[\d.,]+ MB\b"), "0 MB"),
)
"""What differs from one run to the next."""


class Step(NamedTuple):
    """A command, and what the README shows below it."""

    command: str
    output: str


class Block(NamedTuple):
    """A fenced block, with its mark: `run` to be run, `file: NAME` to be written first."""

    mark: str
    language: str
    text: str


BLOCKS: Final = [Block(found["mark"] or "", found["language"], found["text"]) for found in _BLOCK.finditer(README)]


def steps(text: str) -> list[Step]:
    """Take a console block apart."""
    found: list[Step] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append(Step(line.removeprefix("$ "), ""))
        elif found:
            found[-1] = Step(found[-1].command, found[-1].output + line + "\n")
    return found


def masked(text: str) -> str:
    for pattern, mask in _MASKS:
        text = pattern.sub(mask, text)
    return text.strip()


def play(blocks: Iterable[Block], folder: Path) -> Iterator[tuple[Step, str]]:
    """Type the marked blocks, one after another, and give each command with what it printed."""
    environment = tamiz_environment()
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    for block in blocks:
        if block.mark.startswith("file: "):
            (folder / block.mark.removeprefix("file: ")).write_text(block.text, encoding="utf-8")
        for step in steps(block.text) if block.mark == "run" else ():
            words = shlex.split(step.command)
            if words[0] == "export":
                environment.update({name: value for name, _, value in (word.partition("=") for word in words[1:])})
                continue
            done = subprocess.run(
                ["bash", "-c", step.command],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
            yield step, done.stdout


def test_the_readme_shows_what_its_commands_print(tmp_path: Path) -> None:
    """All marked blocks in one folder, as a reader would type them."""
    ran = 0
    for step, printed in play(BLOCKS, tmp_path):
        assert masked(printed) == masked(step.output), step.command
        ran += 1
    assert ran > 0


def _unmarked() -> list[str]:
    lines = [
        line.removeprefix("$ ").partition("  #")[0].strip()
        for block in BLOCKS
        if block.mark == "" and block.language in {"bash", "console", "sh"}
        for line in block.text.splitlines()
    ]
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("line", _unmarked())
def test_commands_that_are_not_run_can_be_typed(line: str) -> None:
    """Those that need a network, a key or much time: each is a command that exists, with options that it takes."""
    words = shlex.split(line.removesuffix("&"))  # in the background
    while words and re.fullmatch(r"\w+=.*", words[0]):
        del words[0]
    match words:
        case ["export", *values]:
            load_settings({}, dict(value.partition("=")[::2] for value in values))
            assert {value.partition("=")[0] for value in values} <= {*_ALIASES}, line
        case ["tamiz", *arguments]:
            _parse(arguments)
        case ["make", target, *_]:
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), line
        case _:
            assert words[:2] in (["pip", "install"], ["git", "clone"], ["python", "-m"]), line


def _parse(arguments: list[str]) -> None:
    command: click.Command = cli
    context = click.Context(cli, info_name="tamiz", **cli.context_settings)
    while isinstance(command, click.Group) and not arguments[0].startswith("-"):
        name, child, arguments = command.resolve_command(context, arguments)
        assert child is not None
        command, context = child, click.Context(child, info_name=name, parent=context)
    with contextlib.suppress(click.exceptions.Exit):  # --help
        command.make_context(context.info_name, arguments, parent=context.parent)
