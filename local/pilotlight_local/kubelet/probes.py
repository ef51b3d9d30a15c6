"""Probes: when to look, what the answers mean (pure), and how to ask.

Kubernetes looks once a period from the start. Here the first look comes at once and then every few
milliseconds until the container passes for the first time, because nothing should wait for a
period's end; failures still count once a period only, so that thresholds mean what they say.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from pilotlight import names

_EAGER_S: Final = 0.025
_EAGER_EXEC_S: Final = 0.25  # each look is a process
_LESS_EAGER: Final = ((5.0, 1), (30.0, 4), (float("inf"), 20))  # until this age, times this
_LONGEST_HEAD: Final = 64 << 10


class Kind(Enum):
    STARTUP = "Startup"
    READINESS = "Readiness"
    LIVENESS = "Liveness"


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    """A probe with Kubernetes' defaults filled in. Times in seconds."""

    kind: Kind
    handler: Mapping[str, Any]
    initial_delay_s: float
    period_s: float
    timeout_s: float
    successes: int
    failures: int

    @classmethod
    def parse(cls, kind: Kind, probe: Mapping[str, Any]) -> ProbeSpec:
        return cls(
            kind,
            probe,
            float(probe.get("initialDelaySeconds") or 0),
            float(probe.get("periodSeconds") or 10),
            float(probe.get("timeoutSeconds") or 1),
            int(probe.get("successThreshold") or 1),
            int(probe.get("failureThreshold") or 3),
        )


@dataclass(slots=True)
class ProbeCourse:
    """The answers to one probe so far. `passing` is the verdict, None before there is one."""

    spec: ProbeSpec
    begun_at: float  # when the container started
    passing: bool | None = None
    _has_passed: bool = False
    _successes: int = 0
    _failures: int = 0
    _counted_at: float = float("-inf")

    def first_look(self) -> float:
        delay = self.spec.initial_delay_s
        if self.spec.kind is Kind.LIVENESS:
            delay = max(delay, self.spec.period_s)
        return self.begun_at + delay

    def next_look(self, now: float) -> float:
        """When to look again, after a look that ended at `now`."""
        if self._has_passed or self._successes or self.spec.kind is Kind.LIVENESS:
            return now + self.spec.period_s
        return now + min(self.spec.period_s, self._eager(now - self.begun_at))

    def take(self, success: bool, now: float) -> bool:
        """Take an answer. Returns whether it counts: an eager look may pass, but not fail."""
        if success:
            self._failures = 0
            self._successes += 1
            if self._successes >= self.spec.successes:
                self.passing = self._has_passed = True
            return True
        self._successes = 0
        if not self._has_passed and now - self._counted_at < self.spec.period_s:
            return False
        self._counted_at = now
        self._failures += 1
        if self._failures >= self.spec.failures:
            self.passing = False
        return True

    def _eager(self, age: float) -> float:
        step = _EAGER_EXEC_S if "exec" in self.spec.handler else _EAGER_S
        return step * next(factor for limit, factor in _LESS_EAGER if age < limit)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a container's ports are: its pod's address, except for the ports that were given to
    the program in place of others, which it binds where it likes; and the numbers of named ports.
    """

    host: str
    ports: Mapping[str, int]
    own: frozenset[int] = frozenset()

    def address(self, handler: Mapping[str, Any]) -> tuple[str, int]:
        """Host and port that a handler means. ValueError for an unknown name of a port."""
        port = handler["port"]
        if isinstance(port, str) and not port.isdecimal():
            if port not in self.ports:
                raise ValueError(f"port {port!r} is not one of the container's")
            port = self.ports[port]
        number = int(port)
        return handler.get("host") or ("127.0.0.1" if number in self.own else self.host), number


RunCommand = Callable[[list[str], float], Awaitable[tuple[int, str]]]
Answer = tuple[bool, str]


async def ask(
    handler: Mapping[str, Any], target: Target, timeout: float, run: RunCommand
) -> Answer:
    """Carry out one probe: whether it passes, and if not, why, in the words of an event."""
    try:
        async with asyncio.timeout(timeout):
            if "httpGet" in handler:
                return await http_get(handler["httpGet"], target)
            if "exec" in handler:
                code, output = await run(list(handler["exec"]["command"]), timeout)
                return code == 0, output.strip()
            for kind in ("tcpSocket", "grpc"):
                if kind in handler:
                    return await _connect(handler[kind], target)
            return False, "the probe has no handler"
    except TimeoutError:
        return False, f"probe timed out after {timeout:g}s"
    except OSError as error:
        return False, os.strerror(error.errno) if error.errno else str(error)
    except ValueError as error:
        return False, str(error)


async def _connect(handler: Mapping[str, Any], target: Target) -> Answer:
    _, writer = await asyncio.open_connection(*target.address(handler))
    writer.close()
    return True, ""


async def http_get(handler: Mapping[str, Any], target: Target) -> Answer:
    """GET; 200 to 399 passes. Certificates are not checked, as the kubelet does not."""
    host, port = target.address(handler)
    path = handler.get("path") or "/"
    if not path.startswith("/"):
        path = "/" + path
    secure = (handler.get("scheme") or "HTTP").upper() == "HTTPS"
    headers = {"host": f"{host}:{port}", "user-agent": names.PROBE_USER_AGENT_KUBELET + "local"}
    headers |= {h["name"].lower(): h["value"] for h in handler.get("httpHeaders") or []}
    headers |= {"connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    context = _trusting() if secure else None
    reader, writer = await asyncio.open_connection(host, port, ssl=context, limit=_LONGEST_HEAD)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\n{head}accept: */*\r\n\r\n".encode())
        line = (await reader.readline()).split()
        if len(line) < 2 or not line[0].startswith(b"HTTP/") or not line[1].isdigit():
            return False, "the answer is not HTTP"
        status = int(line[1])
        if 200 <= status < 400:
            return True, ""
        return False, f"HTTP probe failed with statuscode: {status}"
    finally:
        writer.close()


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
