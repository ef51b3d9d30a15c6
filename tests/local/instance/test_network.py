"""Networks, ports, and the hosts file."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.load.discovery import parse_hosts
from pilotlight_local.hosts import render_hosts, write_file
from pilotlight_local.network import Network, NetworkError
from pilotlight_local.ports import PortError, open_gateway


def test_two_instances_never_share_a_network() -> None:
    first, second = Network.claim(), Network.claim()
    assert first.number != second.number
    number = first.number
    first.close()
    again = Network.claim(number)
    assert again.number == number
    again.close()
    second.close()


def test_addresses_are_each_ones_own() -> None:
    network = Network.claim()
    try:
        taken = [network.take_address() for _ in range(600)]
        assert len(set(taken)) == 600
        assert network.node_address not in taken
        assert taken[0] == f"127.{network.number}.0.2"
        network.give_back(taken[0])
        assert network.take_address() not in taken, "used again as late as possible"
    finally:
        network.close()


def test_ports_are_free_and_not_given_twice() -> None:
    network = Network.claim()
    try:
        ports = [network.free_port() for _ in range(200)]
        assert len(set(ports)) == 200
        for port in ports[-20:]:
            with socket.socket() as attempt, contextlib.suppress(PermissionError):
                attempt.bind(("127.0.0.1", port))
    finally:
        network.close()


def test_ports_in_use_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network.claim()
    try:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            monkeypatch.setattr("pilotlight_local.network._POD_PORTS", range(port, port + 1))
            with pytest.raises(NetworkError, match=f"no free port from {port} to {port}"):
                network.free_port()
    finally:
        network.close()


def test_the_gateway_is_one_port_that_others_cannot_have() -> None:
    gateway = open_gateway(0)
    assert gateway.url == f"http://127.0.0.1:{gateway.port}"
    with pytest.raises(PortError, match=f"port {gateway.port} of 127.0.0.1 .* --port"):
        open_gateway(gateway.port)
    socket.create_connection(("127.0.0.1", gateway.port)).close()
    heir = socket.socket(fileno=os.dup(gateway.descriptors[0]))
    gateway.close()
    with heir, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", gateway.port))
    open_gateway(gateway.port).close()


def service(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "n"}}


def endpoint_slice(name: str, *endpoints: tuple[str, bool]) -> dict[str, Any]:
    labels = {"kubernetes.io/service-name": name}
    return {
        "metadata": {"name": f"{name}-1", "namespace": "n", "labels": labels},
        "endpoints": [{"addresses": [a], "conditions": {"ready": ready}} for a, ready in endpoints],
    }


def test_hosts() -> None:
    slices = [
        endpoint_slice("a", ("127.9.0.3", True), ("127.9.0.2", True), ("127.9.0.4", False)),
        endpoint_slice("gone", ("127.9.0.5", True)),
    ]
    lines = render_hosts([service("a"), service("b")], slices).splitlines()
    assert parse_hosts(lines, "a.n.svc.cluster.local") == ["127.9.0.2", "127.9.0.3"]
    assert parse_hosts(lines, "a.n") == ["127.9.0.2", "127.9.0.3"]
    assert parse_hosts(lines, "b.n.svc.cluster.local") == []
    assert parse_hosts(lines, "gone.n.svc.cluster.local") == []


@given(st.permutations([("127.9.0.1", True), ("127.9.0.2", True), ("127.9.0.3", True)]))
def test_hosts_do_not_depend_on_order(endpoints: list[tuple[str, bool]]) -> None:
    made = render_hosts([service("a")], [endpoint_slice("a", *endpoints)])
    assert made.splitlines() == sorted(made.splitlines())


def test_files_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    write_file(path, "one\n")
    with path.open() as reader:
        write_file(path, "two\n", 0o600)
        assert reader.read() == "one\n"
    assert path.read_text() == "two\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
