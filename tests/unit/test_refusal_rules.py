import re
import tomllib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import pytest

from generated_docs import between
from refusal_cases import CASES
from refusal_docs import MARKS, PAGE, comments, entries, refusal_table
from tamiz.errors import Failed, FailureKind, UsageError
from tamiz.models.classify import MODEL_UNKNOWN, RULES, Refusal, Rule, Said, classify, read, rules
from tamiz.models.completion import plain


def said(status: int = 418, *codes: str, message: str = "", param: str | None = None) -> Said:
    return Said(status, frozenset(codes), message, param)


def first(said: Said) -> Rule | None:
    return next((rule for rule in RULES if rule.fits(said)), None)


def body_of(text: str) -> object:
    try:
        return plain(text.encode())
    except Failed:
        return "" if text.startswith("<") else text


def refused(entry: Mapping[str, Any]) -> str:
    with pytest.raises(UsageError) as error:
        rules([{"kind": "quota", "status": 418}, entry])
    return str(error.value)


def test_no_shipped_rule_is_dead() -> None:
    """Each rule is the first that fits for at least one response that a provider really sends."""
    used = {id(first(read(case.status, body_of(case.body)))) for case in CASES}
    assert [entry for entry, rule in zip(entries(), RULES, strict=True) if id(rule) not in used] == []


def test_each_shipped_rule_says_why() -> None:
    assert len(comments()) == len(entries())


def test_no_shipped_pattern_can_run_away() -> None:
    """Nothing in a pattern repeats without bound, so the work for a message is bounded."""
    for rule in RULES:
        for pattern in rule.messages:
            assert not re.search(r"(?<!\\)[*+]|,\}", pattern.pattern), pattern.pattern


def test_the_page_shows_the_shipped_rules() -> None:
    table = between(PAGE.read_text(encoding="utf-8"), MARKS)
    assert table == refusal_table(), "renew it: .venv/bin/python tests/refusal_docs.py"


