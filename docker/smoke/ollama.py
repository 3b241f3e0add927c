"""A server that speaks as Ollama does, for `make smoke`: it knows the answer to what is asked there.

Every fifth question gets an answer that is wrong at first, and every seventh call finds the server overloaded.
"""

import asyncio
import json
import re
import signal
from typing import Final

from fake_llm import Do, FakeLLM, Request, answer, status

_PORT: Final = 11434
_QUESTION: Final = re.compile(r"number (\d+)")
_WRONG: Final = 5
_OVERLOADED: Final = 7
_TAKES: Final = 0.05
"""Seconds to an answer."""


class Script:
    """What is done with each request; the answer to a question is wrong once at most."""

    def __init__(self) -> None:
        self._misled: set[int] = set()

    def __call__(self, request: Request) -> Do:
        """Answer a chat, and list the models to whoever asks for anything else."""
        if not request.path.endswith("/chat/completions"):
            return Do(body=json.dumps({"models": [{"name": "smoke"}], "data": [{"id": "smoke"}]}).encode())
        if request.number % _OVERLOADED == 0:
            return status(503, {"message": "server busy, please try again"})
        found = _QUESTION.search(request.body["messages"][-1]["content"])
        number = int(found[1]) if found else 0
        if number % _WRONG == 0 and number not in self._misled:
            self._misled.add(number)
            return answer("Nobody can tell.", delay=_TAKES)
        return answer(f"The word with number {number} is w{number}.", delay=_TAKES)


async def main() -> None:
    """Serve until a signal ends it."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with FakeLLM(Script(), host="0.0.0.0", port=_PORT):  # noqa: S104 - a container's own network
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(main())
