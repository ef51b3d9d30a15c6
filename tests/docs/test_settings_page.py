"""The pages in `docs/` name everything that the code reads, counts and takes, and link to what is
there. What the code knows is asked of the code itself, so that nobody has to keep a list.
"""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
import pytest
import yaml
from prometheus_client.metrics_core import Metric

from pilotlight import names
from pilotlight.config.example import EXAMPLE_KEY
from pilotlight.kube.client import KubeClient
from pilotlight.kube.config import KubeConfig
from pilotlight_activator import settings as activator_settings
from pilotlight_activator.metrics import Metrics as ActivatorMetrics
from pilotlight_activator.metrics import Sources as ActivatorSources
from pilotlight_activator.service import Service
from pilotlight_autoscaler import app as autoscaler_app
from pilotlight_operator import app as operator_app
from pilotlight_operator.metrics import Metrics as OperatorMetrics
from pilotlight_queue_proxy import settings as queue_proxy_settings
from pilotlight_queue_proxy.metrics import Metrics as QueueProxyMetrics

ROOT: Final = Path(__file__).parents[2]
SETTINGS: Final = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
OPERATIONS: Final = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
LOCAL: Final = (ROOT / "docs" / "local.md").read_text(encoding="utf-8")

CONFIG_MAPS: Final = sorted(
    value
    for name, value in vars(names).items()
    if name.startswith("CONFIG_") and str(value).startswith("config-")
)
QUEUE_PROXY_ENVIRONMENT: Final = {"SERVING_NAMESPACE": "n", "SERVING_REVISION": "r"}


class Recorder(Mapping[str, str]):
    """A mapping that remembers what it was asked for."""

    def __init__(self, content: Mapping[str, str] | None = None) -> None:
        self.asked: dict[str, None] = {}
        self._content = dict(content or {})

    def __getitem__(self, key: str) -> str:
        self.asked[key] = None
        return self._content[key]

    def __contains__(self, key: object) -> bool:
        self.asked[str(key)] = None
        return key in self._content

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)


def section(page: str, heading: str) -> str:
    """What stands below a heading, up to the next one of its level or above."""
    level = len(heading) - len(heading.lstrip("#"))
    pattern = rf"^{re.escape(heading)}$(.*?)(?=^#{{1,{level}}} |\Z)"
    found = re.search(pattern, page, re.MULTILINE | re.DOTALL)
    assert found is not None, f"the page has no heading {heading!r}"
    return found[1]


def missing(wanted: Iterable[str], text: str) -> list[str]:
    """Names that do not stand in the text as code, by themselves."""
    return [name for name in wanted if f"`{name}`" not in text]


def test_missing_finds_what_is_missing() -> None:
    assert missing(["a", "b", "c"], "`a`, b and `cc`") == ["b", "c"]


# ConfigMaps


def keys_of(config_map: str) -> list[str]:
    """The keys that a ConfigMap's parser asks for, in all their spellings."""
    module = config_map.removeprefix("config-").replace("-", "_")
    parse = importlib.import_module(f"pilotlight.config.{module}").parse
    data = Recorder()
    try:
        parse(data)
    except ValueError:
        data = Recorder({"queue-sidecar-image": "an/image"})
        parse(data)
    return list(data.asked)


def example_of(config_map: str) -> Mapping[str, Any]:
    path = ROOT / "manifests" / "base" / "config-maps.yaml"
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        if document["metadata"]["name"] == config_map:
            example: Mapping[str, Any] = yaml.safe_load(document["data"][EXAMPLE_KEY])
            return example
    raise AssertionError(f"{path} has no {config_map}")


def test_all_config_maps_are_known_here() -> None:
    assert len(CONFIG_MAPS) == 10
    assert sum(len(keys_of(name)) for name in CONFIG_MAPS) > 130


@pytest.mark.parametrize("config_map", CONFIG_MAPS)
def test_every_key_of_a_config_map_is_listed(config_map: str) -> None:
    text = (
        section(SETTINGS, f"### {config_map}") + section(SETTINGS, "## ConfigMaps").split("###")[0]
    )
    assert missing(keys_of(config_map), text) == []


@pytest.mark.parametrize("config_map", CONFIG_MAPS)
def test_every_key_of_an_example_is_listed(config_map: str) -> None:
    text = section(SETTINGS, f"### {config_map}")
    found = [key for key in example_of(config_map) if key not in text]
    assert found == []


# Environment


def read_by(parse: Callable[[Mapping[str, str]], object], given: Mapping[str, str]) -> list[str]:
    environ = Recorder(given)
    parse(environ)
    return list(environ.asked)


