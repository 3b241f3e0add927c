"""`tamiz serve` and `tamiz keys`."""

from typing import Any

import click

from tamiz.cli.options import serving_options, settings_of, with_settings
from tamiz.cli.shared import debug_option, say_strange_places
from tamiz.clock import SystemClock
from tamiz.settings import load_settings
from tamiz.telemetry.telling import telling
from tamiz.units import plural

__all__ = ["keys", "serve"]


def _say(text: str) -> None:
    click.echo(f"tamiz: {text}", err=True)


@click.command(short_help="Serve all that tamiz does over HTTP, on one port.")
@serving_options
@with_settings
@debug_option
def serve(**flags: Any) -> None:  # noqa: ANN401 - click passes flags by name
    """Answer questions over HTTP until Ctrl-C or SIGTERM: the services, an OpenAI-compatible endpoint, a live page.

    What was taken in is kept in the state file, and goes on with the next start. With --bus and --store it serves a
    cluster: questions go to its workers, and no model is needed here.
    """
    settings = settings_of(flags)
    if settings.bus is not None and not flags["state"]:
        from tamiz.http.serve_cluster import serve_cluster  # noqa: PLC0415 - only with the extras

        with telling(settings, SystemClock()) as told:
            serve_cluster(settings, told)
        return
    from tamiz.http.serve import serve as run  # noqa: PLC0415 - only with the extra

    with telling(settings, SystemClock()) as told:
        say_strange_places(settings.prompt, told.say)
        run(settings, told)


@click.group(short_help="Make or revoke API keys.")
def keys() -> None:
    """Make or revoke API keys: a tenant sees its own questions alone, and the tenant `operator` all that there are."""


@keys.command("make", short_help="Make a key.")
@click.argument("tenant")
@click.option("--keys", metavar="FILE", help="Where their digests are kept.  [default: tamiz.keys]")
@debug_option
def make(tenant: str, keys: str | None) -> None:
    """Make a key for a tenant and print it, once: only its digest is kept."""
    from tamiz.http.keys import make_key  # noqa: PLC0415 - like the others

    path = load_settings({"keys": keys}).keys
    click.echo(make_key(path, tenant))
    _say(f"a key of {tenant}; its digest is in {path}, the key itself nowhere. Services read the file when they start")


@keys.command("revoke", short_help="Revoke a tenant's keys.")
@click.argument("tenant")
@click.option("--keys", metavar="FILE", help="Where their digests are kept.  [default: tamiz.keys]")
@debug_option
def revoke(tenant: str, keys: str | None) -> None:
    """Revoke all keys of a tenant; services that run take note when they start again."""
    from tamiz.http.keys import revoke as take  # noqa: PLC0415 - likewise

    path = load_settings({"keys": keys}).keys
    count = take(path, tenant)
    _say(f"{plural(count, 'key')} of {tenant} revoked")
    click.get_current_context().exit(0 if count else 1)
