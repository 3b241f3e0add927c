import json
import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Final

from generated_docs import ROOT
from manual_clock import ManualClock, at_once
from tamiz.cache import make_cache
from tamiz.flink.decide import Tally
from tamiz.hosts.desk import Queue
from tamiz.http.metrics import Metrics
from tamiz.models.factory import make_fleet
from tamiz.settings import Settings

DASHBOARD: Final[dict[str, Any]] = json.loads(
    (ROOT / "docker" / "grafana" / "dashboards" / "tamiz.json").read_text(encoding="utf-8")
)
SOURCES: Final = ROOT / "docker" / "grafana" / "provisioning" / "datasources" / "prometheus.yaml"
_OF_FLINK: Final = "flink_taskmanager_job_task_operator_"


def queries() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def named(prefix: str) -> set[str]:
    """Give the names in all queries that begin so, without it."""
    return {name for query in queries() for name in re.findall(rf"\b{prefix}(\w+)", query)}


def told() -> set[str]:
    """Give the names of all samples that a service can tell."""
    clock = ManualClock()
    metrics = Metrics(clock)
    metrics.cache = make_cache("lru", 7, None, clock)
    metrics.fleet = make_fleet(Settings(model=("simulated:",)), clock)
    metrics.desk = SimpleNamespace(queue=Queue(5, clock))

    async def lag() -> Mapping[str, Mapping[str, int]]:
        return {"judge": {"llm_responses": 3}}

    metrics.lag = lag
    kinds = re.findall(r"^# TYPE (\S+) (\w+)$", at_once(metrics.text()).decode(), re.MULTILINE)
    ends = {"histogram": ("_bucket", "_count", "_sum")}
    return {name + end for name, kind in kinds for end in ends.get(kind, ("",))}


def test_it_shows_what_services_tell() -> None:
    shown = named("tamiz_")
    assert len(shown) > 10
    assert {f"tamiz_{name}" for name in shown} <= told()


def test_it_shows_what_the_flink_job_counts() -> None:
    assert named(_OF_FLINK) == set(Tally)


def test_its_queries_go_to_the_source_that_is_set_up() -> None:
    (uid,) = re.findall(r"^ +uid: (\S+)$", SOURCES.read_text(encoding="utf-8"), re.MULTILINE)
    asked = {part["datasource"]["uid"] for panel in DASHBOARD["panels"] for part in (panel, *panel["targets"])}
    assert asked == {uid}


def test_each_panel_has_a_place_and_a_name_of_its_own() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + 8)}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
