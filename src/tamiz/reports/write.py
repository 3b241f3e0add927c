"""Writes a report."""

import os
import platform
from pathlib import Path

import matplotlib as mpl

import tamiz
from tamiz.errors import TamizError, UsageError
from tamiz.reports.document import Document
from tamiz.reports.page import page
from tamiz.reports.style import draw

__all__ = ["write_report"]


def write_report(path: str | Path, out: str | Path | None = None) -> Path:
    """Write `report.html` for a state file, an experiment's folder or a traffic run's, and give where it is.

    Each plot is beside it as NAME.svg and NAME.png. `out` is the folder; by default the one that was given, or one
    beside the state file (`tamiz.db` gives `tamiz-report`). The same data and the same versions of tamiz and
    matplotlib on the same machine give the same bytes. Raises `UsageError` where the path is none of these, and
    `TamizError` where the report cannot be written.
    """
    source = Path(path)
    document = _read(source)
    folder = Path(out) if out is not None else source if source.is_dir() else source.with_name(f"{source.stem}-report")
    document.machine.extend(
        [
            ("report made with", f"tamiz {tamiz.__version__}, matplotlib {mpl.__version__}"),
            ("report made on", f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"),
        ]
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        drawn = [draw(figure, folder) for figure in document.figures]
        part = folder / "report.html.part"
        part.write_text(page(document, drawn), encoding="utf-8")
        return part.replace(folder / "report.html")
    except OSError as error:
        raise TamizError(
            f"the report cannot be written to {folder}: {error.strerror}. Choose another: --out"
        ) from error


def _read(source: Path) -> Document:
    if source.is_file():
        from tamiz.reports.state import state_report  # noqa: PLC0415 - each kind brings only what it needs

        return state_report(str(source))
    if (source / "experiment.json").is_file():
        from tamiz.reports.experiment import experiment_report  # noqa: PLC0415

        return experiment_report(source)
    if (source / "run.json").is_file():
        from tamiz.reports.traffic import traffic_report  # noqa: PLC0415

        return traffic_report(source)
    if not source.exists():
        raise UsageError(
            f"there is no {str(source)!r}: name a state file, or the folder of an experiment or traffic run"
        )
    raise UsageError(
        f"{str(source)!r} has neither an experiment.json nor a run.json: name the folder of an experiment or a traffic "
        "run, or a state file"
    )
