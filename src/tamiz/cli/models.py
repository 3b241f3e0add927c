"""`tamiz models`: lists and fetches local models."""

from pathlib import Path

import click

from tamiz.cli.options import settings_of
from tamiz.cli.shared import debug_option, json_option, say_json, table
from tamiz.models.catalogue import listing
from tamiz.models.catalogue import pull as fetch

__all__ = ["models"]


@click.group(short_help="List or fetch local models.")
def models() -> None:
    """Local models: run by llama.cpp in this process, without a server or a key."""


@models.command("list")
@json_option("One JSON object for each model, in a list.")
@debug_option
def list_(as_json: bool) -> None:  # noqa: FBT001 - click's way of passing flags
    """List the local models that have a name, and where each is kept."""
    found = listing(_cache())
    if as_json:
        say_json(
            [
                {
                    "name": each.model.name,
                    "url": f"local:{each.model.name}",
                    "bytes": each.model.size,
                    "licence": each.model.licence,
                    "package": each.model.package,
                    "path": None if each.path is None else str(each.path),
                }
                for each in found
            ]
        )
        return
    click.echo(
        table(
            [
                (
                    f"local:{each.model.name}",
                    f"{each.model.size / 1e6:,.0f} MB",
                    each.model.licence,
                    f"not fetched: tamiz models pull {each.model.name}" if each.path is None else str(each.path),
                )
                for each in found
            ]
        )
    )
    click.echo("any other .gguf file: --model local:PATH.gguf", err=True)


@models.command("pull")
@click.argument("name")
@debug_option
def pull(name: str) -> None:
    """Fetch the model NAME once, check it, and print where it is."""
    click.echo(fetch(name, lambda line: click.echo(line, err=True), _cache()))


def _cache() -> Path:
    return Path(settings_of({}).cache_dir).expanduser()
