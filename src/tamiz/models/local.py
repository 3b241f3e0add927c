"""A model in this process, by llama.cpp: no server to run, no key, no network."""

import asyncio
import os
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, Protocol

from tamiz.chat import CUT, TEXT_ALONE, canonical, choices_of, for_model, only_text
from tamiz.clock import Clock, SystemClock
from tamiz.errors import Failed, FailureKind, ModelRefused, UsageError
from tamiz.models.base import Prompt, Reply
from tamiz.models.classify import Refusal, classify, read, shorten
from tamiz.models.completion import check
from tamiz.models.names import name_of

__all__ = ["MAX_TOKENS", "SYSTEM", "LocalModel"]

SYSTEM: Final = "Answer in one short sentence."
MAX_TOKENS: Final = 256

_MAGIC: Final = b"GGUF"
_SILENT: Final = -1  # llama.cpp's log level
_SEED_MASK: Final = 0x7FFF_FFFF
_LONGEST_SOCKET: Final = 100  # characters; the system's limit for the path of a socket is a little above


class _Server(Protocol):
    """What is used of `xllamacpp.Server`, which has no types."""

    listening_address: str

    def handle_chat_completions(self, body: dict[str, Any], take: Callable[[dict[str, Any]], bool]) -> None: ...

    def handle_metrics(self) -> str: ...


