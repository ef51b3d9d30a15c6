from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pilotlight.cli.verbs import GROUP, Verbs, installed_verbs


def verb(name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group=GROUP)


@pytest.fixture(name="group")
def group_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Verbs:
    (tmp_path / "good_verb.py").write_text(
        "import click\n"
        "@click.command()\n"
        "def greet():\n"
        "    '''Greet politely.'''\n"
        "    click.echo('good day')\n"
        "number = 7\n"
    )
    (tmp_path / "bad_verb.py").write_text("import no_such_module_anywhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    return Verbs(
        [
            verb("greet", "good_verb:greet"),
            verb("broken", "bad_verb:verb"),
            verb("number", "good_verb:number"),
            verb("absent", "good_verb:absent"),
        ],
        help="A command for tests.",
    )


def test_help_lists_every_verb_and_why_one_cannot_be_used(group: Verbs) -> None:
    result = CliRunner().invoke(group, ["--help"], terminal_width=200)
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.output.splitlines() if line.startswith("  ")}
    assert "Greet politely." in lines["greet"]
    assert "(unavailable: ModuleNotFoundError: No module named 'no_such" in lines["broken"]
    assert "(unavailable: good_verb:number is not a click command)" in lines["number"]
    assert "(unavailable: AttributeError" in lines["absent"]


def test_a_good_verb_runs_beside_broken_ones(group: Verbs) -> None:
    result = CliRunner().invoke(group, ["greet"])
    assert (result.exit_code, result.output) == (0, "good day\n")


@pytest.mark.parametrize("arguments", [[], ["--flag", "value"], ["--help"]], ids=" ".join)
def test_a_broken_verb_says_why_whatever_follows(group: Verbs, arguments: list[str]) -> None:
    result = CliRunner().invoke(group, ["broken", *arguments])
    assert result.exit_code == 1
    assert "the verb 'broken' cannot be loaded: ModuleNotFoundError" in result.output


def test_an_unknown_verb_is_a_usage_error(group: Verbs) -> None:
    result = CliRunner().invoke(group, ["fly"])
    assert result.exit_code == 2
    assert "No such command 'fly'" in result.output


def test_of_two_verbs_of_one_name_the_first_is_taken() -> None:
    group = Verbs([verb("greet", "one:x"), verb("greet", "two:x")])
    result = CliRunner().invoke(group, ["greet"])
    assert "No module named 'one'" in result.output


def test_the_version_is_shown(group: Verbs) -> None:
    result = CliRunner().invoke(group, ["--version"])
    assert result.exit_code == 0
    assert result.output.startswith("pilotlight ")


def test_every_installed_verb_loads() -> None:
    verbs = installed_verbs()
    assert {verb.name for verb in verbs} >= {"demo", "local", "run"}
    for entry_point in verbs:
        assert isinstance(entry_point.load(), click.Command), entry_point.value


def test_the_module_runs_as_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pilotlight.cli", "--help"],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "COLUMNS": "100"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "pilotlight run ./my-app" in done.stdout
    assert "demo" in done.stdout
