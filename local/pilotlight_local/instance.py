"""One running instance of local mode: everything in its order, and back again."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from pilotlight import names
from pilotlight.kube.resources import DEPLOYMENTS, PODS
from pilotlight_local import ephemeral, install
from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.apiserver.errors import ApiError
from pilotlight_local.apiserver.server import ApiServer, ServerOptions
from pilotlight_local.assets import assets
from pilotlight_local.certificates import certificates
from pilotlight_local.controllers.defaults import NODE_NAME, create_defaults, machine_capacity
from pilotlight_local.controllers.manager import Controllers
from pilotlight_local.directory import DataDirectory, Running
from pilotlight_local.events import Recorder
from pilotlight_local.hosts import write_file
from pilotlight_local.kubeconfig import Accounts, kubeconfig
from pilotlight_local.kubelet.images import ImageTable
from pilotlight_local.kubelet.kubelet import Kubelet
from pilotlight_local.kubelet.logs import LogStore, last_text
from pilotlight_local.kubelet.logsource import PodLogs
from pilotlight_local.kubelet.node import Node
from pilotlight_local.kubelet.processes import Supervisor
from pilotlight_local.network import Network
from pilotlight_local.ports import GatewaySockets, open_gateway
from pilotlight_local.resolver import HostsFile

_READY_S: Final = 60.0
_DRAIN_S: Final = 60.0
_WORDS_BYTES: Final = 1500
_WORDS_LINES: Final = 5
_INHERITED: Final = (
    *("HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"),
    *("VIRTUAL_ENV", "SSL_CERT_FILE"),
)

Report = Callable[[str, float], None]
"""Told of each step that is done, and how many seconds it took."""


class StartError(Exception):
    """The instance did not become ready; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Options:
    """How an instance is run. A port of 0 is any free one; `config` sets values of ConfigMaps by
    (name, key).
    """

    data_dir: Path
    gateway_port: int = 8080
    api_port: int = 0
    images: tuple[Path, ...] = ()
    config: Mapping[tuple[str, str], str] = field(default_factory=dict)
    audit_log: Path | None = None


def installed_version() -> str:
    try:
        return version("pilotlight")
    except PackageNotFoundError:
        return "0.0.0"


