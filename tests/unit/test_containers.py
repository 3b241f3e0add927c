import functools
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from cluster import install
from generated_docs import ENV_FILE, ROOT, STACK_SETS, env_file
from tamiz.settings import _TABLES, Settings

BIN: Final = Path(sys.executable).parent
FILES: Final = ("compose.yaml", "compose.smoke.yaml")
DOCKERFILES: Final = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docker").rglob("*Dockerfile"))
SERVICES: Final = {
    *("kafka", "topics", "mongo", "jobmanager", "taskmanager", "flink-submit", "traffic-generator", "cache-service"),
    *("llm-consumer", "retry-manager", "score", "storage-service", "dashboard"),
}
PROFILES: Final = {
    "load": {"load"},
    "ollama": {"ollama", "ollama-pull"},
    "observability": {"prometheus", "grafana"},
}
ONCE: Final = {"topics", "load", "ollama-pull"}
"""Those that do something and end."""
EXTRAS: Final = ("kafka", "mongo", "serve", "telemetry", "gate")
"""What the image of the services has."""
GIB: Final = 1 << 30


@functools.cache
def stack(*files: str, profile: str = "*") -> dict[str, Any]:
    """Give the services as compose itself reads them."""
    named = [option for file in files or FILES[:1] for option in ("--file", str(ROOT / file))]
    command = [str(BIN / "docker-compose"), "--env-file", "/dev/null", *named, "--profile", profile, "config"]
    done = subprocess.run([*command, "--format", "json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    services: dict[str, Any] = json.loads(done.stdout)["services"]
    return services


def test_the_stack_has_its_services_and_profiles() -> None:
    assert set(stack(profile="none")) == SERVICES
    for profile, services in PROFILES.items():
        assert set(stack(profile=profile)) == SERVICES | services


@pytest.mark.parametrize("file", FILES)
def test_compose_files_are_as_the_specification_has_them(file: str) -> None:
    command = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(ROOT / file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", DOCKERFILES)
def test_hadolint_finds_nothing(file: str) -> None:
    done = subprocess.run([BIN / "hadolint", ROOT / file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", DOCKERFILES)
def test_each_image_can_be_built_on_another_base(file: str) -> None:
    """It needs no registry but for the base, which is an argument; nothing runs as root in what is shipped."""
    text = (ROOT / file).read_text(encoding="utf-8")
    assert re.search(r"^ARG BASE=python:3\.11-slim-bookworm$", text, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${BASE}"}
    assert "# syntax" not in text
    if "smoke" not in file:
        assert re.findall(r"^USER (\S+)", text, re.MULTILINE)[-1] == "10001"


@pytest.mark.parametrize("name", sorted(SERVICES.union(*PROFILES.values())))
def test_each_container_may_do_little(name: str) -> None:
    service = stack()[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["mem_limit"]) > 0
    assert service["pids_limit"] > 0
    for port in service.get("ports", ()):
        assert port["host_ip"] == "127.0.0.1"
    for volume in service.get("volumes", ()):
        assert volume["type"] == "volume" or volume["read_only"], volume
    assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), "a version, not what is the latest today"


def test_each_container_waits_for_what_it_needs() -> None:
    """What is depended on is healthy, or has ended well; whatever stays tells whether it is well."""
    services = stack()
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other in ONCE else "service_healthy"
            assert how["condition"] == wanted, f"{name} -> {other}"
            assert other in ONCE or "healthcheck" in services[other]
        told = json.dumps([service.get("command"), service.get("entrypoint"), service.get("healthcheck")])
        assert "sleep" not in told
        if name not in ONCE:
            assert service["healthcheck"]["test"], name
            assert service["restart"] == "unless-stopped"


def test_memory_fits() -> None:
    """All but a model of one's own has 8 GiB."""
    limits = {name: int(service["mem_limit"]) for name, service in stack().items() if name != "ollama"}
    assert sum(limits.values()) <= 8 * GIB, limits


def test_kafka_is_reached_from_inside_and_outside() -> None:
    kafka = stack()["kafka"]
    assert kafka["environment"]["KAFKA_ADVERTISED_LISTENERS"] == "INSIDE://kafka:9092,OUTSIDE://localhost:9094"
    assert [(port["target"], port["published"]) for port in kafka["ports"]] == [(9094, "9094")]


def test_the_smoke_file_only_swaps_images() -> None:
    """Every image that is used is swapped, so that none is pulled, and nothing else differs."""
    plain, swapped = stack(), stack(*FILES)
    assert set(plain) == set(swapped)
    for name, service in swapped.items():
        assert service["image"].startswith("tamiz-smoke") is (name not in PROFILES["observability"]), name
        assert {**service, "image": ""} == {**plain[name], "image": ""}, name


def test_the_file_of_variables_is_current() -> None:
    assert ENV_FILE.read_text(encoding="utf-8") == env_file(), "renew it: .venv/bin/python tests/generated_docs.py"


def test_every_setting_is_in_the_file_of_variables() -> None:
    text = ENV_FILE.read_text(encoding="utf-8")
    for name in Settings.__struct_fields__:
        assert f"#TAMIZ_{name.upper()}=" in text or name in _TABLES, name


def test_every_variable_of_the_stack_is_in_the_file_of_variables() -> None:
    text = ENV_FILE.read_text(encoding="utf-8")
    used = set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text(encoding="utf-8"))) - {"BASE"}
    assert used
    for name in used:
        assert re.search(rf"^#(TAMIZ_)?{name}=", text, re.MULTILINE), name


def test_the_stack_sets_what_the_file_of_variables_says_that_it_sets() -> None:
    environment = stack()["cache-service"]["environment"]
    assert {f"TAMIZ_{name.upper()}" for name in STACK_SETS} <= set(environment)


def test_prometheus_reads_every_service() -> None:
    """All that answer `/metrics`, on the port where they do."""
    text = (ROOT / "docker" / "prometheus.yml").read_text(encoding="utf-8")
    read = {name: int(port) for name, port in re.findall(r"^ +- ([\w-]+):(\d+)$", text, re.MULTILINE)}
    ports = {
        name: int(service["environment"]["TAMIZ_PORT"])
        for name, service in stack().items()
        if "TAMIZ_PORT" in service.get("environment", {})
    }
    assert read == {**ports, "jobmanager": 9249, "taskmanager": 9249}
    assert set(ports.values()) == {5000, 5001, 5002, 5003, 5004, 5005, 8000}


def test_images_have_the_locked_versions() -> None:
    """What an image has is what the tests ran with, to the hash."""
    locked = _pins(ROOT / "requirements-dev.txt")
    image = _pins(ROOT / "docker" / "requirements.txt")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(each for extra in EXTRAS for each in extras[extra])]
    assert {re.split(r"[^\w-]", each)[0] for each in wanted} <= set(image), "renew it: make lock"
    for name, pins in image.items():
        assert pins <= locked[name], name


def test_flink_is_that_of_the_tests() -> None:
    text = (ROOT / "docker" / "flink-requirements.in").read_text(encoding="utf-8")
    assert tuple(line for line in text.splitlines() if "==" in line) == install._FLINK
    pins = _pins(ROOT / "docker" / "flink-requirements.txt")
    for requirement in install._FLINK:
        name, _, version = requirement.partition("==")
        assert {pin.partition(" ")[0] for pin in pins[name]} == {version}


def _pins(path: Path) -> dict[str, set[str]]:
    """Give the versions of each package with all their hashes, without what they depend on."""
    pins: dict[str, set[str]] = {}
    for block in re.split(r"\n(?=\S)", path.read_text(encoding="utf-8")):
        found = re.match(r"([\w.-]+)==([^\s;\\]+)", block)
        if found:
            hashes = re.findall(r"sha256:\w{64}", block)
            assert hashes, found[1]
            pins.setdefault(found[1], set()).add(f"{found[2]} {' '.join(sorted(hashes))}")
    return pins
