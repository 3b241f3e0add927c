"""`tamiz serve` behind the official client of OpenAI's API, in a process of its own."""

import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import openai
import pytest

from fake_llm import FakeLLM, answer
from serving import model_url, serving
from started import started

_HELLO: Final[list[Any]] = [{"role": "user", "content": "What is the capital of France?"}]
_TEXT: Final = "Paris, of course."


@contextmanager
def talking(folder: Path, llm: FakeLLM) -> Iterator[openai.OpenAI]:
    """Give a client of a service that ends, by a signal, with the block."""
    with started("serve", "--port", "0", "--model", model_url(llm), cwd=folder) as service:

        def address() -> str | None:
            said = re.search(r"serves on (http://\S+),", service.stderr.read_text(encoding="utf-8"))
            return said[1] if said else None

        service.until(address, "it to serve")
        with openai.OpenAI(base_url=f"{address()}/v1", api_key="none", max_retries=0) as client:
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


def test_the_official_client_works_unchanged(tmp_path: Path) -> None:
    """Eight at once share a call, a stream is read to its end, and what was answered once is after a restart."""
    sources = []
    with serving(answer(_TEXT, delay=0.5)) as llm:
        for _ in range(2):
            with talking(tmp_path, llm) as client, ThreadPoolExecutor(8) as threads:
                sources.append(sorted(threads.map(ask, [client] * 8)))
                with client.chat.completions.create(model="tamiz", messages=_HELLO, stream=True) as stream:
                    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == _TEXT
                with pytest.raises(openai.NotFoundError, match="there is tamiz, fake-1"):
                    client.chat.completions.create(model="gpt-4o", messages=_HELLO)
        assert len(llm.requests) == 2, "one with the reference, one without"
    assert sources[0] == ["coalesced"] * 7 + ["model"]
    assert set(sources[1]) <= {"store", "cache"}
