"""The word counts of the Flink job are those of DuckDB, whatever the texts are."""

import json
import os
import random
import subprocess
from pathlib import Path

import pytest

from cluster.install import FlinkInstall, Unavailable, flink_home
from tamiz.vocabulary.count import count_words

pytestmark = pytest.mark.xdist_group("flink")

SOURCE = Path(__file__).parents[2] / "src"
ROWS = 20_000


@pytest.fixture(scope="module")
def install() -> FlinkInstall:
    try:
        return flink_home()
    except Unavailable as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))


def texts(seed: int) -> list[str | None]:
    """Make texts of words that people write, and of any code points beside them."""
    random_ = random.Random(seed)
    words = [
        "Don't",
        "don\u2019t",
        "París",
        "PARI\u0301S",
        "ΣΑΣ",
        "İstanbul",
        "Straße",
        "l'œuvre",
        "東京タワー",
        "3.14",
        "½",
    ]
    words += ["".join(random_.choices("aeiouáñlrst", k=random_.randint(1, 4))) for _ in range(200)]
    marks = [" ", " ", " ", ", ", "—", "'", "\u2019", "\u00a0", "\u00d7", "\n", "\t", '"', "\\", "🙂"]

    def code_point() -> str:
        # half of a surrogate pair is no text
        return chr(random_.choice((random_.randrange(1, 0xD800), random_.randrange(0xE000, 0x110000))))

    return [
        None
        if random_.random() < 0.02
        else "".join(
            (random_.choice(words) if random_.random() < 0.9 else code_point()) + random_.choice(marks)
            for _ in range(random_.randrange(12))
        )
        for _ in range(ROWS)
    ]


def test_the_job_counts_what_duckdb_counts(install: FlinkInstall, tmp_path: Path) -> None:
    """On Flink's mini cluster, from two files in one folder; what the folder of the counts held before is replaced."""
    rows = [{"reference": human, "answer": model} for human, model in zip(texts(1), texts(2), strict=True)]
    # every code point that a text may hold, each between letters that tell whether it parts them
    points = [point for point in range(1, 0x30000) if not 0xD800 <= point < 0xE000]
    rows += [{"reference": " ".join(f"x{chr(p)}y" for p in points[i : i + 50])} for i in range(0, len(points), 50)]
    lines = [json.dumps(row, ensure_ascii=number % 2 == 0) + "\n" for number, row in enumerate(rows)]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text("".join(lines[::2]), encoding="utf-8")
    (tmp_path / "in" / "b.jsonl").write_text("".join(lines[1::2]), encoding="utf-8")
    (tmp_path / "all.jsonl").write_text("".join(lines), encoding="utf-8")
    (tmp_path / "counts").mkdir()
    (tmp_path / "counts" / "part-old").write_text('{"side":"human","word":"stale","n":7}\n')

    done = subprocess.run(
        [install.python, "-m", "tamiz.flink.vocabulary", "in", "counts"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{install.python.parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(SOURCE),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = count_words(str(tmp_path / "counts"))
    assert found == count_words(str(tmp_path / "all.jsonl"))
    assert "stale" not in found
    assert len(found) > 100_000
