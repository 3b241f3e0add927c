from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamiz.cache import POLICIES
from tamiz.errors import UsageError
from tamiz.scorers import SCORERS
from tamiz.settings import SETTINGS_FILE, Price, Settings, load_settings, secrets_in

KEY = "sk-very-secret-0123456789"

# For each setting: what it is written as in the environment, the value that is, and the same in TOML.
WRITTEN: dict[str, tuple[str, Any, str]] = {
    "model": ("simulated: openai:m", ("simulated:", "openai:m"), '["simulated:", "openai:m"]'),
    "escalate": ("openai:big", ("openai:big",), '"openai:big"'),
    "threshold": ("0.7", 0.7, "0.7"),
    "attempts": ("4", 4, "4"),
    "backoff": ("500ms", 0.5, '"500ms"'),
    "backoff_cap": ("2m", 120.0, "120"),
    "retries": ("0", 0, "0"),
    "scorer": ("gate", "gate", '"gate"'),
    "check": ("refusal=off max-words=9", ("refusal=off", "max-words=9"), '["refusal=off", "max-words=9"]'),
    "unscored": ("retry", "retry", '"retry"'),
    "concurrency": ("9", 9, "9"),
    "timeout": ("2m", 120.0, '"2m"'),
    "connect_timeout": ("3s", 3.0, "3"),
    "first_byte_timeout": ("4s", 4.0, '"4s"'),
    "stall_timeout": ("500ms", 0.5, "0.5"),
    "give_up_after": ("1h", 3600.0, '"1h"'),
    "max_answer_tokens": ("99", 99, "99"),
    "system": ("Be brief.", "Be brief.", '"Be brief."'),
    "prompt": ("p.txt", "p.txt", '"p.txt"'),
    "seed": ("-5", -5, "-5"),
    "limit": ("10", 10, "10"),
    "max_calls": ("11", 11, "11"),
    "max_tokens": ("12", 12, "12"),
    "columns": ("question=Q", "question=Q", '"question=Q"'),
    "state": ("x.db", "x.db", '"x.db"'),
    "cache_policy": ("lfu", "lfu", '"lfu"'),
    "cache_size": ("0", 0, "0"),
    "cache_ttl": ("1h", 3600.0, "3600"),
    "openai_base_url": ("http://h/v1", "http://h/v1", '"http://h/v1"'),
    "openai_api_key": (KEY, KEY, f'"{KEY}"'),
    "ollama_host": ("h:1", "h:1", '"h:1"'),
    "cache_dir": ("/c", "/c", '"/c"'),
    "bus": ("kafka:h:1", "kafka:h:1", '"kafka:h:1"'),
    "store": ("mongodb://h/d", "mongodb://h/d", '"mongodb://h/d"'),
    "flink_parallelism": ("4", 4, "4"),
    "host": ("0.0.0.0", "0.0.0.0", '"0.0.0.0"'),  # noqa: S104 - not listened on
    "port": ("81", 81, "81"),
    "queue": ("7", 7, "7"),
    "keys": ("k", "k", '"k"'),
    "api_keys": ("t:" + KEY, "t:" + KEY, f'"t:{KEY}"'),
    "trust_network": ("true", True, "true"),
    "log": ("json", "json", '"json"'),
    "log_level": ("debug", "debug", '"debug"'),
    "otlp_endpoint": ("http://h:4318", "http://h:4318", '"http://h:4318"'),
    "traffic_total": ("5", 5, "5"),
    "traffic_duration": ("2m", 120.0, "120"),
    "traffic_arrivals": ("max", "max", '"max"'),
    "traffic_rate": ("2.5", 2.5, "2.5"),
    "traffic_popularity": ("uniform", "uniform", '"uniform"'),
    "traffic_alpha": ("1.5", 1.5, "1.5"),
    "traffic_key": (KEY, KEY, f'"{KEY}"'),
}
ALIASES = {
    "SCORE_THRESHOLD": "threshold",
    "MAX_RETRIES": "retries",
    "CACHE_POLICY": "cache_policy",
    "CACHE_SIZE": "cache_size",
    "CACHE_TTL": "cache_ttl",
    "OPENAI_BASE_URL": "openai_base_url",
    "OPENAI_API_KEY": "openai_api_key",
    "OLLAMA_HOST": "ollama_host",
    "KAFKA_BOOTSTRAP_SERVERS": "bus",
    "MONGO_URI": "store",
    "FLINK_PARALLELISM": "flink_parallelism",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "otlp_endpoint",
    "TRAFFIC_TOTAL": "traffic_total",
    "TRAFFIC_DURATION": "traffic_duration",
    "TRAFFIC_ARRIVALS": "traffic_arrivals",
    "TRAFFIC_RATE": "traffic_rate",
    "TRAFFIC_POPULARITY": "traffic_popularity",
    "TRAFFIC_ALPHA": "traffic_alpha",
}