def read_by_source(path: Path) -> list[str]:
    """The variables that a module takes from `os.environ` by name."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "os.environ.get"):
            continue
        name = node.args[0]
        is_literal = isinstance(name, ast.Constant)
        found.append(str(ast.literal_eval(name)) if is_literal else _value_of(ast.unparse(name)))
    return found


def _value_of(expression: str) -> str:
    prefix, _, name = expression.partition(".")
    assert prefix == "names", f"{expression} is not understood here"
    value: str = getattr(names, name)
    return value


VARIABLES: Final[dict[str, list[str]]] = {
    "operator": read_by_source(Path(operator_app.__file__)),
    "activator": read_by(activator_settings.read_settings, {}),
    "autoscaler": read_by(autoscaler_app.options_of, {}),
    "queue-proxy": read_by(queue_proxy_settings.parse, QUEUE_PROXY_ENVIRONMENT),
}


@pytest.mark.parametrize("component", VARIABLES)
def test_every_variable_of_a_component_is_listed(component: str) -> None:
    assert names.ENV_BIND in VARIABLES[component], "nothing was recorded"
    text = section(SETTINGS, "### Every component") + section(SETTINGS, f"### {component}")
    assert missing(VARIABLES[component], text) == []


def test_every_variable_that_has_a_name_is_listed() -> None:
    ours = [value for name, value in vars(names).items() if name.startswith("ENV_")]
    assert missing(ours, section(SETTINGS, "## Environment")) == []


# Metrics


def operator_metrics() -> Iterable[Metric]:
    return OperatorMetrics().registry.collect()


def activator_metrics() -> Iterable[Metric]:
    service = Service(activator_settings.Settings())
    sources = ActivatorSources(
        gateway=service.gateway,
        prober=service.prober,
        autoscalers=lambda: 0,
        pods=lambda: 0,
        api_connected=lambda: True,
    )
    return ActivatorMetrics(sources).collect()


def autoscaler_metrics() -> Iterable[Metric]:
    client = KubeClient(KubeConfig(server="http://127.0.0.1:1"), "tests")
    return autoscaler_app.App(client, autoscaler_app.Options()).metrics.registry.collect()


def queue_proxy_metrics() -> Iterable[Metric]:
    identity = queue_proxy_settings.parse(QUEUE_PROXY_ENVIRONMENT).identity
    return QueueProxyMetrics(identity, lambda: 0).collect()


METRICS: Final[dict[str, Callable[[], Iterable[Metric]]]] = {
    "operator": operator_metrics,
    "activator": activator_metrics,
    "autoscaler": autoscaler_metrics,
    "queue-proxy": queue_proxy_metrics,
}


@pytest.mark.parametrize("component", METRICS)
async def test_every_metric_of_a_component_is_listed(component: str) -> None:
    found = [
        f"{metric.name}_total" if metric.type == "counter" else metric.name
        for metric in METRICS[component]()
    ]
    assert len(found) > 3
    text = section(section(OPERATIONS, "## Metrics") + "\n## ", f"### {component}")
    assert missing(found, text) == []


# The command


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with its name as it is typed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for verb, place in project["entry-points"]["pilotlight.verbs"].items():
        module, _, attribute = place.partition(":")
        yield from _below(verb, getattr(importlib.import_module(module), attribute))


def _below(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield name, command
        return
    for below, child in command.commands.items():
        yield from _below(f"{name} {below}", child)


COMMANDS: Final = dict(commands())


def flags_of(command: click.Command) -> list[str]:
    options = [option for option in command.params if isinstance(option, click.Option)]
    return [flag for option in options for flag in (*option.opts, *option.secondary_opts)]


def test_all_commands_are_known_here() -> None:
    assert {"demo", "run", "local up", "local down", "local status", "local logs"} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_of_a_command_is_listed(name: str) -> None:
    rows = section(SETTINGS, "## The command").splitlines()
    row = next((row for row in rows if re.match(rf"\| `pilotlight {name}[ `]", row)), "")
    assert row, f"the table has no row for `pilotlight {name}`"
    assert missing(flags_of(COMMANDS[name]), row) == []


@pytest.mark.parametrize("name", [n for n in COMMANDS if n == "run" or n.startswith("local ")])
def test_every_flag_of_local_mode_is_explained(name: str) -> None:
    heading = next(
        line
        for line in LOCAL.splitlines()
        if line.startswith("### ") and re.search(rf"`pilotlight {name}[ `]", line)
    )
    text = section(LOCAL, heading)
    found = [flag for flag in flags_of(COMMANDS[name]) if not re.search(rf"`{flag}[` ]", text)]
    assert found == []


# Links

PAGES: Final = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCED: Final = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return _FENCED.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are made where such pages are shown."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    kept = [re.sub(r"[^\w\- ]", "", heading.strip().lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in kept}


def dead_links(page: Path) -> list[str]:
    """The relative links of a page that lead nowhere."""
    dead = []
    for link in _LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert dead_links(page) == []


def test_dead_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One two\n[a](#one-two) [b](#three) [c](page.md) [d](nothing.md) [e](https://x.y/z)\n"
        "```\n[f](in-code.md)\n```\n"
    )
    assert dead_links(page) == ["#three", "nothing.md"]
