import json
import re
from collections import Counter
from math import isclose, log, sqrt
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rows import write_questions
from tamiz.errors import TamizError, UsageError
from tamiz.vocabulary.analysis import analyse, write
from tamiz.vocabulary.contrast import PRIOR, contrasts
from tamiz.vocabulary.count import count_words
from tamiz.vocabulary.rules import SIDES, WORD, fold, folded, stop_words

DATA = Path(__file__).parents[3] / "shared" / "data"

# Python writes a code point in another way
PYTHON: Final = re.compile(re.sub(r"\\x\{([0-9A-F]+)\}", lambda m: f"\\U{int(m[1], 16):08x}", WORD))
TEXT: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.lists(
    st.sampled_from(
        ["don't", "Don\u2019t", "l'œuvre", "París", "PARÍS", "ΣΑΣ", "ß", "İ", "x", "the", "--", "½", "3.14"]
    ),
    max_size=12,
).map(" ".join)
COUNTS: Final = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3), st.tuples(st.integers(0, 500), st.integers(0, 500)), max_size=20
)


def plainly(rows: list[tuple[str | None, str | None]]) -> dict[str, tuple[int, int]]:
    """Count in Python alone."""
    counts = Counter(
        (side, word)
        for row in rows
        for side, text in zip(SIDES, row, strict=True)
        for word in PYTHON.findall(text or "")
    )
    return folded((side, word, number) for (side, word), number in counts.items())


def written(path: Path, rows: list[tuple[str | None, str | None]]) -> str:
    lines = [json.dumps({"reference": human, "answer": model}) for human, model in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


def test_words_are_runs_of_letters_with_apostrophes_inside() -> None:
    assert PYTHON.findall("'Don't' — ¿Qué es ½ l\u2019œuvre? a\u00d7b; 東京。naïve 🙂") == [
        "Don't", "Qué", "es", "l\u2019œuvre", "a", "b", "東京", "naïve",
    ]  # fmt: skip


def test_spellings_of_a_word_are_one_word() -> None:
    assert {fold(each) for each in ("París", "PARÍS", "Pari\u0301s", "PARI\u0301S")} == {"parís"}
    assert fold("O\u2019Neill") == fold("o'neill") == "o'neill"


@pytest.mark.parametrize("word", ["the", "The", "porque", "Qué", "don\u2019t", "x", "42", "3", "é"])
def test_words_that_say_little_do_not_count(word: str) -> None:
    assert fold(word) is None


def test_stop_words_are_words_as_they_are_counted() -> None:
    """A stop word that the rule takes apart, or folds to another, would never match."""
    for word in stop_words():
        assert PYTHON.findall(word) == [word]
        assert word == word.lower()
    assert len(stop_words()) > 300


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.none() | TEXT, st.none() | TEXT), min_size=1, max_size=20))
def test_duckdb_counts_what_python_counts(tmp_path: Path, rows: list[tuple[str | None, str | None]]) -> None:
    # a column of nulls alone has no text for DuckDB to tell that it is one
    rows = [*rows, ("some words", "other words")]
    assert count_words(written(tmp_path / "rows.jsonl", rows)) == plainly(rows)


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")
def test_real_text_is_counted_alike(tmp_path: Path) -> None:
    import csv  # noqa: PLC0415

    with (DATA / "truthfulqa.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["Best Answer"], row["Incorrect Answers"]) for row in csv.DictReader(file)]
    found = count_words(written(tmp_path / "rows.jsonl", list(rows)))
    assert found == plainly(list(rows))
    assert len(found) > 1_000


def test_every_kind_of_file_is_read(tmp_path: Path) -> None:
    rows: list[tuple[str | None, str | None]] = [("Paris, France", 'London,\n"England"'), ("Rome", None)]
    wanted = plainly(rows)
    assert count_words(written(tmp_path / "a.jsonl", rows)) == wanted
    (tmp_path / "a.csv").write_text('id,Best_Answer,ANSWER\n1,"Paris, France","London,\n""England"""\n2,Rome,\n')
    assert count_words(str(tmp_path / "a.csv")) == wanted
    (tmp_path / "a.tsv").write_text("reference\tllm_answer\nParis, France\tLondon, England\nRome\t\n")
    assert count_words(str(tmp_path / "a.tsv")) == wanted
    answers = [{"reference": human, "answer": model} for human, model in rows]
    for name in ("a.parquet", "b.parquet.gz", "b.jsonl.gz", "b.csv.gz"):
        assert count_words(str(write_questions(tmp_path / name, answers))) == wanted


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "a.jsonl",
            '{"reference": "x", "other": "y"}\n',
            "no column with the answers of models (llm_answer or answer)",
        ),
        ("a.csv", "question,answer\na,b\n", "no column with the answers of people (reference or best_answer"),
        ("a.jsonl", "no JSON\n", "cannot be read"),
        ("a.parquet", "no Parquet", "is not Parquet data; give its name the end of what it is"),
        ("a.parquet.gz", "no gzip", "cannot be decompressed"),
    ],
)
def test_a_file_that_does_not_fit_is_told(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=re.escape(said)) as caught:
        count_words(str(tmp_path / name))
    assert str(caught.value).count("\n") <= 1