def load(
    folder: Path, *, flags: dict[str, Any] | None = None, environment: dict[str, str] | None = None, toml: str = ""
) -> Settings:
    if toml:
        (folder / SETTINGS_FILE).write_text(toml, encoding="utf-8")
    return load_settings(flags or {}, environment or {}, folder)


def refused(folder: Path, **sources: Any) -> str:
    with pytest.raises(UsageError) as refusal:
        load(folder, **sources)
    assert KEY not in str(refusal.value)
    assert refusal.value.exit_code == 2
    return str(refusal.value)


def test_every_setting_is_in_the_table() -> None:
    assert {*WRITTEN, "prices", "refusal", "kafka"} == set(Settings.__struct_fields__)


def test_kafka_s_servers_and_secrets_come_from_the_environment(tmp_path: Path) -> None:
    """The field's own names; over the file's table; no secret is shown."""
    toml = '[kafka]\n"security.protocol" = "PLAINTEXT"\n"linger.ms" = 7\n"sasl.password" = "from the file"\n'
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": "one:9092,two:9092",
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_PASSWORD": KEY,
        "MONGO_URI": f"mongodb://somebody:{KEY}@host/db",
    }
    found = load(tmp_path, environment=environment, toml=toml)
    assert found.bus == "kafka:one:9092,two:9092"
    assert found.kafka == {"security.protocol": "SASL_SSL", "linger.ms": 7, "sasl.password": KEY}
    assert KEY not in repr(found)
    assert "somebody" not in repr(found)
    assert "mongodb://host/db" in repr(found)


def test_what_is_a_table_comes_from_the_file_alone(tmp_path: Path) -> None:
    """Prices, and what a server's refusals mean; a variable of that name is somebody else's."""
    toml = '[prices."gpt-4o-mini"]\ninput = 0.15\n[[refusal]]\nkind = "quota"\nstatus = [418]\n'
    found = load(tmp_path, toml=toml, environment={"TAMIZ_PRICES": "x", "TAMIZ_REFUSAL": "y"})
    assert found.prices == {"gpt-4o-mini": Price(input=0.15)}
    assert found.refusal == ({"kind": "quota", "status": [418]},)


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("prices = 3", ("prices", "3", '[prices."gpt-4o-mini"]')),
        ("[prices.m]\ninput = -1", ("prices", "-1", ">= 0")),
        ("[prices.m]\ncost = 1", ("prices", "cost")),
        ("refusal = 'no'", ("refusal", "'no'", "[[refusal]]")),
        ("[refusal]\nkind = 'quota'", ("refusal", "quota", "[[refusal]]")),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, toml: str, words: tuple[str, ...]) -> None:
    said = refused(tmp_path, toml=toml)
    assert [word for word in words if word not in said] == [], said


def test_without_anything_each_setting_has_its_default(tmp_path: Path) -> None:
    assert load(tmp_path) == Settings()


@pytest.mark.parametrize("name", WRITTEN)
def test_each_source_gives_the_same_value(tmp_path: Path, name: str) -> None:
    """A flag, the environment and the file are read alike."""
    text, value, toml = WRITTEN[name]
    assert value != getattr(Settings(), name)
    expected = msgspec.structs.replace(Settings(), **{name: value})
    assert load(tmp_path, environment={f"TAMIZ_{name.upper()}": text}) == expected
    assert load(tmp_path, flags={name: value}) == expected
    assert load(tmp_path, toml=f"{name} = {toml}") == expected


@given(st.sets(st.sampled_from(["flag", "tamiz", "alias", "file"])))
def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(
    tmp_path_factory: pytest.TempPathFactory, sources: set[str]
) -> None:
    """In any combination; of two variables the one that begins with TAMIZ_ wins."""
    found = load(
        tmp_path_factory.mktemp("settings"),
        flags={"threshold": 0.1 if "flag" in sources else None},
        environment={
            **({"TAMIZ_THRESHOLD": "0.2"} if "tamiz" in sources else {}),
            **({"SCORE_THRESHOLD": "0.4"} if "alias" in sources else {}),
        },
        toml="threshold = 0.5" if "file" in sources else "",
    )
    order = [("flag", 0.1), ("tamiz", 0.2), ("alias", 0.4), ("file", 0.5)]
    assert found.threshold == next((value for source, value in order if source in sources), 0.3)


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_the_names_of_the_field_are_read_too(tmp_path: Path, alias: str, name: str) -> None:
    text, value, _ = WRITTEN[name]
    assert getattr(load(tmp_path, environment={alias: text}), name) == value
    own = {f"TAMIZ_{name.upper()}": text, alias: "fifo" if name == "cache_policy" else "1"}
    assert getattr(load(tmp_path, environment=own), name) == value


