import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manual_clock import ManualClock
from tamiz.errors import TamizError, UsageError
from tamiz.models.base import Model, Simulator
from tamiz.models.endpoint import Endpoint
from tamiz.models.factory import CHOICES, make_fleet, make_model
from tamiz.models.fleet import Fleet
from tamiz.models.openai import OpenAIModel
from tamiz.models.simulated import Profile, SimulatedModel
from tamiz.settings import load_settings

KEY = "sk-very-secret-0123456789"


def make(url: str, **environment: str) -> Model | Simulator:
    return make_model(url, load_settings({}, environment, Path("/nowhere")), ManualClock())


def refused(url: str, **environment: str) -> str:
    with pytest.raises(UsageError) as refusal:
        make(url, **environment)
    assert KEY not in str(refusal.value)
    return str(refusal.value)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Note what each `OpenAIModel` is made with."""
    told: list[dict[str, Any]] = []

    class _Noting(OpenAIModel):
        def __init__(self, **options: Any) -> None:
            told.append(options)
            super().__init__(**options)

    monkeypatch.setattr("tamiz.models.openai.OpenAIModel", _Noting)
    return told


def test_simulated_is_a_simulator_with_its_parameters() -> None:
    model = make("simulated:?latency=50ms&overload=0.1&quality=0.7")
    assert isinstance(model, SimulatedModel)
    assert model.name == "simulated:?latency=50ms&overload=0.1&quality=0.7"
    assert model._profile == Profile(latency=0.05, overload=0.1, quality=0.7)


def test_the_seed_of_the_run_is_the_simulated_models_unless_it_has_its_own() -> None:
    for url, seed in (("simulated:", 5), ("simulated:?", 5), ("simulated:?seed=9", 9)):
        model = make(url, TAMIZ_SEED="5")
        assert isinstance(model, SimulatedModel)
        assert model._profile.seed == seed


@pytest.mark.parametrize(
    ("url", "environment", "base_url", "name"),
    [
        ("openai:gpt-4o-mini", {"OPENAI_API_KEY": KEY}, "https://api.openai.com/v1", "gpt-4o-mini"),
        ("openai:m:7b", {"OPENAI_BASE_URL": "http://h/v1"}, "http://h/v1", "m:7b"),
        ("openai+http://localhost:8001/v1#some-model", {}, "http://localhost:8001/v1", "some-model"),
        ("openai+https://h/v1#org/m:7b#x", {}, "https://h/v1", "org/m:7b#x"),
        ("openai+http://[::1]:8001/v1#m", {}, "http://[::1]:8001/v1", "m"),
        ("ollama:llama3.2", {}, "http://localhost:11434/v1", "llama3.2"),
        ("ollama:llama3.2:1b", {"OLLAMA_HOST": "box"}, "http://box:11434/v1", "llama3.2:1b"),
        ("ollama:m", {"OLLAMA_HOST": "box:99"}, "http://box:99/v1", "m"),
        ("ollama:m", {"OLLAMA_HOST": "https://box:99/"}, "https://box:99/v1", "m"),
        ("ollama:m", {"OLLAMA_HOST": "0.0.0.0"}, "http://localhost:11434/v1", "m"),  # noqa: S104 - a setting
        ("ollama:m", {"OLLAMA_HOST": "[::]:99"}, "http://localhost:99/v1", "m"),
        ("ollama:m", {"OLLAMA_HOST": "[::1]:99"}, "http://[::1]:99/v1", "m"),
        ("ollama:m", {"OLLAMA_HOST": ":99"}, "http://localhost:99/v1", "m"),
    ],
)
def test_openai_compatible_servers(
    made: list[dict[str, Any]], url: str, environment: dict[str, str], base_url: str, name: str
) -> None:
    """Where it is and what it is called there; nothing is connected to yet."""
    model = make(url, **environment)
    assert model.name == url
    (told,) = made
    assert (told["base_url"], told["model"]) == (base_url, name)
    asyncio.run(model.close())


def test_the_key_goes_to_openai_compatible_servers_but_not_to_ollama(made: list[dict[str, Any]]) -> None:
    for url in ("openai:m", "openai+http://h/v1#m", "ollama:m"):
        model = make(url, OPENAI_API_KEY=KEY, TAMIZ_TIMEOUT="9s", TAMIZ_SYSTEM="Be brief.", TAMIZ_MAX_ANSWER_TOKENS="8")
        assert KEY not in repr(model)
        assert KEY not in model.name
        asyncio.run(model.close())
    assert [told["api_key"] for told in made] == [KEY, KEY, None]
    assert {(told["timeouts"].total, told["system"], told["max_tokens"]) for told in made} == {(9.0, "Be brief.", 8)}


@pytest.mark.parametrize(
    "url", ["", "gpt-4o-mini", "simulated", "Simulated:", "openai", "openai+ftp://h#m", "http://h/v1#m"]
)
def test_what_is_no_model_url_gets_the_choices(url: str) -> None:
    why = refused(url)
    assert repr(url) in why
    assert CHOICES in why


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("simulated:latency=5ms", "like simulated:?latency=50ms"),
        ("simulated:?speed=5", "it takes latency"),
        ("simulated:?quality=2", "between 0 and 1"),
        ("simulated:?quality", "is not a number"),
        ("simulated:?latency=soon", "not a duration"),
        ("openai:", "like openai:gpt-4o-mini"),
        ("openai:m", "OPENAI_API_KEY is not set"),
        ("openai+http", "like openai+http://localhost:8001/v1#some-model"),
        ("openai+http:#m", "like openai+http://localhost:8001/v1#some-model"),
        ("openai+http://#m", "names no host"),
        ("openai+http://:80/v1#m", "names no host"),
        ("openai+http://h:0/v1#m", "openai+http://h:0/v1#m"),
        ("openai+http://h:99999/v1#m", "Port out of range"),
        ("openai+http://h:http/v1#m", "'http'"),
        ("openai+http://[::1/v1#m", "Invalid IPv6 URL"),
        ("openai+http://h/v1", "like openai+http://h/v1#some-model"),
        ("openai+http://h/v1#", "like openai+http://h/v1#some-model"),
        ("ollama:", "like ollama:llama3.2"),
        ("local:", "like local:smollm2-135m"),
        ("local:no-such-model", "smollm2-135m"),
        ("local:./missing.gguf", "missing.gguf"),
    ],
)
def test_a_wrong_url_says_what_is_wrong(url: str, remedy: str) -> None:
    assert remedy in refused(url)


@pytest.mark.parametrize("url", ["gpt-4o", "simulated:latency=5ms", "openai+http://h/v1", "ollama:", "local:"])
def test_the_flag_that_names_the_model_is_told(url: str) -> None:
    settings = load_settings({"model": ("simulated:",), "escalate": (url,)}, {}, Path("/nowhere"))
    with pytest.raises(UsageError) as refusal:
        make_fleet(settings, ManualClock())
    assert str(refusal.value).startswith("--escalate ")


@pytest.mark.parametrize("host", ["http://[", "h:http", "h:99999", "::1"])
def test_a_wrong_ollama_host_is_named(host: str) -> None:
    why = refused("ollama:m", OLLAMA_HOST=host)
    assert why.startswith(f"OLLAMA_HOST={host!r}: ")
    assert "like localhost:11434" in why


@pytest.mark.parametrize(
    "url",
    [
        f"openai+http://user:{KEY}@h/v1#m",
        f"openai+https://{KEY}@h/v1#m",
        f"openai+http://user:{KEY}@h:bad/v1#m",
        f"openai+http://user:{KEY}@[::1/v1#m",
        f"openai+http://user:{KEY}@#m",
        f"http://user:{KEY}@h/v1#m",
    ],
)
def test_a_password_in_a_url_is_refused_and_not_shown(url: str) -> None:
    """Names of models are in results, logs and the state file."""
    assert "OPENAI_API_KEY" in refused(url)


@given(
    st.sampled_from(["simulated:?", "simulated:", "openai+http:", "openai+https://", "local:", "ollama:", ""]),
    st.text(),
)
def test_any_text_makes_a_model_or_an_error_of_tamiz(scheme: str, rest: str) -> None:
    try:
        model = make(scheme + rest, OPENAI_API_KEY=KEY)
    except TamizError as refusal:
        assert KEY not in str(refusal)  # noqa: PT017 - the other way out is as good
        return
    assert model.name == scheme + rest
    asyncio.run(model.close())


def fleet_of(**environment: str) -> Fleet:
    return make_fleet(load_settings({}, environment, Path("/nowhere")), ManualClock())


def asked(fleet: Fleet, attempt: int, retry: int) -> Endpoint:
    ticket = fleet.admit(attempt, retry)
    assert ticket is not None
    return ticket[0]


def test_a_fleet_keeps_the_order_and_makes_each_model_once() -> None:
    fleet = fleet_of(
        TAMIZ_MODEL="simulated:?seed=1 simulated:?seed=2", TAMIZ_ESCALATE="simulated:?seed=3 simulated:?seed=1"
    )
    assert [asked(fleet, 1, n).name[-1] for n in range(3)] == ["1", "2", "1"]
    assert [asked(fleet, 2, n).name[-1] for n in range(3)] == ["3", "1", "3"]
    assert asked(fleet, 1, 0) is asked(fleet, 2, 1)


def test_without_escalation_the_same_models_go_on() -> None:
    fleet = fleet_of(TAMIZ_MODEL="simulated:")
    assert asked(fleet, 1, 0) is asked(fleet, 5, 3)


def test_no_model_at_all_gets_the_choices() -> None:
    with pytest.raises(UsageError) as refusal:
        fleet_of()
    assert "--model" in str(refusal.value)
    assert CHOICES in str(refusal.value)
