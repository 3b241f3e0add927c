"""Options that several commands share."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from tamiz.settings import Settings, load_settings

__all__ = ["cluster_options", "serving_options", "settings_of", "state_option", "with_settings"]

F = TypeVar("F", bound=Callable[..., Any])

_SERVING: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    (
        "--host",
        {
            "metavar": "ADDRESS",
            "help": "Where to listen; beyond this machine, API keys are asked for.  [default: 127.0.0.1]",
        },
    ),
    ("--port", {"metavar": "N", "help": "The port.  [default: 8000; of a worker that of its service]"}),
    ("--queue", {"metavar": "N", "help": "Most questions open at once.  [default: 1000]"}),
    ("--log", {"metavar": "text|json", "help": "How to log, on stderr.  [default: text]"}),
    (
        "--log-level",
        {"metavar": "LEVEL", "help": "The least that is logged as JSON: debug, info, warning, error.  [default: info]"},
    ),
)
_RUN: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("--model", {"multiple": True, "metavar": "URL", "help": "The model; more than once for failover, in order."}),
    ("--escalate", {"multiple": True, "metavar": "URL", "help": "The model for attempts after the first."}),
    ("--threshold", {"metavar": "SCORE", "help": "The least score that is accepted, 0 to 1.  [default: 0.3]"}),
    ("--attempts", {"metavar": "N", "help": "Answers judged per question.  [default: 3]"}),
    ("--retries", {"metavar": "N", "help": "Failed calls allowed per attempt.  [default: 5]"}),
    ("--scorer", {"metavar": "NAME", "help": "How answers are scored: tfidf, gate or gate-vectors.  [default: tfidf]"}),
    (
        "--check",
        {
            "multiple": True,
            "metavar": "NAME=off",
            "help": "A check of the gate that is off, or one of your own: see docs/scoring.md.",
        },
    ),
    (
        "--unscored",
        {"metavar": "accept|retry", "help": "What becomes of an answer without a score.  [default: accept]"},
    ),
    (
        "--concurrency",
        {"metavar": "N", "help": "Most model calls in flight; fewer where the server takes no more.  [default: 64]"},
    ),
    ("--timeout", {"metavar": "TIME", "help": "Most time for one call, such as 30s or 2m.  [default: 60s]"}),
    ("--connect-timeout", {"metavar": "TIME", "help": "Most time until a connection stands.  [default: 10s]"}),
    ("--first-byte-timeout", {"metavar": "TIME", "help": "Most time until an answer begins.  [default: --timeout]"}),
    ("--stall-timeout", {"metavar": "TIME", "help": "Most time between two parts of an answer.  [default: 30s]"}),
    (
        "--give-up-after",
        {"metavar": "TIME", "help": "Stop when no model could be called for so long.  [default: never]"},
    ),
    ("--prompt", {"metavar": "FILE", "help": "A prompt template with {title} and {content}."}),
    ("--system", {"metavar": "TEXT", "help": "The system prompt."}),
    ("--max-answer-tokens", {"metavar": "N", "help": "The longest answer a model may give."}),
    ("--seed", {"metavar": "N", "help": "For sampling and jitter.  [default: 0]"}),
    (
        "--columns",
        {"metavar": "ROLE=NAME,…", "help": 'Which column is what: question=Question,reference="Best Answer".'},
    ),
    ("--limit", {"metavar": "N", "help": "Take only the first N rows."}),
    ("--max-calls", {"metavar": "N", "help": "Stop after so many model calls, all runs on the state file together."}),
    ("--max-tokens", {"metavar": "N", "help": "Stop after so many tokens, likewise."}),
    ("--cache-policy", {"metavar": "lru|fifo|lfu", "help": "What the cache in memory evicts.  [default: lru]"}),
    ("--cache-size", {"metavar": "N", "help": "Answers kept in memory, 0 for none.  [default: 10000]"}),
    (
        "--cache-ttl",
        {
            "metavar": "TIME",
            "help": "How long an answer in memory is good for, not one in the state file.  [default: for ever]",
        },
    ),
)


def state_option(command: F) -> F:
    """Add `--state`."""
    return click.option("--state", metavar="FILE", help="The durable log and store.  [default: tamiz.db]")(command)


def cluster_options(*, store: bool = True) -> Callable[[F], F]:
    """Add `--bus` and `--store`."""

    def add(command: F) -> F:
        if store:
            command = click.option("--store", metavar="URL", help="A cluster's database: mongodb://HOST/DATABASE.")(
                command
            )
        text = "A Kafka cluster: kafka:HOST:PORT[,…][?prefix=NAME].  [default: this process alone]"
        return click.option("--bus", metavar="URL", help=text)(command)

    return add


def serving_options(command: F) -> F:
    """Add those of services."""
    for flag, how in reversed(_SERVING):
        command = click.option(flag, **how)(command)
    return command


def with_settings(command: F) -> F:
    """Add the options that are settings; none has a default here, since each default is written once, in `Settings`."""
    for flag, how in reversed(_RUN):
        command = click.option(flag, **how)(command)
    return state_option(cluster_options()(command))


def settings_of(flags: dict[str, Any]) -> Settings:
    """Gather the settings, with the flags that are settings on top; `None` is not given."""
    return load_settings({name: value for name, value in flags.items() if name in Settings.__struct_fields__})
