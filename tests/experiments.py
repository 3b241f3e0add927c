"""Folders of experiments, as `tamiz experiment` leaves them."""

import json
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["arrivals", "caches", "write_experiment"]

Rows = Sequence[Mapping[str, Any]]


def write_experiment(
    folder: Path, axes: Mapping[str, Sequence[Any]], cells: Rows, *, runs: int | None = None, **tables: Rows
) -> Path:
    """Write a folder with these cells, of `runs` (or no more), and `questions` and `series` where they are given."""
    folder.mkdir()
    about = {
        "name": folder.name,
        "parameters": {"dataset": "q.csv", "threshold": 0.3},
        "axes": axes,
        "runs": runs or len(cells),
        "machine": {"processors": 2},
        "versions": {"tamiz": "0.1.0"},
        "started": 1_790_000_000.0,
        "ended": 1_790_000_300.0,
        "preset": "[grid]\nname = '<script>'\n",
    }
    (folder / "experiment.json").write_text(json.dumps(about))
    for name, rows in {"cells": cells, **tables}.items():
        pq.write_table(pa.Table.from_pylist(list(rows)), folder / f"{name}.parquet")
    return folder


def caches(folder: Path) -> Path:
    """Write an experiment on hit ratios: six policies, five sizes and two popularities, four times."""
    axes: dict[str, list[Any]] = {
        "policy": ["lru", "fifo", "lfu", "sieve", "w-tinylfu", "belady"],
        "size": [100, 300, 1_000, 3_000, 10_000],
        "alpha": [0.8, 1.0],
    }
    rng = np.random.default_rng(1)
    base = dict(zip(axes["policy"], (0.5, 0.47, 0.55, 0.56, 0.562, 0.68), strict=True))
    cells = [
        {
            "cell": cell,
            "repetition": repetition,
            **dict(zip(axes, point, strict=True)),
            "hit_ratio": float(base[point[0]] * np.log10(point[1]) / 4 * point[2] + rng.normal(0, 0.004)),
        }
        for cell, point in enumerate(product(*axes.values()))
        for repetition in range(4)
    ]
    return write_experiment(folder, axes, cells)


def arrivals(folder: Path) -> Path:
    """Write an experiment on four arrival processes, half of the way, with questions and series."""
    axes = {"arrivals": ["poisson", "constant", "burst:on=2s,off=2s", "diurnal:period=10s,depth=0.9"]}
    rng = np.random.default_rng(2)
    cells, questions, series = [], [], []
    for (cell, name), repetition in product(enumerate(axes["arrivals"]), range(2)):
        at = {"cell": cell, "repetition": repetition}
        cells.append({**at, "arrivals": name, "throughput": 500.0 + cell, "latency_p99": 200.0 + 100 * cell})
        for _ in range(400):
            accepted, came = bool(rng.random() < 0.8), float(rng.uniform(0, 20))
            took = float(rng.lognormal(3.5 + cell * 0.5, 0.6))
            questions.append(
                {
                    **at,
                    "at_s": came,
                    "started_s": came,
                    "ended_s": came + took / 1000,
                    "outcome": "accepted" if accepted else "exhausted",
                    "score": float(rng.uniform(0.3, 1) if accepted else rng.uniform(0, 0.299)),
                    "source": str(rng.choice(["model", "cache"])),
                    "attempts": 1,
                    "retries": 0,
                    "latency_ms": took,
                    "late_ms": 0.1,
                }
            )
        series += [{**at, "t_s": step / 10, "queue_depth": 10 * cell + step % 7} for step in range(200)]
    return write_experiment(folder, axes, cells, runs=16, questions=questions, series=series)
