"""Counts words as a batch job: `flink run -pym tamiz.flink.vocabulary …`, or with plain Python on this machine alone.

Reads JSON Lines with the columns `reference` and `answer`, a file or a folder that all of Flink's machines see, and
leaves the counts in a folder that `tamiz vocabulary` reads. The words are counted in Flink's SQL, without Python.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pyflink.common import Configuration
from pyflink.table import EnvironmentSettings, TableEnvironment

from tamiz.vocabulary.rules import WORD

__all__ = ["main"]

_ANSWERS: Final = """
CREATE TEMPORARY TABLE answers (reference STRING, answer STRING)
WITH ('connector' = 'filesystem', 'path' = {source}, 'format' = 'json')
"""
_COUNTS: Final = """
CREATE TEMPORARY TABLE counts (side STRING, word STRING, n BIGINT)
WITH ('connector' = 'filesystem', 'path' = {out}, 'format' = 'json')
"""
_COUNT: Final = """
INSERT OVERWRITE counts
SELECT side, word, COUNT(*) FROM (
    SELECT 'human' AS side, reference AS text FROM answers WHERE reference IS NOT NULL
    UNION ALL
    SELECT 'model' AS side, answer AS text FROM answers WHERE answer IS NOT NULL
) CROSS JOIN UNNEST(REGEXP_EXTRACT_ALL(text, {word}, 0)) AS words (word)
GROUP BY side, word
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the job; return once its counts are there."""
    parser = argparse.ArgumentParser(prog="tamiz.flink.vocabulary", description=__doc__)
    parser.add_argument("source", metavar="SOURCE", help="the JSON Lines file, or a folder of such files")
    parser.add_argument("out", metavar="DIR", help="where the counts go; what is there is replaced")
    options = parser.parse_args(arguments)
    settings = EnvironmentSettings.new_instance().in_batch_mode().with_configuration(Configuration()).build()
    tables = TableEnvironment.create(settings)
    tables.execute_sql(_ANSWERS.format(source=_literal(_uri(options.source))))
    tables.execute_sql(_COUNTS.format(out=_literal(_uri(options.out))))
    tables.execute_sql(_COUNT.format(word=_literal(WORD))).wait()


def _uri(path: str) -> str:
    return path if "://" in path else Path(path).resolve().as_uri()


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


if __name__ == "__main__":
    main(sys.argv[1:])