class LocalModel:
    """Answers with the GGUF file at `path`; it is loaded by the first call and once.

    `slots` calls run at once, each with a context of `context` tokens; further ones wait their turn. A call gets
    `timeout` seconds from when its turn comes. `system` and `max_tokens` default to `SYSTEM` and `MAX_TOKENS`. A first
    attempt samples at temperature 0, a later one at 0.8 with the prompt's seed: the same prompt gives the same answer.

    Raises `UsageError` where llama.cpp is not installed, or the file is missing or no GGUF file.
    """

    def __init__(
        self,
        *,
        name: str,
        path: Path,
        system: str | None = None,
        max_tokens: int | None = None,
        timeout: float = 300.0,
        slots: int = 4,
        context: int = 2048,
        clock: Clock | None = None,
    ) -> None:
        if find_spec("xllamacpp") is None:
            raise UsageError(f"{name}: llama.cpp is not installed: pip install 'tamiz[local]'")
        _check_file(path, name)
        self.name = name
        self.account = ""
        self._path = path
        self._system = SYSTEM if system is None else system
        self._max_tokens = max_tokens or MAX_TOKENS
        self._timeout = timeout
        self._slots = slots
        self._context = context
        self._clock = clock or SystemClock()
        self._pool = ThreadPoolExecutor(slots, thread_name_prefix="tamiz-local")
        self._loading = threading.Lock()
        self._server: _Server | None = None
        self._closing = threading.Event()

    async def ask(self, prompt: Prompt) -> Reply:
        """Answer the prompt; see `Model.ask`. A cancelled call frees its slot at the next token."""
        abandoned = threading.Event()
        try:
            call = partial(self._ask, prompt, abandoned)
            return await asyncio.get_running_loop().run_in_executor(self._pool, call)
        finally:
            abandoned.set()

    async def close(self) -> None:
        """Stop what runs and free the model; see `Model.close`."""
        self._closing.set()
        # llama.cpp must outlive every call in it, so the threads end first.
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)
        server, self._server = self._server, None
        if server is not None:
            await asyncio.to_thread(_let_go, [server])
            del server

    def _ask(self, prompt: Prompt, abandoned: threading.Event) -> Reply:
        server = self._loaded()
        answer = _Answer(abandoned, self._closing, self._clock, self._timeout)
        try:
            if server is not None and not answer.is_over():
                # It streams since only a stream can be stopped: a cancelled or late call ends at the next token.
                server.handle_chat_completions(self._body(prompt), answer.take)
        except (RuntimeError, ValueError) as error:
            raise Failed(FailureKind.INVALID, f"llama.cpp refused the question: {shorten(str(error))}") from error
        finally:
            del server  # an exception keeps what is here, and whoever drops it would wait for llama.cpp's threads
        return answer.reply(self._path.stem, chat=prompt.chat is not None)

    def _body(self, prompt: Prompt) -> dict[str, Any]:
        first = prompt.attempt == 1
        sampling = {"temperature": 0.0 if first else 0.8, "seed": prompt.seed & _SEED_MASK}
        if prompt.chat is not None:
            chat = canonical(only_text(prompt.chat, name_of(self.name), TEXT_ALONE["local"]))
            body = for_model(chat, self.name, prompt.hint, sampling)
            body["max_tokens"] = body.pop("max_completion_tokens", None) or body.get("max_tokens") or self._max_tokens
            del body["model"]
        else:
            system = [{"role": "system", "content": self._system}] if self._system else []
            # A lone surrogate is no text that llama.cpp takes.
            text = prompt.text.encode(errors="replace").decode()
            body = {
                "messages": [*system, {"role": "user", "content": text}],
                "max_tokens": self._max_tokens,
                **sampling,
            }
        return {
            **body,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    def _loaded(self) -> _Server | None:
        with self._loading:
            if self._server is None and not self._closing.is_set():
                self._server = self._load()
            return self._server

    def _load(self) -> _Server:
        import xllamacpp  # noqa: PLC0415 - an extra, and 60 MB: only who uses it pays for it

        params = xllamacpp.CommonParams()
        params.verbosity = _SILENT
        params.model.path = str(self._path)
        params.n_ctx = self._context * self._slots
        params.n_parallel = self._slots
        params.cpuparams.n_threads = _cores()
        params.cache_ram_mib = 0  # no cache of prompts beyond the slots' own: questions differ
        # llama.cpp's own HTTP server comes with it and cannot be left out. It gets no port but a socket in a private
        # folder, which is gone once it is bound, so that nothing can connect; where that does not work, a port of this
        # machine's loopback. Either way it answers no question without a key that nobody knows.
        params.api_keys = [token_hex(32)]
        params.cors_origins = ""
        params.ui = params.endpoint_slots = params.endpoint_props = False
        params.endpoint_metrics = True
        params.n_threads_http = 1
        with tempfile.TemporaryDirectory(prefix="tamiz-", ignore_cleanup_errors=True) as folder:
            socket = str(Path(folder) / "llama.sock")
            unix = os.name == "posix" and len(socket) < _LONGEST_SOCKET
            params.hostnames = [socket] if unix else ["127.0.0.1"]
            try:
                server: _Server = xllamacpp.Server(params)
            except RuntimeError as error:
                raise ModelRefused(
                    f"{self.name}: llama.cpp cannot load {self._path} ({error}): damaged, too large for the memory, or "
                    "of a kind that this version of xllamacpp does not know"
                ) from error
            # Only its main loop answers this. One that is let go of before its loop runs waits for its end for ever.
            server.handle_metrics()
            return server


class _Answer:
    """Takes a streamed answer together, chunk by chunk, from llama.cpp's thread."""

    def __init__(self, abandoned: threading.Event, closing: threading.Event, clock: Clock, timeout: float) -> None:
        self._abandoned = abandoned
        self._closing = closing
        self._clock = clock
        self._timeout = timeout
        self._deadline = clock.monotonic() + timeout
        self._parts: list[str] = []
        self._finish: str | None = None
        self._usage: dict[str, int] = {}
        self._error: dict[str, Any] | None = None

    def is_over(self) -> bool:
        """Tell whether nobody waits for the answer any more."""
        return self._abandoned.is_set() or self._closing.is_set() or self._clock.monotonic() > self._deadline

    def take(self, chunk: dict[str, Any]) -> bool:
        """Take a chunk; a true result stops the stream. Must not raise: the exception would be lost in llama.cpp."""
        if "error" in chunk:
            self._error = chunk
            return True
        for choice in chunk.get("choices") or ():
            self._parts.append(choice.get("delta", {}).get("content") or "")
            self._finish = choice.get("finish_reason") or self._finish
        self._usage = chunk.get("usage") or self._usage
        return self.is_over() and self._finish is None

    def reply(self, model: str, *, chat: bool) -> Reply:
        """Give the whole answer; that of a chat may be cut off where the request says so.

        Raises `Failed` where there is none.
        """
        if self._error is not None:
            said = read(200, self._error)
            verdict = classify(said)
            kind = FailureKind.FATAL if isinstance(verdict, Refusal) else verdict
            raise Failed(kind, f"llama.cpp answered {said.status or 'an error'}: {shorten(said.message)}")
        if self._finish is None:
            if self._clock.monotonic() > self._deadline:
                raise Failed(FailureKind.TIMEOUT, f"no whole answer from {model} in {self._timeout:g} s")
            raise Failed(FailureKind.OVERLOAD, f"{model} was stopped before its answer was whole")
        cut = chat and self._finish in CUT
        text = check("".join(self._parts), None if cut else self._finish)
        return Reply(
            text=text,
            model=model,
            prompt_tokens=self._usage.get("prompt_tokens"),
            completion_tokens=self._usage.get("completion_tokens"),
            completion=choices_of(text, self._finish) if chat else None,
        )


def _check_file(path: Path, name: str) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise UsageError(f"{name}: cannot read {path}: {error.strerror or error}") from None
    if magic != _MAGIC:
        raise UsageError(f"{name}: {path} is not a GGUF file (it begins with {magic!r})")


def _cores() -> int:
    """Give the cores that this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _let_go(server: list[_Server]) -> None:
    """Drop the last reference: llama.cpp then waits for its own threads, which is not for the event loop."""
    server.clear()
