"""All settings, each default written once: flag over environment over `tamiz.toml` over default."""

import difflib
import math
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin

import msgspec

from tamiz.errors import UsageError
from tamiz.units import seconds

__all__ = ["SETTINGS_FILE", "Price", "Settings", "load_settings", "secrets_in", "without_password"]

SETTINGS_FILE: Final = "tamiz.toml"


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model costs, in dollars per million tokens."""

    input: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    output: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What shapes a run. Durations are in seconds."""

    model: tuple[str, ...] = ()
    """Model URLs, in the order of failover."""
    escalate: tuple[str, ...] = ()
    """Model URLs for the attempts after the first."""
    threshold: float = 0.3
    """The least score that is accepted, in [0, 1]."""
    attempts: int = 3
    """Answers judged per question."""
    retries: int = 5
    """Failed calls allowed per attempt; refusals for quota do not count."""
    backoff: float = 0.25
    """Seconds up to which a failed call waits before the first retry, drawn uniformly; twice as many before each
    next one."""
    backoff_cap: float = 60.0
    """Most seconds that a retry waits."""
    scorer: Literal["tfidf", "gate", "gate-vectors"] = "tfidf"
    check: tuple[str, ...] = ()
    """Checks of the gate that are off (`refusal=off`), and your own: `matches=REGEX`, `forbids=REGEX`,
    `max-characters=N`, `max-words=N`, `schema=FILE`, `python=MODULE:FUNCTION`. Blanks part them in the variable."""
    unscored: Literal["accept", "retry"] = "accept"
    """What becomes of an answer that could not be scored."""
    concurrency: int = 64
    """Most calls in flight at once."""
    timeout: float = 60.0
    """Most seconds one call may take."""
    connect_timeout: float = 10.0
    """Most seconds until a connection stands."""
    first_byte_timeout: float | None = None
    """Most seconds until an answer begins, which is when most servers have made it; `None`: as `timeout`."""
    stall_timeout: float = 30.0
    """Most seconds between two parts of an answer that has begun."""
    give_up_after: float | None = None
    """Stop when no model could be called for so many seconds; `None`: wait for as long as it takes."""
    max_answer_tokens: int | None = None
    """The `max_tokens` sent to a model; `None`: the server's default (256 for `local:`)."""
    system: str | None = None
    """The system prompt, where one is wanted."""
    prompt: str | None = None
    """File of the prompt template."""
    seed: int = 0
    limit: int | None = None
    """Take only so many rows of the input."""
    max_calls: int | None = None
    max_tokens: int | None = None
    columns: str = ""
    """Which column is what: `question=Question,reference=Best Answer`."""
    state: str = "tamiz.db"
    bus: str | None = None
    """The Kafka cluster, `kafka:HOST:PORT[,HOST:PORT…][?prefix=NAME]`; `None`: everything in one process."""
    store: str | None = None
    """The database of a cluster, `mongodb://HOST/DATABASE`."""
    kafka: dict[str, str | int | float | bool] = {}
    """Table `[kafka]` of `tamiz.toml`: properties of librdkafka, such as `"security.protocol" = "SASL_SSL"`."""
    flink_parallelism: int = 1
    """Subtasks of the Flink job's judge."""
    host: str = "127.0.0.1"
    """The address that services listen on."""
    port: int | None = None
    """The port of services, 0 for any that is free; `None`: 8000 for `tamiz serve`, and for a worker its service's."""
    queue: int = 1000
    """Most questions that a service has open at once."""
    keys: str = "tamiz.keys"
    """File of the API keys, hashed (see `tamiz keys`)."""
    api_keys: str | None = None
    """API keys of the environment: `TENANT:KEY`, with blanks between them."""
    trust_network: bool = False
    """Listen beyond this machine without API keys: whoever reaches the address is trusted."""
    log: Literal["text", "json"] = "text"
    """How services and workers log: lines for people, or JSON, one object a line, with requests and outcomes too."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least level that is logged as JSON; `debug` has each hop of each question."""
    otlp_endpoint: str | None = None
    """Where traces go, by OTLP over HTTP; `None`: nowhere."""
    traffic_total: int | None = None
    """Questions that `tamiz traffic` asks; `None`: as many as its duration holds or, without one, 1,000."""
    traffic_duration: float | None = None
    """Seconds for which it asks; `None`: until the total."""
    traffic_arrivals: str = "poisson"
    """When it asks: `poisson`, `uniform`, `constant`, `burst`, `diurnal`, `trace:FILE` or `max`."""
    traffic_rate: float = 100.0
    """Mean questions a second."""
    traffic_popularity: str = "zipf"
    """What it asks: `zipf`, `uniform` or `shift`."""
    traffic_alpha: float = 1.0
    """The exponent of `zipf` and `shift`."""
    traffic_key: str | None = None
    """The API key that `tamiz traffic --to` sends; it goes to that service and into no log."""
    cache_policy: Literal["lru", "fifo", "lfu"] = "lru"
    cache_size: int = 10_000
    """Answers kept in memory; 0 is none."""
    cache_ttl: float | None = None
    """Seconds that an answer in memory is good for; `None`: for ever. It bounds no reuse: accepted answers in the state
    file (or the cluster's store) are reused whatever their age."""
    openai_base_url: str = "https://api.openai.com/v1"
    openai_api_key: str | None = None
    ollama_host: str = "http://localhost:11434"
    cache_dir: str = "~/.cache/tamiz"
    """Where local models are kept."""
    prices: dict[str, Price] = {}
    """Tables `[prices."MODEL"]` of `tamiz.toml`: `input` and `output`, in dollars per million tokens."""
    refusal: tuple[dict[str, Any], ...] = ()
    """Tables `[[refusal]]` of `tamiz.toml`: what a server's refusals mean, before the rules that tamiz knows."""

    def __repr__(self) -> str:
        shown = (f"{name}={_shown(name, getattr(self, name))}" for name in self.__struct_fields__)
        return f"Settings({', '.join(shown)})"


