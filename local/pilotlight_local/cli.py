"""The verbs of local mode: `pilotlight local up|down|status|logs` and `pilotlight run`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from pilotlight_local.directory import DataDirectory, default_directory
from pilotlight_local.report import Console, Pipe

_DOWN_S = 90.0
_KILLED_S = 5.0

Command = TypeVar("Command", bound=Callable[..., Any])


def _data_dir_option(command: Command) -> Command:
    return click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="PILOTLIGHT_DATA_DIR",
        help="The instance's directory. [default: ~/.local/state/pilotlight/default]",
    )(command)


def _instance_options(command: Command) -> Command:
    for option in (
        click.option("--port", default=8080, show_default=True, help="The gateway's; 0 = any."),
        click.option("--api-port", default=0, help="The Kubernetes API's; 0 = any.", hidden=True),
        click.option(
            "--images",
            "images",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            multiple=True,
            help="A file that says what images mean. May be given several times.",
        ),
        click.option(
            "--config",
            "config",
            metavar="NAME.KEY=VALUE",
            multiple=True,
            help="Set a key of a ConfigMap, as config-autoscaler.stable-window=10s.",
        ),
        click.option(
            "--audit-log",
            type=click.Path(dir_okay=False, path_type=Path),
            help="A file that gets a line for each request to the Kubernetes API.",
        ),
    ):
        command = option(command)
    return _data_dir_option(command)


@dataclass(frozen=True, slots=True)
class _Given:
    """The options that several verbs share, as they were given."""

    data_dir: Path | None
    port: int
    api_port: int
    images: tuple[Path, ...]
    config: tuple[str, ...]
    audit_log: Path | None


def directory_of(data_dir: Path | None) -> DataDirectory:
    return DataDirectory(data_dir or default_directory())


def parse_config(entries: tuple[str, ...]) -> dict[tuple[str, str], str]:
    """`name.key=value`: the name of a ConfigMap has no dot, a key may."""
    parsed = {}
    for entry in entries:
        path, equals, value = entry.partition("=")
        name, dot, key = path.partition(".")
        if not (equals and dot and name and key):
            raise click.BadParameter(
                f"{entry!r} must look like NAME.KEY=VALUE", param_hint="--config"
            )
        parsed[name, key] = value
    return parsed


def _options(given: _Given) -> Any:
    from pilotlight_local.instance import Options

    return Options(
        data_dir=directory_of(given.data_dir).root,
        gateway_port=given.port,
        api_port=given.api_port,
        images=tuple(path.resolve() for path in given.images),
        config=parse_config(given.config),
        audit_log=given.audit_log.resolve() if given.audit_log else None,
    )


@click.group()
def local() -> None:
    """A small Kubernetes on this machine, with Pilotlight on it; pods are processes."""


@local.command()
@_instance_options
@click.option("--detach", "-d", is_flag=True, help="Return as soon as it is ready.")
@click.option("--report-fd", type=int, hidden=True)
@click.option("--owner-fd", type=int, hidden=True)
def up(detach: bool, report_fd: int | None, owner_fd: int | None, **given: Any) -> None:
    """Start local mode, and stay until Ctrl-C."""
    options = _options(_Given(**given))
    if detach:
        from pilotlight_local.launch import LaunchError, launch

        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            launch(options, Console()).keep()
        except LaunchError:
            sys.exit(1)
        return
    from pilotlight_local.serve import Owner, serve

    for fd in (report_fd, owner_fd):
        if fd is not None:
            os.set_inheritable(fd, False)  # no program that is started may keep them open
    reporter = Console() if report_fd is None else Pipe(report_fd)
    sys.exit(serve(options, reporter, None if owner_fd is None else Owner(owner_fd)))


@local.command()
@_data_dir_option
@click.option("--force", is_flag=True, help="Do not wait for requests in flight.")
def down(data_dir: Path | None, force: bool) -> None:
    """Stop the running instance, and wait until it has ended."""
    directory = directory_of(data_dir)
    running = directory.running()
    if running is None:
        if directory.is_held():
            raise click.ClickException("an instance is just starting here: try again in a moment")
        click.echo(f"no instance is running in {directory.root}")
        return
    os.kill(running.pid, signal.SIGKILL if force else signal.SIGTERM)
    if not directory.wait_released(_KILLED_S if force else _DOWN_S):
        raise click.ClickException(
            f"process {running.pid} has not ended after {_DOWN_S:.0f} s; "
            "`pilotlight local down --force` ends it at once"
        )
    click.echo("stopped")


@local.command()
@_data_dir_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(data_dir: Path | None, as_json: bool) -> None:
    """Show the running instance, its components and its services."""
    from pilotlight_local.status import collect, show, to_json

    directory = directory_of(data_dir)
    running = directory.running()
    if running is None:
        raise click.ClickException(f"no instance is running in {directory.root}")
    found = collect(running)
    if as_json:
        click.echo(to_json(found))
    else:
        show(found)


@local.command()
@_data_dir_option
@click.argument("target", required=False)
@click.option("--follow", "-f", is_flag=True, help="Stay and show what comes.")
@click.option("--tail", type=int, default=100, show_default=True, help="Lines of each log.")
@click.option("--container", "-c", help="One container of the pod only.")
def logs(
    data_dir: Path | None, target: str | None, follow: bool, tail: int, container: str | None
) -> None:
    """Show logs: of a component, of a pod (NAMESPACE/POD), or of all components.

    The component `local` is the instance itself.
    """
    from pilotlight_local.follow import show_logs

    running = directory_of(data_dir).running()
    if running is None:
        raise click.ClickException(f"no instance is running in {directory_of(data_dir).root}")
    show_logs(running, target, container, follow=follow, tail=tail)


@click.command(context_settings={"ignore_unknown_options": True})
@_instance_options
@click.argument("target")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("--name", help="The Service's name. [default: the directory's]")
@click.option("--namespace", "-n", default="default", show_default=True)
@click.option("--env", "-e", "env", metavar="KEY=VALUE", multiple=True)
@click.option("--watch", is_flag=True, help="Deploy a new revision when a file changes.")
@click.option("--container-port", default=8080, show_default=True, help="Where it listens: $PORT.")
@click.option("--min-scale", type=int)
@click.option("--max-scale", type=int)
@click.option("--concurrency", type=int, help="Requests that a process takes at a time.")
def run(**given: Any) -> None:
    """Serve a program: a directory, or a command line.

    \b
    pilotlight run ./my-app
    pilotlight run --name hello -- python3 hello.py --verbose
    """
    from pilotlight_local.run import Wish, run_program

    names = ("data_dir", "port", "api_port", "images", "config", "audit_log")
    shared = {name: given.pop(name) for name in names}
    sys.exit(run_program(_options(_Given(**shared)), Wish(**given)))
