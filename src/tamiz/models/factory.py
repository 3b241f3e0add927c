"""Makes a model from its URL; the adapter is imported only when its URL is used."""

import re
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from tamiz.clock import Clock
from tamiz.errors import UsageError
from tamiz.models.base import Model, Simulator
from tamiz.models.endpoint import Endpoint
from tamiz.models.fleet import Fleet
from tamiz.settings import Settings

__all__ = ["CHOICES", "make_fleet", "make_model"]

CHOICES: Final = """\
  simulated:?latency=50ms&overload=0.1&quality=0.7    deterministic, offline
  openai:gpt-4o-mini                                  OPENAI_API_KEY, OPENAI_BASE_URL
  openai+http://localhost:8001/v1#some-model          any OpenAI-compatible server (also openai+https)
  ollama:llama3.2                                     Ollama on localhost:11434, or OLLAMA_HOST
  local:smollm2-135m, local:PATH.gguf                 llama.cpp in this process (pip install 'tamiz[local]')"""

_OPENAI: Final = "https://api.openai.com/v1"
_USER: Final = re.compile(r"://[^/?#]*@")


def make_fleet(settings: Settings, clock: Clock) -> Fleet:
    """Make the models of `--model` and `--escalate`.

    Raises `UsageError` where there is none, or one cannot be made.
    """
    if not settings.model:
        raise UsageError(f"no model given: choose one with --model (or TAMIZ_MODEL):\n{CHOICES}")
    if settings.refusal:  # what is wrong with it is told whatever the model is
        from tamiz.models.refusals import rules  # noqa: PLC0415 - lazily, like the adapters

        rules(settings.refusal)
    made = {
        url: Endpoint(make_model(url, settings, clock), clock, settings.concurrency)
        for url in dict.fromkeys((*settings.model, *settings.escalate))
    }
    return Fleet(
        [made[url] for url in settings.model],
        [made[url] for url in settings.escalate],
        clock=clock,
        give_up_after=settings.give_up_after,
    )


def make_model(url: str, settings: Settings, clock: Clock) -> Model | Simulator:
    """Make the model that a URL names; nothing is connected to yet.

    Raises `UsageError` that names the flag, the URL and the choices, or what is missing.
    """
    flag = "--escalate" if url in settings.escalate and url not in settings.model else "--model"
    where = f"{flag} {url}"
    if _USER.search(url):
        raise UsageError(f"{flag}: a password in the URL would be shown in outputs; put the key in OPENAI_API_KEY")
    scheme, colon, rest = url.partition(":")
    match scheme:
        case "simulated" if colon:
            return _simulated(url, rest, settings, clock, where)
        case "openai" if colon:
            if not rest:
                raise UsageError(f"{where}: names no model; write it like openai:gpt-4o-mini")
            if settings.openai_base_url == _OPENAI and not settings.openai_api_key:
                raise UsageError(f"{where}: OPENAI_API_KEY is not set (or OPENAI_BASE_URL, for another server)")
            return _openai(url, settings.openai_base_url, rest, settings, clock, settings.openai_api_key)
        case "openai+http" | "openai+https":
            return _openai(url, *_split(url, where), settings, clock, settings.openai_api_key)
        case "ollama" if colon:
            if not rest:
                raise UsageError(f"{where}: names no model; write it like ollama:llama3.2")
            return _openai(url, _ollama_base(settings.ollama_host), rest, settings, clock, None)
        case "local" if colon:
            return _local(url, rest, settings, clock, where)
        case _:
            raise UsageError(f"{flag} {url!r} is not a model URL; the choices are:\n{CHOICES}")


def _simulated(url: str, rest: str, settings: Settings, clock: Clock, where: str) -> Simulator:
    from tamiz.models.simulated import SimulatedModel, parse_profile  # noqa: PLC0415 - lazily, see above

    if rest and not rest.startswith("?"):
        raise UsageError(f"{where}: parameters follow a question mark, like simulated:?latency=50ms&quality=0.7")
    pairs = parse_qsl(rest[1:], keep_blank_values=True)
    profile = parse_profile({"seed": str(settings.seed), **dict(pairs)})
    return SimulatedModel(url, profile, clock, settings.timeout)


def _openai(  # noqa: PLR0917 - each call names a scheme's own values
    url: str, base_url: str, model: str, settings: Settings, clock: Clock, key: str | None
) -> Model:
    from tamiz.models.openai import OpenAIModel, Timeouts  # noqa: PLC0415
    from tamiz.models.refusals import rules  # noqa: PLC0415 - lazily, see above

    return OpenAIModel(
        name=url,
        base_url=base_url,
        model=model,
        api_key=key,
        timeouts=Timeouts(
            total=settings.timeout,
            connect=min(settings.connect_timeout, settings.timeout),
            first_byte=settings.first_byte_timeout,
            stall=settings.stall_timeout,
        ),
        clock=clock,
        system=settings.system,
        max_tokens=settings.max_answer_tokens,
        rules=rules(settings.refusal),
    )


def _split(url: str, where: str) -> tuple[str, str]:
    """Give the base URL and the model of `openai+http://HOST/PATH#MODEL`."""
    base, _, model = url.removeprefix("openai+").partition("#")
    try:
        parts = urlsplit(base)
        port_is_right = parts.port is None or parts.port > 0
    except ValueError as error:
        raise UsageError(f"{where}: {error}; write it like openai+http://localhost:8001/v1#some-model") from None
    if not parts.hostname or not port_is_right:
        raise UsageError(f"{where}: names no host; write it like openai+http://localhost:8001/v1#some-model")
    if not model:
        raise UsageError(f"{where}: names no model; add it behind a #, like {url.rstrip('#')}#some-model")
    return base, model


def _ollama_base(host: str) -> str:
    """Give Ollama's OpenAI-compatible address for what OLLAMA_HOST may be: a host, host:port or a URL."""
    address = host if "://" in host else f"http://{host}"
    try:
        parts = urlsplit(address)
        port = parts.port or 11434
    except ValueError as error:
        raise UsageError(f"OLLAMA_HOST={host!r}: {error}; write it like localhost:11434") from None
    name = parts.hostname or "localhost"
    if name in {"0.0.0.0", "::"}:  # noqa: S104 - where a server listens, which is no address to call
        name = "localhost"
    return f"{parts.scheme}://{f'[{name}]' if ':' in name else name}:{port}/v1"


def _local(url: str, rest: str, settings: Settings, clock: Clock, where: str) -> Model:
    from tamiz.models import catalogue  # noqa: PLC0415 - lazily, see above
    from tamiz.models.local import LocalModel  # noqa: PLC0415

    if not rest:
        raise UsageError(f"{where}: names no model; write it like local:smollm2-135m or local:PATH.gguf")
    path = (
        Path(rest).expanduser()
        if rest.endswith(".gguf") or "/" in rest
        else catalogue.path_of(rest, Path(settings.cache_dir).expanduser())
    )
    return LocalModel(
        name=url,
        path=path,
        system=settings.system,
        max_tokens=settings.max_answer_tokens,
        timeout=settings.timeout,
        clock=clock,
    )
