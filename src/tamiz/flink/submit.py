"""Starts the judge's Flink job, once: `python -m tamiz.flink.submit`.

It needs a running Flink cluster whose TaskManagers can import tamiz and msgspec, and Flink's client. Whoever calls it
again, or twice at once, gets the job that runs.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TextIO

import msgspec

from tamiz.errors import TamizError, UsageError
from tamiz.flink.checkpoints import newest, uri
from tamiz.flink.client import Client
from tamiz.flink.jobmanager import FlinkError, JobManager
from tamiz.flink.keep import keep
from tamiz.flink.plan import PARAMETER, Plan, job_name
from tamiz.identity import digest
from tamiz.settings import Settings, load_settings
from tamiz.units import seconds

__all__ = ["main"]

_SHORTEST: Final = 0.01
"""Seconds: more often Flink makes no checkpoints."""
_TRIES: Final = 20
"""Job ids that are tried, where the ones before are of jobs that ended."""
_LOOK: Final = 5.0
"""Seconds between two looks whether a job that is kept still runs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; give its exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = load_settings({"bus": options.bus})
        if options.stop:
            _stop(options, settings)
        elif options.keep:
            _keep(options, settings)
        else:
            _submit(options, settings)
    except TamizError as error:
        _say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        if options.keep:
            return 0
        _say("interrupted; the same command goes on where this one stopped")
        return 130
    return 0


def _submit(options: argparse.Namespace, settings: Settings) -> None:
    """Have the job run, and print its id."""
    folder = _folder(options, settings)
    plan = Plan.of(
        settings,
        job_id="",
        checkpoints=folder,
        every=options.checkpoint_every,
        remember=options.remember,
        state_backend=options.state_backend,
        exactly_once=options.exactly_once,
    )
    client = Client(options.client, os.environ)
    manager = JobManager(options.rest)
    manager.wait(options.wait)
    until = time.monotonic() + options.wait
    for number in range(_TRIES):
        # In this order: a job that is started after the second look had written nothing at the first one. So all who
        # find no job, at whatever moment, find the same checkpoint and make the same job id, and Flink takes it once.
        last = newest(folder)
        job = manager.named(plan.name, until - time.monotonic())
        if job is not None:
            differs = manager.parameters(job.jid).get(PARAMETER, plan.fingerprint) != plan.fingerprint
            other = ", with other settings: to change them, --stop it and submit it again" if differs else ""
            _say(f"{plan.name} runs already ({job.state.lower()}){other}")
            manager.wait_for_work(job.jid, until - time.monotonic())
            _print(job.jid)
            return
        job_id = digest(plan.name, last, number)
        if any(known.jid == job_id for known in manager.jobs()):
            continue
        resume = None if options.fresh else uri(options.resume) if options.resume else last
        mine = msgspec.structs.replace(plan, job_id=job_id)
        if client.run(mine, options.rest, resume, until - time.monotonic()):
            manager.wait_for_work(job_id, until - time.monotonic())
            _say(f"{plan.name} runs" + (f", going on from {resume}" if resume else ""))
            _print(job_id)
            return
    raise FlinkError(f"{plan.name} ended {_TRIES} times without a checkpoint; see the JobManager's log")


def _keep(options: argparse.Namespace, settings: Settings) -> None:
    """Have the job run until a signal, whatever becomes of the JobManager."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    manager, name = JobManager(options.rest), job_name(settings)
    keep(
        lambda: _submit(options, settings),
        lambda: manager.named(name, options.wait) is not None,
        Path(options.keep),
        _say,
        lambda: time.sleep(_LOOK),
    )


def _stop(options: argparse.Namespace, settings: Settings) -> None:
    """Stop the job, and print where its savepoint is, if it was running and so could make one."""
    manager = JobManager(options.rest)
    name = job_name(settings)
    job = manager.named(name, options.wait)
    if job is None:
        _say(f"{name} does not run")
        return
    if job.works:
        _print(uri(manager.stop(job.jid, _folder(options, settings), options.wait)))
    else:
        manager.cancel(job.jid, options.wait)
    _say(f"{name} has stopped")


def _folder(options: argparse.Namespace, settings: Settings) -> str:
    """Give the URI of the job's own folder for checkpoints, which is named after the job."""
    return f"{uri(options.checkpoints)}/{job_name(settings)}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tamiz.flink.submit",
        description="Start the judge's Flink job, unless it runs. What decides about answers (threshold, attempts, "
        "scorer, unscored) and where Kafka is comes from the environment and tamiz.toml, as for a worker.",
        epilog="Prints the job's id. Exit codes: 0 it runs, 1 it does not, 2 something was told wrong.",
    )
    add = parser.add_argument
    add("--bus", metavar="ADDRESS", help="the Kafka cluster, kafka:HOST:PORT[,HOST:PORT…][?prefix=NAME]")
    add("--rest", default="http://localhost:8081", metavar="URL", help="the JobManager  [default: %(default)s]")
    add(
        "--wait",
        default=120.0,
        type=_duration,
        metavar="TIME",
        help="for the JobManager, and then for the job  [default: 120s]",
    )
    add(
        "--checkpoints",
        default="flink-checkpoints",
        metavar="FOLDER",
        help="where checkpoints are kept: a folder, or a URI, that all machines of Flink's see  [default: %(default)s]",
    )
    add(
        "--checkpoint-every",
        default=1.0,
        type=_duration,
        metavar="TIME",
        help="from checkpoint to checkpoint  [default: 1s]",
    )
    add(
        "--remember",
        default=7 * 86_400.0,
        type=_duration,
        metavar="TIME",
        help="how long a repeated answer is known as one  [default: 7d]",
    )
    add(
        "--state-backend",
        default="rocksdb",
        choices=("rocksdb", "hashmap"),
        help="where that is remembered: on disk, or in memory, faster and bounded by it  [default: %(default)s]",
    )
    add(
        "--exactly-once",
        action="store_true",
        help="write in transactions, which end with each checkpoint, so that even a crash repeats nothing. It takes "
        "longer until answers are seen. Without it what a crash repeats is recognised further on",
    )
    add("--from", dest="resume", metavar="URI", help="go on from this checkpoint or savepoint, not from the newest one")
    add("--fresh", action="store_true", help="go on from no checkpoint, but from the group's committed offsets")
    add("--client", metavar="FILE", help="Flink's client  [default: $FLINK_HOME/bin/flink, or flink on the PATH]")
    add(
        "--keep",
        metavar="FILE",
        help="stay until a signal, and start the job again where a JobManager has forgotten it; FILE is there while it "
        "runs",
    )
    add("--stop", action="store_true", help="stop the job; the next one goes on where it was")
    return parser


def _duration(text: str) -> float:
    try:
        duration = seconds(text, "")
    except UsageError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration: write it like 500ms, 2s, 1.5m or 7d") from None
    if duration < _SHORTEST:
        raise argparse.ArgumentTypeError(f"{text!r} is too short: 10ms is the least")
    return duration


def _say(text: str) -> None:
    _print(f"tamiz: {text}", sys.stderr)


def _print(text: str, file: TextIO | None = None) -> None:
    print(text, file=file or sys.stdout, flush=True)


if __name__ == "__main__":
    sys.exit(main())
