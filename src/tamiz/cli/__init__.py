"""The command line: parse, call, render. Each command is imported only when it is used."""

import os
import sys
import traceback
from importlib import import_module
from typing import Final

import click

from tamiz import __version__
from tamiz.errors import TamizError

__all__ = ["main"]

_COMMANDS: Final = {
    "run": ("tamiz.cli.run", "Take every question of the files to its outcome."),
    "serve": ("tamiz.cli.serve", "Serve all that tamiz does over HTTP, on one port."),
    "keys": ("tamiz.cli.serve", "Make or revoke API keys."),
    "worker": ("tamiz.cli.worker", "Run stages as a member of a Kafka cluster."),
    "topics": ("tamiz.cli.worker", "Make or list the topics of a Kafka cluster."),
    "show": ("tamiz.cli.inspect", "Show the whole life of one question."),
    "status": ("tamiz.cli.inspect", "Count questions by outcome, and what is still open."),
    "dead": ("tamiz.cli.dead", "List, show, replay or export dead letters."),
    "export": ("tamiz.cli.export", "Write accepted (or all) rows to a file."),
    "traffic": ("tamiz.cli.traffic", "Ask a dataset's questions by popularity and arrival process."),
    "report": ("tamiz.cli.report", "Write a page with plots of a run, an experiment or traffic."),
    "experiment": ("tamiz.cli.experiment", "Measure a grid of settings, and report on it."),
    "vocabulary": ("tamiz.cli.vocabulary", "Contrast the words of human and of model answers."),
    "score": ("tamiz.cli.score", "Score rows of question, answer and reference."),
    "calibrate": ("tamiz.cli.calibrate", "Find the threshold for a wanted loss or catch."),
    "models": ("tamiz.cli.models", "List or fetch local models."),
    "doctor": ("tamiz.cli.doctor", "Say whether model and state file are usable, and how to mend what is not."),
}


_EXTRAS: Final = {
    "confluent_kafka": "kafka,mongo",
    "duckdb": "lab",
    "matplotlib": "lab",
    "numpy": "lab",
    "pymongo": "kafka,mongo",
    "litestar": "serve",
    "uvicorn": "serve",
    "httptools": "serve",
    "prometheus_client": "serve",
    "opentelemetry": "telemetry",
    "pyarrow": "lab",
}
"""Packages that only an extra brings; others say so where they are used."""


class _Lazy(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        """Run the command; where the reader of its output goes away, say so (click itself would end without a word)."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or what is still buffered fails at exit
            raise TamizError("the reader of the output went away; the same command writes it again") from error

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """Name the commands."""
        return [*_COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Import a command."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(_COMMANDS[cmd_name][0]), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, "-V", "--version", message="tamiz %(version)s")
@click.option("--debug", is_flag=True, help="Show a traceback with an error.")
def cli(debug: bool) -> None:  # noqa: FBT001 - read by main(), and click's way of passing flags
    """Answer questions with any LLM, keep only the answers that pass a quality bar, lose none.

    Exit codes: 0 all done and none failed, 1 error, 2 wrong usage or input, 3 some questions failed, 4 a budget is
    spent, 130 interrupted. After 1, 4 and 130 the same command goes on where it stopped.
    """


def main() -> None:
    """Run the command line and exit with its code; an error is a line or two on stderr."""
    try:
        sys.exit(cli.main(prog_name="tamiz", standalone_mode=False))
    except click.Abort:
        click.echo("tamiz: aborted, nothing was changed", err=True)
        sys.exit(130)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        where = f" (see `{error.ctx.command_path} --help`)" if isinstance(error, click.UsageError) and error.ctx else ""
        click.echo(f"tamiz: {error.format_message()}{where}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        click.echo("tamiz: interrupted", err=True)
        sys.exit(130)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        _trace(error)
        click.echo(f"tamiz: this needs an extra that is not installed: pip install 'tamiz[{extra}]'", err=True)
        sys.exit(2)
    except (TamizError, OSError) as error:
        _trace(error)
        click.echo(f"tamiz: {error}", err=True)
        sys.exit(error.exit_code if isinstance(error, TamizError) else 1)


def _trace(error: Exception) -> None:
    """Show where an error comes from, where that was asked for; the exit code is the same."""
    if "--debug" in sys.argv:
        traceback.print_exception(error)
