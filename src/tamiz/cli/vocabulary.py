"""`tamiz vocabulary`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

from tamiz.cli.shared import debug_option, json_option, say_json, table
from tamiz.units import plural

if TYPE_CHECKING:
    from tamiz.vocabulary.contrast import Contrast

__all__ = ["vocabulary"]

_TOP: Final = 15


@click.command(short_help="Contrast the words of human and of model answers.")
@click.argument("source", metavar="DB|FILE|DIR", default="tamiz.db")
@click.option("--out", metavar="FILE", help="All words with their counts and contrasts: .csv, .jsonl or .parquet.")
@json_option("Print the summary as JSON.")
@debug_option
def vocabulary(source: str, out: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way of passing flags
    """Count the words of human and of model answers, and print which tell them apart.

    DB is a state file (tamiz.db unless told otherwise): the reference and the answer of each question that a model was
    called for. FILE is a .csv, .tsv, .jsonl or .parquet file with the columns reference and answer, DIR the counts of
    the Flink job. Contrasts are log-odds ratios with an informative Dirichlet prior, z how many standard deviations
    they are. Stop words, English and Spanish, are left out.
    """
    from tamiz.vocabulary.analysis import analyse, write  # noqa: PLC0415 - only with the extra

    found = analyse(source)
    if out is not None:
        write(found, out)
    if as_json:
        summary = {"words": len(found), "human": sum(each.human for each in found)}
        say_json({**summary, "model": sum(each.model for each in found), **_tops(found)})
        return
    if not found:
        click.echo("no words are there to count")
        return
    tops = _tops(found)
    click.echo(_listed("words of people", tops["most_human"]))
    click.echo()
    click.echo(_listed("words of models", tops["most_model"]))
    if out is not None:
        click.echo(f"{plural(len(found), 'word')} in {out}", err=True)


def _tops(found: "Sequence[Contrast]") -> "dict[str, list[Contrast]]":
    return {
        "most_human": [each for each in found[:_TOP] if each.z > 0],
        "most_model": [each for each in found[: -_TOP - 1 : -1] if each.z < 0],
    }


def _listed(title: str, rows: "Sequence[Contrast]") -> str:
    cells = [(e.word, f"{e.human:,}", f"{e.model:,}", f"{e.log_odds:+.2f}", f"{e.z:+.1f}") for e in rows]
    return table([(title, "people", "models", "log-odds", "z"), *cells])