def test_a_folder_without_counts_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="word counts of the Flink job"):
        count_words(str(tmp_path))


@given(COUNTS)
def test_contrasts_are_the_formula_of_the_paper(words: dict[str, tuple[int, int]]) -> None:
    n = [sum(counts[side] for counts in words.values()) for side in (0, 1)]
    found = contrasts(words)
    assert sorted(each.word for each in found) == sorted(words)
    assert [each.z for each in found] == sorted((each.z for each in found), reverse=True)
    for each in found:
        y = each.human + each.model
        if y in {0, sum(n)}:
            continue
        a = PRIOR * y / sum(n)
        people = (each.human + a) / (n[0] + PRIOR - each.human - a)
        models = (each.model + a) / (n[1] + PRIOR - each.model - a)
        assert isclose(each.log_odds, log(people) - log(models), abs_tol=1e-9)
        assert isclose(each.z, each.log_odds / sqrt(1 / (each.human + a) + 1 / (each.model + a)), abs_tol=1e-9)


@given(COUNTS)
def test_contrasts_turn_round_with_the_sides(words: dict[str, tuple[int, int]]) -> None:
    there = {each.word: each.z for each in contrasts(words)}
    back = {each.word: each.z for each in contrasts({word: (b, a) for word, (a, b) in words.items()})}
    assert all(isclose(there[word], -back[word], abs_tol=1e-9) for word in words)


def test_a_rare_word_needs_more_than_its_ratio() -> None:
    """Once against never is less than a thousand times against five hundred."""
    found = contrasts({"rare": (1, 0), "often": (1_000, 500), "rest": (50_000, 50_000)})
    assert [each.word for each in found][:2] == ["often", "rare"]


def test_the_analysis_is_written_in_its_order(tmp_path: Path) -> None:
    found = analyse(written(tmp_path / "a.jsonl", [("Paris Paris Rome", "London London Rome")]))
    assert [each.word for each in found] == ["paris", "rome", "london"]
    write(found, str(tmp_path / "w.jsonl"))
    lines = [json.loads(line) for line in (tmp_path / "w.jsonl").read_text().splitlines()]
    assert [(line["word"], line["human"], line["model"]) for line in lines] == [
        ("paris", 2, 0),
        ("rome", 1, 1),
        ("london", 0, 2),
    ]
    with pytest.raises(UsageError, match=r"must end in \.csv"):
        write(found, str(tmp_path / "w.txt"))
    with pytest.raises(TamizError, match="cannot be written"):
        write(found, str(tmp_path / "no" / "w.csv"))
