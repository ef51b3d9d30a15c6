"""Starting an instance as a process of its own, and waiting until it is ready."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from pilotlight_local.directory import DataDirectory, DirectoryError, Running
from pilotlight_local.instance import Options
from pilotlight_local.report import Reporter, relay

_TAIL_LINES = 15


class LaunchError(Exception):
    """The instance did not become ready; what it said has been reported."""


@dataclass(slots=True)
class Launched:
    """An instance in a process of its own. It ends when `owner` is closed, unless `keep` came
    first.
    """

    process: subprocess.Popen[bytes]
    owner: int

    def keep(self) -> None:
        os.write(self.owner, b"k")
        os.close(self.owner)

    def end(self) -> None:
        """Ask it to stop, and wait until it has."""
        os.close(self.owner)
        self.process.wait()


def launch(options: Options, reporter: Reporter) -> Launched:
    """Start an instance and relay what it reports until it is ready. Raises LaunchError when it
    fails. If this process dies meanwhile, the instance ends too.
    """
    directory = DataDirectory(options.data_dir)
    try:
        directory.prepare()
    except DirectoryError as error:
        reporter.failed(str(error))
        raise LaunchError from error
    if directory.is_held():  # its output must not be lost for a start that cannot be
        reporter.failed(directory.already())
        raise LaunchError
    output_path = directory.logs / "output.log"
    owner_read, owner = os.pipe()
    report, report_write = os.pipe()
    with output_path.open("wb") as output:
        process = subprocess.Popen(
            [*_command(options), "--owner-fd", str(owner_read), "--report-fd", str(report_write)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=(owner_read, report_write),
            start_new_session=True,
        )
    os.close(owner_read)
    os.close(report_write)
    hearing = _Hearing(reporter)
    with open(report, encoding="utf-8") as lines:
        for line in lines:
            relay(line, hearing)
    launched = Launched(process, owner)
    if hearing.running is None:
        launched.end()
        if not hearing.has_failed:
            reporter.failed("the instance ended before it was ready")
        _report_tail(output_path, reporter)
        raise LaunchError
    return launched


class _Hearing:
    """Passes reports on and remembers how the start ended."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self.running: Running | None = None
        self.has_failed = False

    def step(self, what: str, seconds: float) -> None:
        self._reporter.step(what, seconds)

    def ready(self, running: Running) -> None:
        self.running = running
        self._reporter.ready(running)

    def failed(self, why: str) -> None:
        self.has_failed = True
        self._reporter.failed(why)

    def note(self, text: str) -> None:
        self._reporter.note(text)


def _report_tail(path: Path, reporter: Reporter) -> None:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
    if lines:
        reporter.note("\n".join(["its last words:", *lines]))


def _command(options: Options) -> list[str]:
    command = [sys.executable, "-m", "pilotlight_local", "up"]
    command += ["--data-dir", str(options.data_dir), "--port", str(options.gateway_port)]
    command += ["--api-port", str(options.api_port)]
    if options.audit_log is not None:
        command += ["--audit-log", str(options.audit_log)]
    for path in options.images:
        command += ["--images", str(path)]
    for (name, key), value in options.config.items():
        command += ["--config", f"{name}.{key}={value}"]
    return command