def test_what_is_empty_was_not_given(tmp_path: Path) -> None:
    """An option not used, an empty variable."""
    flags: dict[str, Any] = {"model": (), "limit": None}
    environment = {"TAMIZ_MODEL": "simulated:", "TAMIZ_LIMIT": "3", "TAMIZ_SEED": "", "CACHE_SIZE": ""}
    found = load(tmp_path, flags=flags, environment=environment)
    assert (found.model, found.limit, found.seed, found.cache_size) == (("simulated:",), 3, 0, 10_000)


def test_zero_and_false_are_given(tmp_path: Path) -> None:
    found = load(tmp_path, flags={"retries": 0, "cache_size": 0}, environment={"TAMIZ_RETRIES": "7", "CACHE_SIZE": "7"})
    assert (found.retries, found.cache_size) == (0, 0)


def test_local_models_are_kept_where_caches_are(tmp_path: Path) -> None:
    assert load(tmp_path, environment={"XDG_CACHE_HOME": "/xdg"}).cache_dir == "/xdg/tamiz"
    both = {"XDG_CACHE_HOME": "/xdg", "TAMIZ_CACHE_DIR": "/mine"}
    assert load(tmp_path, environment=both).cache_dir == "/mine"


@pytest.mark.parametrize(
    ("name", "text", "remedy"),
    [
        ("threshold", "1.01", "between 0 and 1"),
        ("threshold", "-0.1", "between 0 and 1"),
        ("threshold", "nan", "between 0 and 1"),
        ("threshold", "high", "a number"),
        ("attempts", "0", "between 1 and 1000"),
        ("attempts", "1.5", "a whole number"),
        ("attempts", "many", "a whole number"),
        ("retries", "-1", "between 0 and 1000"),
        ("concurrency", "0", "between 1 and 10000"),
        ("timeout", "0", "between 0.001 and 86400"),
        ("timeout", "2 days", "like 50ms, 2s, 1.5m or 1h"),
        ("cache_ttl", "-1s", "like 50ms, 2s, 1.5m or 1h"),
        ("unscored", "drop", "accept, retry"),
        ("max_answer_tokens", "0", "between 1 and 1e+07"),
        ("limit", "-1", "at least 0"),
        ("max_calls", "-1", "at least 0"),
        ("max_tokens", "1k", "a whole number"),
        ("cache_size", "-1", "between 0 and 1e+08"),
        ("seed", "lucky", "a whole number"),
    ],
)
def test_a_wrong_value_is_named_with_its_origin_and_a_remedy(tmp_path: Path, name: str, text: str, remedy: str) -> None:
    """Whichever of the three it came from."""
    variable = f"TAMIZ_{name.upper()}"
    by_origin = {
        f"--{name.replace('_', '-')}: ": refused(tmp_path, flags={name: text}),
        f"{variable}: ": refused(tmp_path, environment={variable: text}),
        f"{SETTINGS_FILE}: {name}: ": refused(tmp_path, toml=f'{name} = "{text}"'),
    }
    for origin, why in by_origin.items():
        assert why.startswith(origin)
        assert text in why
        assert remedy in why


def test_a_wrong_value_under_an_alias_names_the_alias(tmp_path: Path) -> None:
    """The user looks for the variable that is set."""
    assert refused(tmp_path, environment={"SCORE_THRESHOLD": "2"}).startswith("SCORE_THRESHOLD: 2.0 is out of range")


@pytest.mark.parametrize(
    ("where", "name", "choices"),
    [("CACHE_POLICY", "cache_policy", POLICIES), ("TAMIZ_SCORER", "scorer", SCORERS)],
)
def test_what_is_one_of_several_names_is_checked_where_it_is_given(
    tmp_path: Path, where: str, name: str, choices: Collection[str]
) -> None:
    """The settings know the same names as those who go by them."""
    for choice in choices:
        assert getattr(load(tmp_path, environment={where: choice}), name) == choice
    why = refused(tmp_path, environment={where: "mru"})
    assert why.startswith(f"{where}: 'mru' is not one of: ")
    assert {*why.partition("one of: ")[2].split(", ")} == {*choices}


