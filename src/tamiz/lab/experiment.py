"""An experiment, run: cell after cell, each kept as soon as it is measured."""

import hashlib
import importlib
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import msgspec

import tamiz
from tamiz.errors import UsageError
from tamiz.lab.cells import Cell, Measured, cells_of
from tamiz.lab.collect import collect, write_measured
from tamiz.lab.flow import run_flow
from tamiz.lab.material import make_questions, read_questions
from tamiz.lab.parameters import SIMULATOR, Run, read_parameters
from tamiz.lab.preset import Preset
from tamiz.lab.simulator import check_simulator, makes_sense, run_simulator
from tamiz.settings import Settings
from tamiz.traffic.question import Question

__all__ = ["Experiment", "Progress"]

_ABOUT: Final = "experiment.json"
_VERSIONS: Final = ("cachebox", "msgspec", "numpy", "pyarrow", "uvloop")
_KEPT: Final = 4
"""Sets of questions that are kept for the next cells."""

Progress = Callable[[Cell, int, int], None]
"""Hears of a cell that is begun, how many come before it, and how many there are."""


class Experiment:
    """The cells of a preset, measured into a folder.

    `experiment.json` says what it is, `cells/` has a file for each cell that is done, and the Parquet files are made of
    those. The same preset into the same folder goes on where it stopped.
    """

    def __init__(self, preset: Preset, folder: Path, base: Settings, flink: str | None = None) -> None:
        """Check all cells before any is run; `flink` is the REST address of a cluster's Flink, where it has one.

        Raises `UsageError` for a parameter that is wrong.
        """
        self.preset = preset
        self.folder = folder
        self._runs = [(cell, read_parameters(cell, base)) for cell in cells_of(preset) if makes_sense(cell)]
        for _, run in self._runs:
            if run.measured_on == SIMULATOR:
                check_simulator(run)
        self._base = base
        self._flink = flink
        self._files = folder / "cells"
        self._about = folder / _ABOUT
        self._contents = _contents(run for _, run in self._runs)

    @property
    def cells(self) -> int:
        """How many there are, with all repetitions."""
        return len(self._runs)

    @property
    def done(self) -> int:
        """How many are measured."""
        return sum(self._path(cell).exists() for cell, _ in self._runs)

    def run(self, progress: Progress) -> Path | None:
        """Measure what is not measured yet, and gather all; give the report, where reports can be made.

        Raises `UsageError` where the folder holds another experiment or cannot be made, `Interrupted` after Ctrl-C, and
        what cells raise; what is done is kept, and gathered.
        """
        began = time.time()
        try:
            self._agree()
            self._files.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--out {str(self.folder)!r} cannot be used: {error.strerror}; choose another") from error
        work = self.folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        left = self.cells - self.done
        try:
            for number, (cell, run) in enumerate(self._runs):
                path = self._path(cell)
                if not path.exists():
                    progress(cell, number, self.cells)
                    measured = self._measure(run, work)
                    if not self._about.exists():  # only now: a command that measures nothing claims no folder
                        self._save(started=began)
                    write_measured(path, measured)
            self._save(**({"ended": time.time()} if left else {}))
        finally:
            shutil.rmtree(work, ignore_errors=True)
            self._collect()
        return _report(self.folder)

    def _measure(self, run: Run, work: Path) -> Measured:
        if run.measured_on == SIMULATOR:
            return run_simulator(run)
        if run.settings.bus is not None:
            from tamiz.lab.cluster import run_cluster  # noqa: PLC0415 - only with the extras of a cluster

            return run_cluster(run, self._questions(run), work, self._flink)
        return run_flow(run, self._questions(run), work)

    def _questions(self, run: Run) -> Sequence[Question]:
        return _questions(run.dataset, run.questions, self.preset.seed)

    def _path(self, cell: Cell) -> Path:
        return self._files / f"{cell.name}.msgpack"

    def _collect(self) -> None:
        there = [(cell, path) for cell, _ in self._runs if (path := self._path(cell)).exists()]
        if there:
            collect(self.folder, there)

    def _agree(self) -> None:
        """Raise `UsageError` where `experiment.json` says that the folder is another one's."""
        try:
            before = msgspec.json.decode(self._about.read_bytes())
        except FileNotFoundError:
            return
        except msgspec.DecodeError as error:
            raise UsageError(
                f"{str(self._about)!r} is not one of an experiment ({error}); choose another --out"
            ) from error
        if before.get("identity") != self._identity:
            there, here = (dict(_told(each or {})) for each in (before.get("identity"), self._identity))
            name = next(name for name in (*here, *there) if there.get(name) != here.get(name))
            raise UsageError(
                f"{str(self.folder)!r} holds another experiment: {name} is {there.get(name, 'none')} there, and "
                f"{here.get(name, 'none')} here. Choose another --out, or measure what it was"
            )

    @property
    def _identity(self) -> dict[str, Any]:
        preset = msgspec.to_builtins(self.preset)
        del preset["text"]
        return {**preset, "bus": self._base.bus, **({"contents": self._contents} if self._contents else {})}

    def _save(self, **times: float) -> None:
        path = self._about
        about = msgspec.json.decode(path.read_bytes()) if path.exists() else {}
        about |= {
            "name": self.preset.name,
            "description": self.preset.description,
            "parameters": self.preset.parameters,
            "axes": self.preset.axes,
            "repetitions": self.preset.repetitions,
            "runs": self.cells,
            "seed": self.preset.seed,
            "identity": self._identity,
            "machine": _machine(),
            "versions": _versions(),
            "preset": self.preset.text,
            **times,
        }
        part = path.with_name(f"{path.name}.part")
        part.write_bytes(msgspec.json.format(msgspec.json.encode(about), indent=2) + b"\n")
        part.replace(path)


def _told(value: dict[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    """Give each value of an identity with its name, as text."""
    for name, each in value.items():
        if isinstance(each, dict):
            yield from _told(each, f"{within}{name} ")
        else:
            yield f"{within}{name}", each if isinstance(each, str) else msgspec.json.encode(each).decode()


def _contents(runs: Iterable[Run]) -> dict[str, str]:
    """Give a digest of each file that cells read: with another content they would be other cells."""
    named = {
        name
        for run in runs
        for name in (run.dataset, run.settings.prompt, run.plan.arrivals.partition("trace:")[2])
        if name
    }
    found = {}
    for name in sorted(named):
        if Path(name).is_file():  # one that is not there is told of by who reads it
            with Path(name).open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


@lru_cache(maxsize=_KEPT)
def _questions(dataset: str | None, count: int, seed: int) -> Sequence[Question]:
    return make_questions(count, seed) if dataset is None else read_questions(dataset, count)


def _machine() -> dict[str, Any]:
    return {
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "processor": _processor(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _versions() -> dict[str, str]:
    found = {"tamiz": tamiz.__version__, "python": platform.python_version()}
    for name in _VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _report(folder: Path) -> Path | None:
    """Write the report, where there is something that writes reports."""
    try:
        reports = importlib.import_module("tamiz.reports")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"tamiz", "matplotlib"}:
            raise
        return None
    written: Path = reports.write_report(folder)
    return written
