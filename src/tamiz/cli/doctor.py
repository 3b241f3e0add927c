"""`tamiz doctor`: says what is usable, and how to mend what is not."""

import asyncio
from collections.abc import Iterator

import click

from tamiz.cli.checks import (
    Check,
    check_bus,
    check_disk,
    check_extras,
    check_models,
    check_settings,
    check_state,
    check_store,
    check_versions,
)
from tamiz.cli.options import state_option
from tamiz.cli.shared import debug_option, json_option, plain, say_json

__all__ = ["doctor"]


@click.command(short_help="Say whether model and state file are usable, and how to mend what is not.")
@click.option("--model", multiple=True, metavar="URL", help="A model to check; may be given several times.")
@state_option
@json_option("Print the checks as one JSON object.")
@debug_option
def doctor(model: tuple[str, ...], state: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """Check the installation, the settings, the state file (of a cluster: bus and store) and the models.

    What is not right comes with the way to mend it.

    No model is asked a question: a server is asked for the list of its models. Exit code 0 where all is well, else 1.
    """
    checks = []
    for check in _checks(model, state):
        checks.append(check)
        if not as_json:
            click.echo(_line(check))
    fine = all(check.ok for check in checks)
    if as_json:
        say_json({"ok": fine, "checks": checks})
    click.get_current_context().exit(0 if fine else 1)


def _checks(model: tuple[str, ...], state: str | None) -> Iterator[Check]:
    yield check_versions()
    yield check_extras()
    settings, check = check_settings(model, state)
    yield check
    if settings.bus is None:
        yield check_state(settings.state)
        yield check_disk(settings.state)
    else:
        yield check_bus(settings)
        yield check_store(settings)
    yield from asyncio.run(check_models(settings))


def _line(check: Check) -> str:
    mark = click.style("ok     ", fg="green") if check.ok else click.style("problem", fg="red", bold=True)
    remedy = "" if check.remedy is None else f"; {check.remedy}"
    return f"{mark}  {check.name:<8}  " + plain(check.detail + remedy).replace("\n", "\n" + " " * 19)
