"""How an instance's start and end are told: to a person, or to the process that started it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import Any, Protocol

import click

from pilotlight_local.directory import Running


class Reporter(Protocol):
    """Hears what happens, in order: steps, then `ready` or `failed`, then steps of the end."""

    def step(self, what: str, seconds: float) -> None: ...
    def ready(self, running: Running) -> None: ...
    def failed(self, why: str) -> None: ...
    def note(self, text: str) -> None: ...


class Console:
    """Lines for a person."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet

    def step(self, what: str, seconds: float) -> None:
        if not self._quiet:
            click.echo(f"{click.style('✓', fg='green')} {what} {_dim(f'{seconds:.2f} s')}")

    def ready(self, running: Running) -> None:
        if not self._quiet:
            click.echo(introduction(running))

    def failed(self, why: str) -> None:
        click.echo(f"{click.style('✗', fg='red')} {why}", err=True)

    def note(self, text: str) -> None:
        click.echo(text)


class Pipe:
    """JSON lines for the process that waits at the other end of a pipe, if it still does."""

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd

    def step(self, what: str, seconds: float) -> None:
        self._send({"step": what, "seconds": seconds})

    def ready(self, running: Running) -> None:
        self._send({"ready": asdict(running)})
        self.close()

    def failed(self, why: str) -> None:
        self._send({"failed": why})
        self.close()

    def note(self, text: str) -> None:
        self._send({"note": text})

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _send(self, message: dict[str, Any]) -> None:
        if self._fd is None:
            return
        try:
            os.write(self._fd, json.dumps(message).encode() + b"\n")
        except OSError:
            self.close()


def relay(line: str, reporter: Reporter) -> None:
    """Tell one line of a `Pipe` on."""
    message = json.loads(line)
    if "step" in message:
        reporter.step(message["step"], message["seconds"])
    elif "ready" in message:
        reporter.ready(Running(**message["ready"]))
    elif "failed" in message:
        reporter.failed(message["failed"])
    else:
        reporter.note(message["note"])


def introduction(running: Running) -> str:
    """What to do with an instance that is ready."""
    port = running.gateway.rpartition(":")[2]
    return "\n".join(
        [
            "",
            f"{click.style('Pilotlight is ready', bold=True)} at "
            f"http://<service>.<namespace>.localhost:{port}",
            "",
            f"  export KUBECONFIG={running.kubeconfig}",
            "  kubectl get ksvc",
            "  pilotlight run ./my-app          # serve a program of your own",
            "",
            _dim(f"images: {running.data_dir}/images.yaml   logs: pilotlight local logs"),
        ]
    )


def _dim(text: str) -> str:
    return click.style(text, dim=True)