def test_the_pages_example_is_right() -> None:
    example = re.search(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    own = rules(tomllib.loads(example[1])["refusal"])[:2]
    assert own[0].fits(said(400, "pool_exhausted"))
    assert own[0].fits(said(502, message="The pool is EMPTY."))
    assert classify(said(418), own) == Refusal("{where} wants a sign-in ({said}): open it in a browser first")


def test_own_rules_come_before_the_shipped_ones_in_their_order() -> None:
    made = rules([{"kind": "quota", "status": 429, "message": "slow"}, {"kind": "fatal", "status": 429}])
    assert made[2:] == RULES == rules()
    assert classify(said(429, message="Slow down"), made) is FailureKind.QUOTA
    assert classify(said(429), made) is FailureKind.FATAL
    assert classify(said(503), made) is FailureKind.OVERLOAD


def test_the_shipped_table_is_read_once() -> None:
    assert rules()[0] is rules()[0]


@pytest.mark.parametrize(
    ("entry", "fits", "fits_not"),
    [
        ({"status": 418}, said(418), said(419)),
        ({"status": [418, "500-502"]}, said(501), said(503)),
        ({"status": "418"}, said(418), said(419)),
        ({"status": 200}, said(0), said(200)),
        ({"code": "Teapot"}, said(500, "teapot"), said(418, "pot")),
        ({"code": ["pot", 1300]}, said(429, "1300"), said(429, "130")),
        ({"message": "tea.?pot"}, said(message="a Tea-Pot"), said(message="tea for two")),
        ({"message": ["^tea", "^pot"]}, said(message="pots"), said(message="a pot")),
        ({"message": r"(?-i:Per)Day"}, said(message="modelPerDAY"), said(message="perday")),
        ({"code": "pot", "message": "tea"}, said(message="tea"), said(message="pot")),
        ({"status": 418, "code": "pot"}, said(418, "pot"), said(419, "pot")),
        ({"param": "seed"}, said(param="seed"), said(param="top_p")),
        ({"param": ["seed"], "status": 400}, said(400, param="seed"), said(400)),
        ({"status": "100-599", "param": "seed"}, said(400, param="seed"), said(400)),
    ],
)
def test_an_entry_fits_as_it_is_written(entry: dict[str, Any], fits: Said, fits_not: Said) -> None:
    rule = rules([{"kind": "quota", **entry}])[0]
    assert (rule.fits(fits), rule.fits(fits_not)) == (True, False)


@pytest.mark.parametrize(
    ("entry", "wrong", "remedy"),
    [
        ({"kind": "quota", "stauts": 429}, "stauts = 429", "it may have kind, status, code, message, param, says"),
        ({"status": 429}, "kind = None", "one of overload, quota, timeout, invalid, fatal, stop"),
        ({"kind": "busy", "status": 429}, "kind = 'busy'", "one of overload"),
        ({"kind": ["quota"], "status": 429}, "kind = ['quota']", "one of overload"),
        ({"kind": "quota", "status": 99}, "status = 99", "numbers such as 429"),
        ({"kind": "quota", "status": [429, 600]}, "status = 600", "100 to 599"),
        ({"kind": "quota", "status": "500-699"}, "status = '500-699'", "100 to 599"),
        ({"kind": "quota", "status": "599-500"}, "status = '599-500'", "the lower one first"),
        ({"kind": "quota", "status": "5xx"}, "status = '5xx'", 'ranges such as "500-599"'),
        ({"kind": "quota", "status": 429.5}, "status = 429.5", "numbers such as 429"),
        ({"kind": "quota", "status": True}, "status = True", "numbers such as 429"),
        ({"kind": "quota", "status": []}, "status = []", "left out"),
        ({"kind": "quota", "code": ""}, "code = ''", "none of them empty"),
        ({"kind": "quota", "code": []}, "code = []", "a list of texts"),
        ({"kind": "quota", "code": {"a": 1}}, "code = {'a': 1}", "a list of texts"),
        ({"kind": "quota", "param": [True]}, "param = [True]", "a list of texts"),
        ({"kind": "quota", "message": 1.5}, "message = 1.5", "a list of texts"),
        ({"kind": "quota", "message": "(day"}, "message = '(day'", "a regular expression"),
        ({"kind": "quota", "message": ["day", "a{2,1}"]}, "message = 'a{2,1}'", "a regular expression"),
        ({"kind": "quota", "message": ".*", "status": 429}, "message = '.*'", "does not fit every message"),
        ({"kind": "stop", "status": 429, "says": "{who}"}, "says = '{who}'", "{where}, {model} and {said}"),
        ({"kind": "stop", "status": 429, "says": "{said.real}"}, "says = '{said.real}'", "{where}, {model} and {said}"),
        ({"kind": "stop", "status": 429, "says": "{}"}, "says = '{}'", "{where}, {model} and {said}"),
        ({"kind": "stop", "status": 429, "says": "{where"}, "says = '{where'", "{where}, {model} and {said}"),
        ({"kind": "stop", "status": 429, "says": "{said:{width}}"}, "says = '{said:{width}}'", "{where}, {model}"),
        ({"kind": "stop", "status": 429, "says": 5}, "says = 5", "{where}, {model} and {said}"),
        ({"kind": "quota", "status": 429, "says": "no"}, "says = 'no'", 'only kind = "stop"'),
        ({"kind": "quota"}, "it fits every refusal", "give it a status, code, message or param"),
        ({"kind": "quota", "status": "100-599"}, "it fits every refusal", "give it a status"),
    ],
)
def test_a_wrong_entry_is_named_with_its_remedy(entry: dict[str, Any], wrong: str, remedy: str) -> None:
    message = refused(entry)
    assert message.startswith("tamiz.toml: [[refusal]] number 2: ")
    assert wrong in message
    assert remedy in message


def test_a_stop_without_words_has_some() -> None:
    verdict = rules([{"kind": "stop", "status": 418}])[0].verdict
    assert isinstance(verdict, Refusal)
    assert verdict.text.format(where="h", model="m", said="418: no") == "h refuses every call to 'm' (418: no)"


def test_an_unknown_model_has_the_tables_words() -> None:
    assert classify(said(HTTPStatus.NOT_FOUND, "model_not_found")) == MODEL_UNKNOWN
    assert MODEL_UNKNOWN.text.format(where="h", model="m", said="404") == "model 'm' is unknown to h (404)"


def test_what_no_rule_fits_is_fatal() -> None:
    assert classify(said(418)) is FailureKind.FATAL
