"""`tamiz run` with wrong files, flags, variables and settings: one or two lines that name the value and the remedy."""

import gzip
from pathlib import Path

import pytest

from rows import write_questions
from running import run_tamiz

GOOD = "id,question,reference\n1,Capital of France?,Paris\n"
OK = ("q.csv", "--model", "simulated:")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with one good question file, `q.csv`, and a bad one of each kind."""
    texts = {
        "q.csv": GOOD,
        "empty.csv": "",
        "blank.jsonl": "\n\n",
        "header.csv": "id,question\n",
        "nocolumn.csv": "a,b\n1,2\n",
        "semicolons.csv": "id;question\n1;Why?\n",
        "q.xlsx": "PK\x03\x04",
        "q.txt": GOOD,
        "json.csv": '{"question": "Why?"}\n',
        "html.csv": "<!DOCTYPE html><html>not found</html>",
        "plain.csv.gz": GOOD,
        "list.jsonl": '[{"question": "Why?"}]\n',
        "csv.jsonl": GOOD,
        "text.parquet": GOOD,
        "prompt.txt": "Answer the question.",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    whole = write_questions(tmp_path / "cut.parquet", [{"question": "Why?"}]).read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[:-8])
    (tmp_path / "packed.csv").write_bytes(gzip.compress(GOOD.encode()))
    (tmp_path / "latin.csv").write_bytes(GOOD.encode("utf-16"))
    (tmp_path / "folder").mkdir()
    return tmp_path


def _refused(stderr: str, words: tuple[str, ...]) -> None:
    """Check that an error is a line or two, no traceback, and has all the words."""
    assert 1 <= stderr.count("\n") <= 2, stderr
    assert stderr.startswith("tamiz: ")
    assert "Traceback" not in stderr
    assert [word for word in words if word not in stderr] == [], stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("missing.csv",), ("'missing.csv'", "does not exist", "check its name")),
        (("folder",), ("'folder'", "is a directory", "name the files in it")),
        (("empty.csv",), ("'empty.csv'", "is empty", "give a file with questions")),
        (("blank.jsonl",), ("'blank.jsonl'", "is empty", "give a file with questions")),
        (("header.csv",), ("'header.csv'", "a header and no rows")),
        (("nocolumn.csv",), ("'nocolumn.csv'", "'a', 'b'", "--columns question=NAME")),
        (("semicolons.csv",), ("'semicolons.csv'", "semicolons?", "by commas")),
        (("q.xlsx",), ("'q.xlsx'", ".csv, .tsv, .jsonl and .parquet")),
        (("q.txt",), ("'q.txt'", ".csv, .tsv, .jsonl and .parquet")),
        (("json.csv",), ("'json.csv'", "is JSON, not CSV", ".jsonl")),
        (("html.csv",), ("'html.csv'", "is HTML", "fetch the file itself")),
        (("plain.csv.gz",), ("'plain.csv.gz'", "not gzip", "take .gz off")),
        (("packed.csv",), ("'packed.csv'", "is gzip data", ".gz")),
        (("latin.csv",), ("'latin.csv'", "UTF-16", "iconv")),
        (("list.jsonl",), ("'list.jsonl'", "a JSON list", "jq -c")),
        (("csv.jsonl",), ("'csv.jsonl'", "is not JSONL", "is it CSV?")),
        (("text.parquet",), ("'text.parquet'", "is not Parquet", "the end of what it is")),
        (("cut.parquet",), ("'cut.parquet'", "cut short", "fetch it again")),
        (("q.csv", "missing.csv"), ("'missing.csv'", "does not exist")),
        (("-",), ("'-'", "is empty")),
        (("-", "-"), ("stdin (-)", "once only")),
        (("q.csv", "--columns", "question=Frage"), ("'Frage'", "'id', 'question', 'reference'", "--columns")),
        (("q.csv", "--columns", "frage=question"), ("'frage'", "the roles are question, content, reference, id")),
        (("q.csv", "--columns", "question"), ("'question'", "ROLE=NAME")),
        ((), ("QUESTIONS", "--help")),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(
    arguments: tuple[str, ...], words: tuple[str, ...], folder: Path
) -> None:
    """A file that is not there, not what its name says, or has no questions: exit 2, and nothing is begun."""
    done = run_tamiz("run", *arguments, "--model", "simulated:", "--out", "rows.jsonl", cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    _refused(done.stderr, words)
    assert not (folder / "tamiz.db").exists()
    assert not (folder / "rows.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--threshold", "2"), ("--threshold", "2", "between 0 and 1")),
        (("--threshold", "nan"), ("--threshold", "nan", "between 0 and 1")),
        (("--threshold", "high"), ("--threshold", "'high'", "a number")),
        (("--threshold",), ("--threshold", "requires an argument")),
        (("--attempts", "0"), ("--attempts", "0", "between 1 and 1000")),
        (("--attempts", "1.5"), ("--attempts", "'1.5'", "a whole number")),
        (("--retries", "-1"), ("--retries", "-1", "between 0 and 1000")),
        (("--concurrency", "0"), ("--concurrency", "0", "between 1 and")),
        (("--timeout", "-1"), ("--timeout", "'-1'", "2s")),
        (("--timeout", "soon"), ("--timeout", "'soon'", "2s")),
        (("--limit", "x"), ("--limit", "'x'", "a whole number")),
        (("--max-calls", "-5"), ("--max-calls", "-5", "at least 0")),
        (("--scorer", "bleu"), ("'bleu'", "tfidf")),
        (("--unscored", "maybe"), ("--unscored", "'maybe'", "accept, retry")),
        (("--cache-policy", "mru"), ("'mru'", "lru, fifo, lfu")),
        (("--prompt", "nowhere.txt"), ("--prompt", "nowhere.txt", "{title}")),
        (("--prompt", "prompt.txt"), ("--prompt", "prompt.txt", "{title}", "{content}")),
        (("--thresold", "0.5"), ("'--thresold'", "'--threshold'", "--help")),
        (("--json",), ("--json", "--out FILE")),
        (("--json", "--out", "-"), ("--json", "--out FILE")),
    ],
)
def test_a_flag_that_makes_no_sense_is_refused(
    arguments: tuple[str, ...], words: tuple[str, ...], folder: Path
) -> None:
    """A value that is out of range, of another kind or unknown: exit 2, with what would do."""
    done = run_tamiz("run", *OK, *arguments, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    _refused(done.stderr, words)
    assert not (folder / "tamiz.db").exists()


def test_an_unknown_command_is_refused(tmp_path: Path) -> None:
    """A command that there is not: exit 2, and where to look."""
    done = run_tamiz("rum", "q.csv", cwd=tmp_path)
    assert done.returncode == 2
    _refused(done.stderr, ("'rum'", "tamiz --help"))


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("TAMIZ_THRESHOLD", "high", ("TAMIZ_THRESHOLD", "'high'", "a number")),
        ("SCORE_THRESHOLD", "3", ("SCORE_THRESHOLD", "3", "between 0 and 1")),
        ("MAX_RETRIES", "many", ("MAX_RETRIES", "'many'", "a whole number")),
        ("CACHE_POLICY", "mru", ("'mru'", "lru, fifo, lfu")),
        ("CACHE_TTL", "soon", ("CACHE_TTL", "'soon'", "2s")),
        ("TAMIZ_UNSCORED", "no", ("TAMIZ_UNSCORED", "'no'", "accept, retry")),
        ("TAMIZ_MODEL", "gemini", ("'gemini'",)),
    ],
)
def test_a_variable_that_makes_no_sense_is_refused(
    variable: str, value: str, words: tuple[str, ...], folder: Path
) -> None:
    """The environment is checked as flags are; the message names the variable."""
    model = () if variable == "TAMIZ_MODEL" else OK[1:]
    done = run_tamiz("run", "q.csv", *model, cwd=folder, env={variable: value})
    assert done.returncode == 2
    _refused(done.stderr.partition("the choices are:")[0].rstrip() + "\n", words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("threshold = ", ("tamiz.toml", "line 1")),
        ("treshold = 0.3", ("tamiz.toml", "'treshold'", "'threshold'")),
        ("zzz = 1", ("tamiz.toml", "'zzz'", "threshold", "attempts")),
        ('threshold = "high"', ("tamiz.toml", "threshold", "'high'", "a number")),
        ("attempts = [1]", ("tamiz.toml", "attempts", "[1]", "a whole number")),
        ("attempts = 0", ("tamiz.toml", "attempts", "between 1 and")),
        ("model = 3", ("tamiz.toml", "model", "3", "model URLs")),
    ],
)
def test_a_settings_file_that_makes_no_sense_is_refused(text: str, words: tuple[str, ...], folder: Path) -> None:
    """`tamiz.toml` is checked as flags are; the message names the file and the setting."""
    (folder / "tamiz.toml").write_text(text + "\n")
    done = run_tamiz("run", *OK, cwd=folder)
    assert done.returncode == 2
    _refused(done.stderr, words)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("run", "missing.csv", "--model", "simulated:"), 2),
        (("status", "--state", "none.db"), 1),
        (("models", "pull", "nothing-of-that-name"), 2),
    ],
)
def test_debug_adds_a_traceback_and_changes_nothing_else(arguments: tuple[str, ...], code: int, folder: Path) -> None:
    """The message and the exit code are those without it."""
    plain = run_tamiz(*arguments, cwd=folder)
    debug = run_tamiz(*arguments, "--debug", cwd=folder)
    assert (plain.returncode, debug.returncode) == (code, code)
    assert "Traceback" not in plain.stderr
    assert debug.stderr.startswith("Traceback (most recent call last):")
    assert debug.stderr.endswith(plain.stderr)


def test_what_only_looks_like_a_place_of_the_prompt_is_told(folder: Path) -> None:
    """It may be meant, so the run goes on."""
    (folder / "prompt.txt").write_text("{title} {nope}")
    done = run_tamiz("run", *OK, "--prompt", "prompt.txt", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "--prompt prompt.txt: sent as it stands: {nope}; the places of the question are {title}" in done.stderr
    assert run_tamiz("run", *OK, "--prompt", "prompt.txt", "--quiet", cwd=folder).stderr == ""


@pytest.mark.parametrize("command", ["report", "vocabulary"])
def test_the_remedy_is_one_that_the_command_has(command: str, folder: Path) -> None:
    """These take a state file as their argument."""
    (folder / "diary").write_text("my diary\n" * 100)
    done = run_tamiz(command, "diary", cwd=folder)
    assert done.returncode == 1
    assert f"Choose another: tamiz {command} FILE" in done.stderr
    assert "--state" not in done.stderr + run_tamiz(command, "nowhere", cwd=folder).stderr