class Instance:
    """`start` it, and `stop` it, also when the start failed half-way."""

    def __init__(self, options: Options, report: Report) -> None:
        self._options = options
        self._report = report
        self._stack = AsyncExitStack()
        self._controllers: Controllers | None = None
        self._gateway: GatewaySockets | None = None
        self.directory = DataDirectory(options.data_dir)
        self.cluster = Cluster()
        self._objects: list[dict[str, Any]] = []

    async def start(self) -> Running:
        """Everything up to the point where requests are served. Raises StartError, InstallError,
        DirectoryError, PortError or NetworkError.
        """
        with _Timed(self._report, "claimed the data directory, a network and ports"):
            self.directory.hold()
            self._stack.callback(self.directory.release)
            gateway = open_gateway(self._options.gateway_port)
            self._gateway = gateway
            self._stack.callback(gateway.close)
            network = Network.claim()
            self._stack.callback(network.close)
            supervisor = Supervisor(gateway.descriptors)
            await supervisor.start()
            self._stack.push_async_callback(supervisor.stop)
        with _Timed(self._report, "started the API server"):
            logs = LogStore(self.directory.logs / "pods")
            logs.clear()
            running, accounts = await self._start_api(gateway, network, logs)
        with _Timed(self._report, "installed Pilotlight"):
            await self._install(running, gateway, network)
        with _Timed(self._report, "started the controllers and the kubelet"):
            self._start_node(gateway, network, supervisor, logs, accounts)
        with _Timed(self._report, "operator, autoscaler and activator are ready"):
            await self._wait_ready(logs)
        running = replace(running, ready=True)
        self.directory.publish(running)
        return running

    async def _start_api(
        self, gateway: GatewaySockets, network: Network, logs: LogStore
    ) -> tuple[Running, Accounts]:
        authority = certificates(self.directory.certificates, datetime.now(UTC))
        token = self._token()
        options = ServerOptions(
            host="127.0.0.1",
            port=self._options.api_port,
            tls=authority.context,
            token=token,
            sqlite_path=self.directory.database,
            audit_log=self._options.audit_log,
        )
        server = ApiServer(self.cluster, options, PodLogs(self.cluster, logs))
        await server.start()
        self._stack.push_async_callback(server.stop)
        url = f"https://127.0.0.1:{server.port}"
        write_file(self.directory.kubeconfig, kubeconfig(url, authority.ca, token), 0o600)
        accounts = Accounts(self.directory.accounts, url, authority.ca, token)
        running = Running(
            pid=os.getpid(),
            gateway=gateway.url,
            api=url,
            kubeconfig=str(self.directory.kubeconfig),
            data_dir=str(self.directory.root),
            started_at=time.time(),
            version=installed_version(),
            network=f"127.{network.number}.0.0/16",
        )
        self.directory.publish(running)
        return running, accounts

    def _token(self) -> str:
        """The token of the directory, which stays the same so that shells stay logged in."""
        path = self.directory.root / "token"
        try:
            return path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            token = os.urandom(24).hex()
            write_file(path, token + "\n", 0o600)
            return token

    async def _install(self, running: Running, gateway: GatewaySockets, network: Network) -> None:
        """Before the controllers start, so that they see the new state only."""
        await create_defaults(self.cluster, network.node_address)
        await ephemeral.forget(self.cluster)
        settings = install.Settings(
            running.version, gateway.descriptors, dict(self._options.config)
        )
        self._objects = install.manifests(assets(), settings)
        await install.apply_all(self.cluster, self._objects)

    def _start_node(
        self,
        gateway: GatewaySockets,
        network: Network,
        supervisor: Supervisor,
        logs: LogStore,
        accounts: Accounts,
    ) -> None:
        cluster = self.cluster
        hosts = HostsFile(cluster, self.directory.hosts)
        hosts.start()
        self._stack.callback(hosts.stop)
        node = Node(
            name=NODE_NAME,
            capacity=machine_capacity(),
            cluster=cluster,
            supervisor=supervisor,
            images=ImageTable([self.directory.images, *self._options.images]),
            logs=logs,
            network=network,
            recorder=self._recorder("kubelet"),
            directory=self.directory.pods,
            environment=self._environment(),
            account_environment=accounts.environment,
            gateway=gateway.descriptors,
        )
        kubelet = Kubelet(node)
        kubelet.start()
        self._stack.push_async_callback(kubelet.stop)
        self._controllers = Controllers(cluster, self._recorder("controller-manager"))
        self._controllers.start()
        self._stack.push_async_callback(self._controllers.stop)

    def _recorder(self, component: str) -> Recorder:
        recorder = Recorder(self.cluster, component, NODE_NAME)
        task = asyncio.create_task(recorder.run(), name=f"events of the {component}")
        self._stack.push_async_callback(_cancel, task)
        return recorder

    def _environment(self) -> dict[str, str]:
        """What every program is given. The search path ends with this installation's programs, so
        that `python3` is found in any case.
        """
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        own = str(Path(sys.executable).parent)
        return {
            **inherited,
            "PATH": os.pathsep.join([os.environ.get("PATH", os.defpath), own]),
            "PYTHONUNBUFFERED": "1",
            names.ENV_HOSTS: str(self.directory.hosts),
        }

    async def _wait_ready(self, logs: LogStore) -> None:
        waiter = install.Waiter(self.cluster, [DEPLOYMENTS])
        ready = await waiter.until(
            lambda: not install.unavailable(self.cluster, self._objects), _READY_S
        )
        if not ready:
            missing = ", ".join(install.unavailable(self.cluster, self._objects))
            why = why_not(self.cluster.list(PODS, names.SYSTEM_NAMESPACE), logs)
            raise StartError("\n".join([f"not ready after {_READY_S:.0f} s: {missing}", *why]))

    async def stop(self) -> None:
        """Take no more requests, let those in flight finish, then end everything."""
        if self._controllers is not None:
            await self._controllers.stop("deployment", "replicaset", "namespace")
            with _Timed(self._report, "the gateway has finished its requests"):
                await self._drain(self._is_gateway)
            if self._gateway is not None:
                self._gateway.close()
            for which, what in (
                (self._is_users, "the services' pods have ended"),
                (lambda _: True, "the components have ended"),
            ):
                with _Timed(self._report, what):
                    await self._drain(which)
        await self._stack.aclose()

    @staticmethod
    def _is_users(pod: Mapping[str, Any]) -> bool:
        return bool(pod["metadata"]["namespace"] != names.SYSTEM_NAMESPACE)

    @staticmethod
    def _is_gateway(pod: Mapping[str, Any]) -> bool:
        metadata = pod["metadata"]
        return metadata["namespace"] == names.SYSTEM_NAMESPACE and (
            (metadata.get("labels") or {}).get(names.APP_LABEL) == names.ACTIVATOR
        )

    async def _drain(self, which: Callable[[Mapping[str, Any]], bool]) -> None:
        """Delete pods and wait until they are gone, for as long as their grace allows."""

        def left() -> list[Mapping[str, Any]]:
            return [pod for pod in self.cluster.list(PODS) if which(pod)]

        waiter = install.Waiter(self.cluster, [PODS])
        for pod in left():
            metadata = pod["metadata"]
            try:
                await self.cluster.delete(PODS, metadata["namespace"], metadata["name"])
            except ApiError as error:
                if error.status != 404:
                    raise
        await waiter.until(lambda: not left(), _DRAIN_S)


def why_not(pods: Iterable[Mapping[str, Any]], logs: LogStore) -> list[str]:
    """The state of each container that is not ready, and its last words, once."""
    lines = []
    for pod in pods:
        for status in (pod.get("status") or {}).get("containerStatuses") or []:
            if status["ready"]:
                continue
            path = logs.latest(pod["metadata"]["uid"], status["name"])
            words = last_text(path, _WORDS_BYTES, _WORDS_LINES).rstrip() if path else ""
            state = f"{pod['metadata']['name']}/{status['name']}: {_state(status)}".rstrip()
            lines += [state] if words in state else [state, words]
    return lines


def _state(status: Mapping[str, Any]) -> str:
    """Why a container is not ready, in the words of its status."""
    now = status["state"].get("waiting") or status["state"].get("terminated") or {}
    last = (status.get("lastState") or {}).get("terminated") or {}
    words = (now.get("reason"), now.get("message"), last.get("message"))
    return ": ".join(str(word) for word in words if word) or "runs, but is not ready"


class _Timed:
    """Reports a step with the time that it took, if it succeeded."""

    def __init__(self, report: Report, what: str) -> None:
        self._report = report
        self._what = what
        self._begun = 0.0

    def __enter__(self) -> None:
        self._begun = time.monotonic()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._report(self._what, time.monotonic() - self._begun)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
