import json
from pathlib import Path

import pytest

from tamiz.errors import UsageError
from tamiz.gate.checks import parse_checks
from tamiz.gate.heads import CHECKS, FOUND
from tamiz.gate.pair import Pair
from tamiz.gate.text import Text
from tamiz.hints import hint
from tamiz.scorers import make_scorer
from tamiz.scoring import Score


def said(check: str, answer: str, question: str = "") -> tuple[str, ...]:
    return make_scorer("tfidf", [check]).score(answer, answer, question).reasons


def test_checks_are_switched_off_and_on_by_name() -> None:
    assert parse_checks(["refusal=off", "echo=off", "refusal=on"]) == (("echo",), ())


@pytest.mark.parametrize(
    ("check", "fine", "bad", "reason"),
    [
        (r"matches=^\d+$", "42", "about 42", r"matches: nothing in it matches '^\\d+$'"),
        ("forbids=(?i)acme", "a brand", "the ACME brand", "forbids: 'ACME' is in it"),
        ("max-characters=5", "12345", "123456", "length: it has 6 characters, 5 are allowed"),
        ("max-words=2", "two words", "these three words", "length: it has 3 words, 2 are allowed"),
    ],
)
def test_own_checks_refuse_with_their_reason(check: str, fine: str, bad: str, reason: str) -> None:
    """What an own check objects to scores 0.0, even where it is the reference itself."""
    scorer = make_scorer("tfidf", [check])
    assert scorer.score(fine, fine) in {Score(1.0), scorer.score(fine, fine)}
    assert not scorer.score(fine, fine).reasons
    assert scorer.score(bad, bad) == Score(0.0, reasons=(reason,))


def test_a_schema_is_checked(tmp_path: Path) -> None:
    pytest.importorskip("jsonschema")
    schema = tmp_path / "answer.json"
    schema.write_text(json.dumps({"type": "object", "required": ["year"], "properties": {"year": {"type": "integer"}}}))
    check = f"schema={schema}"
    assert said(check, '{"year": 1969}') == ()
    assert said(check, '{"year": "x"}') == ("schema: year: 'x' is not of type 'integer'",)
    assert said(check, "1969?")[0].startswith("schema: it is not JSON")


@pytest.mark.parametrize("text", ["no JSON", '{"type": 7}'])
def test_a_file_that_is_no_schema_is_refused(tmp_path: Path, text: str) -> None:
    pytest.importorskip("jsonschema")
    schema = tmp_path / "answer.json"
    schema.write_text(text)
    with pytest.raises(UsageError, match=r"answer\.json: it is not"):
        parse_checks([f"schema={schema}"])


def test_a_python_function_is_a_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_rules.py").write_text(
        "def polite(question, answer):\n    return None if 'please' in answer else f'no please for {question}'\n"
        "def broken(question, answer):\n    return 7\n"
    )
    monkeypatch.chdir(tmp_path)
    assert said("python=own_rules:polite", "yes please", "tea?") == ()
    assert said("python=own_rules:polite", "yes", "tea?") == ("own_rules:polite: no please for tea?",)
    with pytest.raises(UsageError, match="it returned 7"):
        said("python=own_rules:broken", "yes")


@pytest.mark.parametrize(
    ("check", "problem"),
    [
        ("refusal", "is not NAME=off or KIND=VALUE"),
        ("refusal=maybe", "refusal is on or off, not 'maybe'"),
        ("rudeness=off", "there is no check 'rudeness'"),
        ("matches=(", "is not a regular expression"),
        ("max-words=many", "'many' is not a whole number"),
        ("schema=nowhere.json", "nowhere.json"),
        ("python=json", "give MODULE:FUNCTION"),
        ("python=no_such_module:f", "there is no module 'no_such_module'"),
        ("python=json:no_such", "has no 'no_such'"),
        ("python=json:__name__", "is not a function"),
    ],
)
def test_a_wrong_check_is_refused_with_its_text(check: str, problem: str) -> None:
    with pytest.raises(UsageError, match="--check") as caught:
        parse_checks([check])
    assert problem in str(caught.value)


def test_not_every_check_can_be_off() -> None:
    with pytest.raises(UsageError, match="leave one on"):
        parse_checks([f"{name}=off" for name in CHECKS])


def test_a_check_of_the_gate_has_no_meaning_for_tfidf() -> None:
    with pytest.raises(UsageError, match="choose --scorer gate"):
        make_scorer("tfidf", ["refusal=off"])


def test_a_hint_tells_what_was_wrong_and_nothing_of_the_reference() -> None:
    """What was found beside the reference is told as wrong, whatever it was."""
    told = hint(["echo: the answer repeats the question", "conflict: the number 7 is not in the reference"])
    assert told == (
        "Your last answer was not accepted: it repeated the question. Say what the answer is; and it was wrong. "
        "Think again."
    )
    assert hint(["length: it has 9 words, 3 are allowed"]) == (
        "Your last answer was not accepted: it has 9 words, 3 are allowed."
    )
    assert hint([]) is None


@pytest.mark.parametrize("check", CHECKS)
def test_every_check_has_a_hint_of_its_own(check: str) -> None:
    """No reason of the gate reaches a model in its own words."""
    reason = FOUND[check](Pair(Text("Why?"), Text("Because of 7 Zebras"), Text("Since 8 Lions")))
    assert reason.partition(": ")[2] not in (hint([reason]) or "")