_ALIASES: Final = {
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
"""Names of the field, read beside `TAMIZ_…`, which wins."""

_KAFKA: Final = {
    "KAFKA_SECURITY_PROTOCOL": "security.protocol",
    "KAFKA_SASL_MECHANISM": "sasl.mechanism",
    "KAFKA_SASL_USERNAME": "sasl.username",
    "KAFKA_SASL_PASSWORD": "sasl.password",
    "KAFKA_SSL_CA_LOCATION": "ssl.ca.location",
    "KAFKA_SSL_CERTIFICATE_LOCATION": "ssl.certificate.location",
    "KAFKA_SSL_KEY_LOCATION": "ssl.key.location",
    "KAFKA_SSL_KEY_PASSWORD": "ssl.key.password",
}
"""Variables for properties of librdkafka; they win over the table of the file."""

_DURATIONS: Final = frozenset(
    {
        "timeout",
        "connect_timeout",
        "first_byte_timeout",
        "stall_timeout",
        "give_up_after",
        "cache_ttl",
        "traffic_duration",
        "backoff",
        "backoff_cap",
    }
)
_LISTS: Final = frozenset({"model", "escalate", "check"})
_PATHS: Final = frozenset({"prompt", "state", "cache_dir", "keys"})
_TABLES: Final = frozenset({"prices", "refusal", "kafka"})
"""Settings that only the file can hold."""
_BOUNDS: Final[dict[str, tuple[float, float]]] = {
    "threshold": (0, 1),
    "attempts": (1, 1000),
    "retries": (0, 1000),
    "backoff": (0, 86_400),
    "backoff_cap": (0, 86_400),
    "concurrency": (1, 10_000),
    "timeout": (0.001, 86_400),
    "connect_timeout": (0.001, 86_400),
    "first_byte_timeout": (0.001, 86_400),
    "stall_timeout": (0.001, 86_400),
    "give_up_after": (0, math.inf),
    "max_answer_tokens": (1, 10_000_000),
    "limit": (0, math.inf),
    "max_calls": (0, math.inf),
    "max_tokens": (0, math.inf),
    "port": (0, 65_535),
    "queue": (1, 1_000_000),
    "cache_size": (0, 100_000_000),
    "cache_ttl": (0, math.inf),
    "flink_parallelism": (1, 10_000),
    "traffic_total": (0, math.inf),
    "traffic_duration": (0, math.inf),
    "traffic_rate": (0, math.inf),
    "traffic_alpha": (0, 100),
}


def load_settings(
    flags: Mapping[str, Any], environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> Settings:
    """Gather the settings; a flag that is `None` or an empty tuple was not given.

    Raises `UsageError` that names the setting, its value, where it came from and what would do.
    """
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    for name, value in _from_file((folder or Path.cwd()) / SETTINGS_FILE).items():
        values[name] = _checked(name, value, f"{SETTINGS_FILE}: {name}")
    for name, variable, text in _from_environment(environment):
        values[name] = _checked(name, text, variable)
    if kafka := {name: environment[variable] for variable, name in _KAFKA.items() if environment.get(variable)}:
        values["kafka"] = {**values.get("kafka", {}), **kafka}
    for name, value in flags.items():
        if value is not None and value != ():
            flag = name.removeprefix("traffic_").replace("_", "-")  # flags of `tamiz traffic` need not say it again
            values[name] = _checked(name, value, f"--{flag}")
    return Settings(**values)


def _from_file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            found = tomllib.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path.name} cannot be read: {error}") from error
    for name in found:
        if name not in Settings.__struct_fields__:
            near = difflib.get_close_matches(name, Settings.__struct_fields__, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it may have {', '.join(Settings.__struct_fields__)}"
            raise UsageError(f"{path.name} has no setting {name!r}: {hint}")
    return found


def _from_environment(environment: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Give (setting, variable, text) for each variable that is set, the ones that win last."""
    cache = environment.get("XDG_CACHE_HOME")
    found = [("cache_dir", "XDG_CACHE_HOME", str(Path(cache) / "tamiz"))] if cache else []
    for variable, name in _ALIASES.items():
        if text := environment.get(variable):
            scheme = "kafka:" if name == "bus" and not text.startswith("kafka:") else ""
            found.append((name, variable, scheme + text))
    for name in Settings.__struct_fields__:
        variable = f"TAMIZ_{name.upper()}"
        if environment.get(variable) and name not in _TABLES:
            found.append((name, variable, environment[variable]))
    return found


_TYPES: Final = {field.name: field.type for field in msgspec.structs.fields(Settings)}


def _checked(name: str, value: Any, where: str) -> Any:  # noqa: ANN401 - any setting's value
    if name in _LISTS:
        value = tuple(value.split()) if isinstance(value, str) else value
    elif name in _DURATIONS and isinstance(value, str):
        value = seconds(value, where)
    if name not in _PATHS and not _is_unicode(value):
        raise UsageError(f"{where}: {_shown(name, value)} is not UTF-8")
    try:
        value = msgspec.convert(value, _TYPES[name], strict=False)
    except msgspec.ValidationError as error:
        why = f" ({error})" if name in _TABLES else ""
        raise UsageError(f"{where}: {_shown(name, value)} is not {_wanted(name)}{why}") from None
    low, high = _BOUNDS.get(name, (-math.inf, math.inf))
    if isinstance(value, (int, float)) and not low <= value <= high:
        upper = f" and {high:g}" if math.isfinite(high) else ""
        raise UsageError(f"{where}: {value!r} is out of range: {'between' if upper else 'at least'} {low:g}{upper}")
    return value


def _is_unicode(value: object) -> bool:
    # bytes of the command line or the environment that are not UTF-8 arrive as halves of surrogate pairs
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError:
        return False
    return True


def _shown(name: str, value: object) -> str:
    if name in {"openai_api_key", "api_keys", "traffic_key"} and value is not None:
        return "(a secret)"
    if name == "store" and isinstance(value, str):
        return repr(without_password(value))
    if name == "kafka" and isinstance(value, Mapping):
        return repr({key: "(a secret)" if _SECRET.search(str(key)) else each for key, each in value.items()})
    return repr(value)


def secrets_in(settings: Settings) -> list[str]:
    """Give what no log may show."""
    keys = (part.partition(":")[2] for part in (settings.api_keys or "").split())
    urls = (*settings.model, *settings.escalate, settings.store or "")
    users = (user.partition(":")[2] for url in urls for user in _USER.findall(url))
    kafka = (str(value) for name, value in settings.kafka.items() if _SECRET.search(name))
    own = (settings.openai_api_key or "", settings.traffic_key or "")
    found = (*own, *keys, *(user.removesuffix("@") for user in users), *kafka)
    return sorted({secret for secret in found if secret}, key=len, reverse=True)


_SECRET: Final = re.compile("password|secret|key.pem|oauthbearer|jaas")
_USER: Final = re.compile(r"(?<=://)[^/@]*@")


def without_password(url: str) -> str:
    """Give a URL without the user and the password in it, fit to be shown."""
    return _USER.sub("", url)


_WANTED: Final = {
    "prices": 'tables like [prices."gpt-4o-mini"] with input and output, in dollars per million tokens',
    "kafka": 'a table [kafka] of properties of librdkafka, like "security.protocol" = "SASL_SSL"',
    "refusal": "a list of tables, each headed [[refusal]]",
    "trust_network": "true or false",
    "check": "a list of checks, such as refusal=off",
    **dict.fromkeys(("model", "escalate"), "a list of model URLs"),
}


def _wanted(name: str) -> str:
    if name in _WANTED:
        return _WANTED[name]
    if get_origin(_TYPES[name]) is Literal:
        return f"one of: {', '.join(get_args(_TYPES[name]))}"
    kind = str(_TYPES[name])
    return "a whole number" if "int" in kind else "a number" if "float" in kind else "a text"
