"""A real kubectl, with the suite's kubeconfig."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

_CALL_S: Final = 90.0


class KubectlError(Exception):
    """kubectl ended with an exit code that is not 0; the text is what it said."""


class Kubectl:
    """`kubectl` in one namespace, or, when that is empty, as it is called."""

    def __init__(self, kubeconfig: Path, namespace: str, home: Path) -> None:
        program = shutil.which("kubectl")
        if program is None:
            raise AssertionError("these tests need kubectl on PATH, and it is not there")
        self._start = [program, "--kubeconfig", str(kubeconfig)]
        if namespace:
            self._start += ["--namespace", namespace]
        self._environment = {**os.environ, "HOME": str(home)}  # its discovery cache goes there
        self._environment.pop("KUBECONFIG", None)
        self.namespace = namespace

    def __call__(
        self, *arguments: str, given: object = None, environment: Mapping[str, str] | None = None
    ) -> str:
        """Standard output; KubectlError when it fails. `given` goes to standard input as JSON."""
        done = self.attempt(*arguments, given=given, environment=environment)
        if done.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr or done.stdout}")
        return done.stdout

    def attempt(
        self, *arguments: str, given: object = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._start, *arguments],
            input=None if given is None else json.dumps(given),
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            timeout=_CALL_S,
            env={**self._environment, **(environment or {})},
            check=False,
        )

    def need(self, minor: int, what: str) -> None:
        """Skip the test when this kubectl is older than 1.`minor`, which cannot do `what`."""
        version = self.json("version", "--client")["clientVersion"]
        if int(version["minor"].rstrip("+")) < minor:
            pytest.skip(f"kubectl {version['gitVersion']} cannot {what}: that needs 1.{minor}")

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--output=json"))

    def table(self, *arguments: str) -> tuple[list[str], list[list[str]]]:
        """The headings and the rows of a `get`, divided where two spaces or more stand."""
        lines = self(*arguments).splitlines()
        starts = _column_starts(lines[0])
        rows = [_cut(line, starts) for line in lines]
        return rows[0], rows[1:]

    @contextmanager
    def follow(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A kubectl that goes on until the block ends."""
        process = subprocess.Popen(
            [*self._start, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            env=self._environment,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def _column_starts(heading: str) -> list[int]:
    """Where columns begin: at the text after each run of two spaces or more."""
    starts, index = [0], 0
    while (gap := heading.find("  ", index)) >= 0:
        index = gap
        while index < len(heading) and heading[index] == " ":
            index += 1
        if index < len(heading):
            starts.append(index)
    return starts


def _cut(line: str, starts: list[int]) -> list[str]:
    ends = [*starts[1:], len(line) + 1]
    return [line[start:end].strip() for start, end in zip(starts, ends, strict=True)]
