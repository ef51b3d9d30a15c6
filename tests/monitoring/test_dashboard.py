"""The dashboard's form; `test_expressions.py` runs what it asks."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

FOLDER: Final = Path(__file__).parents[2] / "manifests" / "monitoring"
DASHBOARD: Final[dict[str, Any]] = json.loads((FOLDER / "dashboard.json").read_text())
PANELS: Final[list[dict[str, Any]]] = DASHBOARD["panels"]
WIDTH: Final = 24


def test_it_can_be_provisioned() -> None:
    assert DASHBOARD["uid"] == "pilotlight-services"
    assert "id" not in DASHBOARD, "Grafana gives it"
    assert "__inputs" not in DASHBOARD, "nobody is asked when a file is provisioned"
    assert DASHBOARD["schemaVersion"] >= 36


def test_panels_have_ids_of_their_own() -> None:
    ids = [panel["id"] for panel in PANELS]
    assert len(set(ids)) == len(ids)
    titles = [panel["title"] for panel in PANELS]
    assert len(set(titles)) == len(titles)


def test_panels_lie_in_the_grid_and_not_on_each_other() -> None:
    for panel in PANELS:
        place = panel["gridPos"]
        assert place["x"] >= 0
        assert place["w"] > 0
        assert place["h"] > 0
        assert place["x"] + place["w"] <= WIDTH, panel["title"]
    for one, other in combinations(PANELS, 2):
        assert not overlap(one["gridPos"], other["gridPos"]), (one["title"], other["title"])


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )


@pytest.mark.parametrize(
    ("other", "overlapping"),
    [
        ({"x": 0, "y": 0, "w": 1, "h": 1}, True),
        ({"x": 1, "y": 0, "w": 1, "h": 2}, False),
        ({"x": 0, "y": 2, "w": 9, "h": 1}, False),
    ],
)
def test_overlap_is_seen(other: dict[str, int], overlapping: bool) -> None:
    assert overlap({"x": 0, "y": 0, "w": 1, "h": 2}, other) is overlapping


def test_every_panel_asks_the_chosen_prometheus() -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    for panel in PANELS:
        if panel["type"] == "row":
            continue
        assert panel["datasource"] == chosen
        assert panel["targets"], panel["title"]
        names = [target["refId"] for target in panel["targets"]]
        assert len(set(names)) == len(names)
        for target in panel["targets"]:
            assert target["datasource"] == chosen
            assert target["expr"].strip()


def test_what_the_dashboard_promises_is_there() -> None:
    titles = " ".join(panel["title"] for panel in PANELS).lower()
    for word in (
        "requests", "latency", "errors", "concurrency", "pods", "cold start", "phases", "split",
    ):  # fmt: skip
        assert word in titles, word


def test_every_variable_is_defined_and_used() -> None:
    defined = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert defined == {"datasource", "namespace", "service", "revision"}
    text = json.dumps(PANELS) + json.dumps(DASHBOARD["templating"])
    used = set(re.findall(r"\$\{?([a-z]+)\}?", text)) - {"__rate_interval", "__all"}
    assert used == defined


def test_the_scrape_rules_agree_with_the_ports_names() -> None:
    from pilotlight.cli.targets import COMPONENT_PORT, PROXY_PORT

    config = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    (job,) = config["scrape_configs"]
    assert job["kubernetes_sd_configs"] == [{"role": "pod"}]
    kept = [rule["regex"] for rule in job["relabel_configs"] if rule.get("action") == "keep"]
    assert kept[0] == f"{COMPONENT_PORT}|{PROXY_PORT}"


def test_the_kustomization_names_files_that_exist() -> None:
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    files = [
        entry.rpartition("=")[2]
        for g in kustomization["configMapGenerator"]
        for entry in g["files"]
    ]
    for name in [*kustomization["resources"], *files]:
        assert (FOLDER / name).is_file(), name
