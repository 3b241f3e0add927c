from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamiz.errors import UsageError
from tamiz.prompt import DEFAULT, PromptTemplate, read_template


def test_the_default_is_the_question_alone() -> None:
    assert DEFAULT.render("Why?", "Because.") == "Why?\n\nBecause."
    assert DEFAULT.render("Why?", "") == "Why?", "no blanks at the end"
    assert read_template(None) is DEFAULT


@given(st.text(), st.text())
def test_the_question_stands_as_it_is(title: str, content: str) -> None:
    """Whatever is in it, places and braces included, is text: it is filled in once and never looked at again."""
    rendered = PromptTemplate("<{title}|{content}>").render(title, content)
    assert rendered == f"<{title}|{content}>"


@given(st.text(st.sampled_from("{}%$ titlecon01"), max_size=12))
def test_every_other_brace_stands_for_itself(text: str) -> None:
    """JSON and code may be in a template without any escaping."""
    rendered = PromptTemplate(f"[{text}]").render("T", "C")
    assert rendered == f"[{text}]".replace("{title}", "T").replace("{content}", "C")


def test_a_file_is_a_template(tmp_path: Path) -> None:
    file = tmp_path / "prompt.txt"
    file.write_text('Answer {title} as {"json": true}: {content}\n¿Sí?\n', encoding="utf-8")
    assert read_template(str(file)).render("A", "B") == 'Answer A as {"json": true}: B\n¿Sí?'


def test_what_only_looks_like_a_place_is_told() -> None:
    """Nothing is wrong with it, and most likely something else was meant; JSON and doubled braces are no places."""
    text = 'As {"a": 1}, {{title}}, \\frac{1}{2} and {x.y}: {title} {question} { title } {Content} {question}'
    assert PromptTemplate(text).strange == ["{ title }", "{Content}", "{question}"]
    assert DEFAULT.strange == []


@pytest.mark.parametrize("text", ["", "Answer the question.", "{Title} { title } {question}"])
def test_a_template_without_the_question_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "prompt.txt"
    file.write_text(text)
    with pytest.raises(UsageError) as refusal:
        read_template(str(file))
    assert str(file) in str(refusal.value)
    assert "{title}" in str(refusal.value)
    assert "{content}" in str(refusal.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    latin = tmp_path / "latin.txt"
    latin.write_bytes("{title} ¿Sí?".encode("latin-1"))
    for path in (latin, tmp_path / "missing.txt", tmp_path):
        with pytest.raises(UsageError) as refusal:
            read_template(str(path))
        assert str(refusal.value).startswith(f"--prompt {path}: cannot be read")