@pytest.mark.parametrize("value", ["true", "[1]", "{}", "2024-01-01"])
@pytest.mark.parametrize("name", WRITTEN)
def test_a_value_of_another_type_is_refused(tmp_path: Path, name: str, value: str) -> None:
    """TOML has types; none of them is bent into what it is not."""
    if name not in {"model", "escalate"} and (name, value) != ("trust_network", "true"):
        assert f"{SETTINGS_FILE}: {name}: " in refused(tmp_path, toml=f"{name} = {value}")


@pytest.mark.parametrize("value", ["5", "true", "[1]", "{}"])
def test_a_list_of_models_is_of_texts(tmp_path: Path, value: str) -> None:
    assert "a list of model URLs" in refused(tmp_path, toml=f"model = {value}")


@pytest.mark.parametrize("name", ["system", "model", "attempts", "openai_base_url", "openai_api_key"])
def test_bytes_that_are_no_text_are_refused(tmp_path: Path, name: str) -> None:
    """The shell hands on any bytes; only a path may have such."""
    for why in (
        refused(tmp_path, flags={name: ("x\udcff",) if name == "model" else "x\udcff"}),
        refused(tmp_path, environment={f"TAMIZ_{name.upper()}": "x\udcff"}),
    ):
        assert "is not UTF-8" in why
        assert why.isprintable()
    assert load(tmp_path, flags=dict.fromkeys(["state", "prompt", "cache_dir"], "x\udcff")).prompt == "x\udcff"


def test_an_unknown_setting_gets_a_hint(tmp_path: Path) -> None:
    assert "'treshold': did you mean 'threshold'?" in refused(tmp_path, toml="treshold = 0.5")
    assert "'cache-size': did you mean 'cache_size'?" in refused(tmp_path, toml="cache-size = 5")
    why = refused(tmp_path, toml="wibble = 0.5")
    assert "'wibble'" in why
    assert all(name in why for name in WRITTEN)


@pytest.mark.parametrize("data", [b"threshold = ", b"\xff\xfe", b"threshold = 1\nthreshold = 2", b"[threshold"])
def test_a_damaged_file_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / SETTINGS_FILE).write_bytes(data)
    assert refused(tmp_path).startswith(f"{SETTINGS_FILE} cannot be read: ")


def test_a_folder_is_no_settings_file(tmp_path: Path) -> None:
    (tmp_path / SETTINGS_FILE).mkdir()
    assert refused(tmp_path).startswith(f"{SETTINGS_FILE} cannot be read: ")


def test_the_environment_and_folder_of_the_process_are_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAMIZ_SEED", "77")
    (tmp_path / SETTINGS_FILE).write_text("attempts = 9\nseed = 5")
    found = load_settings({})
    assert (found.seed, found.attempts) == (77, 9)


@pytest.mark.parametrize("value", [f'["{KEY}"]', f'{{key = "{KEY}"}}'])
def test_the_key_is_never_in_an_error(tmp_path: Path, value: str) -> None:
    """Also where it is the value that is wrong."""
    why = refused(tmp_path, toml=f"openai_api_key = {value}")
    assert "openai_api_key" in why
    assert "a text" in why


@given(st.sampled_from(sorted(set(WRITTEN) - {"openai_api_key"})), st.text(st.characters(exclude_characters="\0")))
def test_no_error_about_anything_else_shows_it_either(
    tmp_path_factory: pytest.TempPathFactory, name: str, text: str
) -> None:
    """Whatever any other variable holds, loading succeeds or the error is a `UsageError` without the key."""
    try:
        found = load(
            tmp_path_factory.mktemp("settings"),
            environment={"OPENAI_API_KEY": KEY, f"TAMIZ_{name.upper()}": text},
        )
    except UsageError as refusal:
        assert KEY not in str(refusal)  # noqa: PT017 - the other way out is as good
        return
    assert found.openai_api_key == KEY


def test_the_settings_show_everything_but_the_key(tmp_path: Path) -> None:
    """In tracebacks, logs and f-strings; an unset key shows as such."""
    found = load(tmp_path, environment={"OPENAI_API_KEY": KEY, "TAMIZ_TRAFFIC_KEY": KEY, "TAMIZ_SEED": "77"})
    assert secrets_in(found) == [KEY]
    for shown in (repr(found), str(found), f"{found}", f"{[found]}"):
        assert KEY not in shown
        assert "seed=77" in shown
        assert "openai_api_key=(a secret)" in shown
        assert "traffic_key=(a secret)" in shown
    assert "openai_api_key=None" in repr(Settings())
