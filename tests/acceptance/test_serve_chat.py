"""`tamiz serve` behind the official client of OpenAI's API, in a process of its own."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import openai
import pytest

from fake_llm import Do, FakeLLM, Request, answer, status
from on_cluster import OnCluster
from serve_command import served
from serving import asked, model_url, serving
from started import committed
from waiting import wait_until

_HELLO: Final[list[Any]] = [{"role": "user", "content": "What is the capital of France?"}]
_TEXT: Final = "Paris, of course."
_KEY: Final = "tz-0123456789abcdefghijklmnop"


@contextmanager
def talking(folder: Path, llm: FakeLLM) -> Iterator[openai.OpenAI]:
    """Give a client of a service that ends, by a signal, with the block."""
    with served(folder, model=model_url(llm)) as (service, url):
        with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            yield client
        service.process.send_signal(signal.SIGTERM)
        assert service.end()[0] == 0


def ask(client: openai.OpenAI) -> str:
    """Ask, and give where the answer came from."""
    raw = client.chat.completions.with_raw_response.create(
        model="fake-1", messages=_HELLO, extra_body={"tamiz": {"reference": _TEXT}}
    )
    assert raw.parse().choices[0].message.content == _TEXT
    return raw.headers["x-tamiz-source"]


def streamed(client: openai.OpenAI) -> str:
    """Ask without a reference, and give what came, part by part."""
    with client.chat.completions.create(model="tamiz", messages=_HELLO, stream=True) as stream:
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream)


def test_the_official_client_works_unchanged(tmp_path: Path) -> None:
    """Eight at once share a call, a stream is read to its end, and what was answered once is after a restart."""
    sources = []
    all_wait = threading.Event()
    with serving(answer(_TEXT, after=all_wait)) as llm:
        for _ in range(2):
            with talking(tmp_path, llm) as client, ThreadPoolExecutor(8) as threads:
                asking = [threads.submit(ask, client) for _ in range(8)]
                if not all_wait.is_set():
                    wait_until(lambda: committed(tmp_path / "tamiz.db", "parked") == 7, "seven to wait for the first")
                    all_wait.set()
                sources.append(sorted(each.result() for each in asking))
                assert streamed(client) == _TEXT
                with pytest.raises(openai.NotFoundError, match="there is tamiz, fake-1"):
                    client.chat.completions.create(model="gpt-4o", messages=_HELLO)
        assert len(llm.requests) == 2, "one with the reference, one without"
    assert sources[0] == ["coalesced"] * 7 + ["model"]
    assert set(sources[1]) <= {"store", "cache"}


@pytest.mark.xdist_group("cluster")
def test_it_works_on_a_cluster_too(on: OnCluster) -> None:
    """The desk is told no model and knows those of the workers; answers and errors are those of a service alone."""
    all_wait = threading.Event()

    def script(request: Request) -> Do:
        if "long" in asked(request):
            return status(400, {"message": "maximum context length is 9", "code": "context_length_exceeded"})
        return answer(_TEXT, after=all_wait if request.number == 2 else None)

    env = {**on.environment, "TAMIZ_API_KEYS": f"acme:{_KEY}"}
    with (
        serving(script) as llm,
        on.worker(model=model_url(llm)),
        served(on.folder, model=None, env=env) as (_, url),
        openai.OpenAI(base_url=f"{url}/v1", api_key=_KEY, max_retries=0) as client,
    ):
        names = wait_until(lambda: _names(client), "a worker to tell its models")
        assert names == ["tamiz", "fake-1"]
        assert streamed(client) == _TEXT
        with ThreadPoolExecutor(8) as threads:
            asking = [threads.submit(ask, client) for _ in range(8)]
            wait_until(lambda: on.status()["parked"] == 7, "seven to wait for the first")
            all_wait.set()
            sources = sorted(each.result() for each in asking)
        assert sources == ["coalesced"] * 7 + ["model"]
        assert ask(client) in {"store", "cache"}
        assert len(llm.requests) == 2, "one with the reference, one without"
        assert on.calls() == 2

        with pytest.raises(openai.BadRequestError, match="maximum context length is 9") as failed:
            client.chat.completions.create(model="fake-1", messages=[{"role": "user", "content": "How long?"}])
        error: Any = failed.value.body
        assert (error["code"], error["type"], error["outcome"]) == ("invalid", "invalid_request_error", "failed")
        assert failed.value.response.headers["x-tamiz-message-id"] == error["message_id"]
        with pytest.raises(openai.NotFoundError, match="there is tamiz, fake-1"):
            client.chat.completions.create(model="gpt-4o", messages=_HELLO)
        with pytest.raises(openai.AuthenticationError) as refused:
            client.with_options(api_key=f"{_KEY}-of-nobody").chat.completions.create(model="tamiz", messages=_HELLO)
        assert refused.value.code == "invalid_api_key"


def _names(client: openai.OpenAI) -> list[str] | None:
    """Give what models there are; `None` while no worker has told."""
    with contextlib.suppress(openai.InternalServerError):  # 503
        return [model.id for model in client.models.list()]
    return None
