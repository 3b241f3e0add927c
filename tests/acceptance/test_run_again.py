"""`tamiz run` a second time: nothing is asked twice, and what is stored is reused where it passes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_llm import Do, FakeLLM, Request, answer
from rows import rows_of, write_questions
from running import run_tamiz
from serving import asked, model_url, serving

TEXTS = [f"What is the capital of land {n}?" for n in range(20)]
REFERENCES = [f"The capital of land {n} is city{n}" for n in range(20)]


def _answer(request: Request) -> Do:
    """Answer the even questions perfectly and the odd ones with a third of the words."""
    number = TEXTS.index(asked(request))
    return answer(REFERENCES[number] if number % 2 == 0 else f"city{number} perhaps, or another place, the capital of")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with twenty questions in `q.csv`."""
    rows = zip(range(20), TEXTS, REFERENCES, strict=True)
    write_questions(
        tmp_path / "q.csv", [{"id": str(n), "question": text, "reference": reference} for n, text, reference in rows]
    )
    return tmp_path


@pytest.fixture
def llm() -> Iterator[FakeLLM]:
    """Give a server that knows every answer, half of them only so well."""
    with serving(_answer) as server:
        yield server


def test_a_second_run_calls_nobody_and_writes_the_same_bytes(folder: Path, llm: FakeLLM) -> None:
    """The same command on a finished state file gives the same output to the byte without a model call."""
    command = ("run", "q.csv", "--model", model_url(llm), "--out")
    assert run_tamiz(*command, "one.jsonl", cwd=folder).returncode == 0
    assert len(llm.requests) == 20
    again = run_tamiz(*command, "two.jsonl", cwd=folder)
    assert again.returncode == 0
    assert "20 known from before" in again.stderr
    assert "(0 in this run)" in again.stderr
    assert len(llm.requests) == 20
    assert (folder / "two.jsonl").read_bytes() == (folder / "one.jsonl").read_bytes()
    assert run_tamiz("run", "q.csv", "--model", model_url(llm), cwd=folder).stdout == (folder / "one.jsonl").read_text()


def test_failed_and_exhausted_rows_stay_as_they_are(folder: Path) -> None:
    """A repeated run is a no-op for questions without an accepted answer too, with the same exit code."""
    command = ("run", "q.csv", "--model", "simulated:?quality=0.5&fatal=0.2&seed=4", "--attempts", "2")
    first, second = (run_tamiz(*command, cwd=folder) for _ in range(2))
    assert {row["outcome"] for row in rows_of(first.stdout)} == {"accepted", "exhausted", "failed"}
    assert (first.returncode, second.returncode) == (3, 3)
    assert second.stdout == first.stdout


def test_fresh_starts_anew(folder: Path, llm: FakeLLM) -> None:
    """`--fresh` forgets the answers; where there is no terminal it does not ask first."""
    command = ("run", "q.csv", "--model", model_url(llm))
    first = run_tamiz(*command, cwd=folder)
    assert run_tamiz(*command, "--fresh", cwd=folder).returncode == 0
    assert len(llm.requests) == 40
    assert run_tamiz(*command, "--fresh", "--state", "other.db", cwd=folder).returncode == 0
    assert len(llm.requests) == 60
    assert rows_of(run_tamiz(*command, cwd=folder).stdout)[0]["answer"] == rows_of(first.stdout)[0]["answer"]
    assert len(llm.requests) == 60


def test_a_linked_state_file_is_the_one_it_names(folder: Path, llm: FakeLLM) -> None:
    """`--state` may be a symbolic link, to be made or there already; `--fresh` keeps the link."""
    (folder / "elsewhere").mkdir()
    (folder / "link.db").symlink_to("elsewhere/real.db")
    command = ("run", "q.csv", "--model", model_url(llm), "--state")
    done = run_tamiz(*command, "link.db", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert run_tamiz(*command, "elsewhere/real.db", cwd=folder).stdout == done.stdout
    assert len(llm.requests) == 20
    assert run_tamiz(*command, "link.db", "--fresh", cwd=folder).returncode == 0
    assert len(llm.requests) == 40
    assert (folder / "link.db").is_symlink()
    assert [path.name for path in (folder / "elsewhere").iterdir()] == ["real.db"]


def test_without_the_limit_only_the_rest_is_asked(folder: Path, llm: FakeLLM) -> None:
    """`--limit` takes the first rows; without it the same command goes on with those after them."""
    command = ("run", "q.csv", "--model", model_url(llm))
    limited = run_tamiz(*command, "--limit", "5", cwd=folder)
    assert [row["id"] for row in rows_of(limited.stdout)] == ["0", "1", "2", "3", "4"]
    assert len(llm.requests) == 5
    whole = run_tamiz(*command, cwd=folder)
    assert [row["id"] for row in rows_of(whole.stdout)] == [str(n) for n in range(20)]
    assert whole.stdout.startswith(limited.stdout)
    assert sorted(map(asked, llm.requests)) == sorted(TEXTS)


def test_more_rows_in_the_file_are_the_only_new_calls(folder: Path, llm: FakeLLM) -> None:
    """A file that has grown at its end costs calls for what is new in it."""
    whole = (folder / "q.csv").read_text()
    (folder / "q.csv").write_text("".join(whole.splitlines(keepends=True)[:11]))
    command = ("run", "q.csv", "--model", model_url(llm))
    assert len(rows_of(run_tamiz(*command, cwd=folder).stdout)) == 10
    (folder / "q.csv").write_text(whole)
    assert len(rows_of(run_tamiz(*command, cwd=folder).stdout)) == 20
    assert sorted(map(asked, llm.requests)) == sorted(TEXTS)


def test_a_thousand_copies_cost_one_call(tmp_path: Path) -> None:
    """Identical questions, at once or later, are asked once; each copy gets its own row with the answer."""
    copies: list[dict[str, str | None]] = [
        {"id": str(n), "question": TEXTS[0], "reference": REFERENCES[0]} for n in range(1000)
    ]
    write_questions(tmp_path / "q.csv", copies)
    with serving(answer(REFERENCES[0], delay=0.1)) as llm:
        done = run_tamiz("run", "q.csv", "--model", model_url(llm), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert len(llm.requests) == 1
    rows = rows_of(done.stdout)
    assert [row["id"] for row in rows] == [str(n) for n in range(1000)]
    assert {(row["answer"], row["outcome"], row["score"]) for row in rows} == {(REFERENCES[0], "accepted", 1.0)}
    assert [row["source"] for row in rows].count("model") == 1
    assert {row["source"] for row in rows} <= {"model", "coalesced", "cache", "store"}
    assert len({row["message_id"] for row in rows}) == 1000


def test_another_reference_is_another_question(tmp_path: Path, llm: FakeLLM) -> None:
    """An answer was accepted against its reference, so the same words with another reference are asked again."""
    write_questions(
        tmp_path / "q.csv", [{"question": TEXTS[0], "reference": reference} for reference in (REFERENCES[0], "no")]
    )
    done = run_tamiz("run", "q.csv", "--model", model_url(llm), "--attempts", "1", cwd=tmp_path)
    assert [row["outcome"] for row in rows_of(done.stdout)] == ["accepted", "exhausted"]
    assert len(llm.requests) == 2


def test_a_later_threshold_reuses_the_answers_that_pass_it(folder: Path, llm: FakeLLM) -> None:
    """With a higher threshold, stored answers that reach it cost no call; the others are asked again."""
    command = ("run", "q.csv", "--model", model_url(llm), "--attempts", "1", "--threshold")
    first = rows_of(run_tamiz(*command, "0.2", cwd=folder).stdout)
    assert {row["outcome"] for row in first} == {"accepted"}
    assert len(llm.requests) == 20

    second = rows_of(run_tamiz(*command, "0.9", cwd=folder).stdout)
    assert [row["source"] for row in second] == ["store", "model"] * 10
    assert [row["outcome"] for row in second] == ["accepted", "exhausted"] * 10
    assert sorted(map(asked, llm.requests[20:])) == sorted(TEXTS[1::2])

    third = rows_of(run_tamiz(*command, "0.1", cwd=folder).stdout)
    assert {row["source"] for row in third} == {"store"}
    assert [row["answer"] for row in third] == [row["answer"] for row in first]
    assert len(llm.requests) == 30


def test_an_unfinished_run_is_not_mixed_with_other_settings(folder: Path, llm: FakeLLM) -> None:
    """Where questions are open, other settings are refused with what differs, and nothing is touched."""
    command = ("run", "q.csv", "--model", model_url(llm), "--out", "rows.jsonl")
    assert run_tamiz(*command, "--max-calls", "4", "--concurrency", "2", cwd=folder).returncode == 4
    written = (folder / "rows.jsonl").read_bytes()
    assert written

    refused = run_tamiz(*command, "--threshold", "0.9", "--attempts", "1", cwd=folder)
    assert refused.returncode == 2
    assert "threshold 0.3 then, 0.9 now" in refused.stderr
    assert "attempts 3 then, 1 now" in refused.stderr
    assert "--fresh" in refused.stderr
    assert "--state" in refused.stderr
    assert len(llm.requests) == 4
    assert (folder / "rows.jsonl").read_bytes() == written

    assert run_tamiz(*command, cwd=folder).returncode == 0
    assert len(llm.requests) == 20
    assert len(rows_of((folder / "rows.jsonl").read_text())) == 20
