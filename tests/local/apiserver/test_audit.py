"""Who asks, and the log of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pilotlight_local.apiserver.accounts import account_token, identify
from pilotlight_local.apiserver.cluster import Cluster
from pilotlight_local.apiserver.kinds import ADMIN
from pilotlight_local.apiserver.server import ApiServer, ServerOptions
from tests.local.apiserver.harness import TOKEN

Object = dict[str, Any]
PODS = "/api/v1/namespaces/default/pods"
ACCOUNT = account_token(TOKEN, "shop", "till.one")


@pytest.fixture
async def audited(tmp_path: Path) -> AsyncIterator[tuple[aiohttp.ClientSession, Path]]:
    """A client that speaks as a service account, and the server's log."""
    log = tmp_path / "audit.log"
    server = ApiServer(Cluster(), ServerOptions(token=TOKEN, audit_log=log))
    await server.start()
    headers = {"Authorization": f"Bearer {ACCOUNT}", "User-Agent": "till/1"}
    async with aiohttp.ClientSession(server.url, headers=headers) as session:
        yield session, log
    await server.stop()


def events(log: Path) -> list[Object]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_an_account_is_known_by_its_token() -> None:
    user = identify(TOKEN, ACCOUNT)
    assert user is not None
    assert user.username == "system:serviceaccount:shop:till.one"
    assert "system:serviceaccounts:shop" in user.groups
    assert identify(TOKEN, TOKEN) == ADMIN


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "shop/till.one",
        ACCOUNT.replace("shop", "shed"),
        ACCOUNT[:-1],
        account_token("another", "shop", "till.one"),
    ],
)
def test_others_are_nobody(token: str) -> None:
    assert identify(TOKEN, token) is None


@pytest.mark.parametrize(
    ("method", "path", "verb", "reference", "code"),
    [
        ("GET", f"{PODS}/a", "get", {"name": "a"}, 404),
        ("GET", PODS, "list", {}, 200),
        ("GET", f"{PODS}?fieldSelector=metadata.name%3Da", "list", {"name": "a"}, 200),
        ("GET", f"{PODS}?labelSelector=a%3Db", "list", {}, 200),
        ("POST", PODS, "create", {}, 400),
        ("PUT", f"{PODS}/a/status", "update", {"name": "a", "subresource": "status"}, 400),
        ("DELETE", f"{PODS}/a", "delete", {"name": "a"}, 404),
        ("DELETE", PODS, "deletecollection", {}, 200),
    ],
)
async def test_requests_are_written_down(
    audited: tuple[aiohttp.ClientSession, Path],
    method: str,
    path: str,
    verb: str,
    reference: Object,
    code: int,
) -> None:
    session, log = audited
    async with session.request(method, path) as response:
        assert response.status == code
    (event,) = events(log)
    assert event["verb"] == verb
    assert event["stage"] == "ResponseComplete"
    assert event["responseStatus"]["code"] == code
    assert event["user"]["username"] == "system:serviceaccount:shop:till.one"
    assert event["userAgent"] == "till/1"
    pods = {"resource": "pods", "namespace": "default", "apiVersion": "v1"}
    assert event["objectRef"] == {**pods, **reference}


async def test_a_watch_is_written_down_when_it_begins_and_when_it_ends(
    audited: tuple[aiohttp.ClientSession, Path],
) -> None:
    session, log = audited
    path = "/apis/apps/v1/deployments?watch=true&timeoutSeconds=1"
    async with session.get(path) as response:
        (begun,) = events(log)
        await response.read()
    _, ended = events(log)
    assert begun["verb"] == ended["verb"] == "watch"
    assert (begun["stage"], ended["stage"]) == ("ResponseStarted", "ResponseComplete")
    assert begun["auditID"] == ended["auditID"]
    reference = {"resource": "deployments", "apiGroup": "apps", "apiVersion": "v1"}
    assert begun["objectRef"] == reference


async def test_who_is_not_let_in_is_written_down_too(
    audited: tuple[aiohttp.ClientSession, Path],
) -> None:
    session, log = audited
    async with session.get(PODS, headers={"Authorization": "Bearer wrong"}) as response:
        assert response.status == 401
    (event,) = events(log)
    assert event["user"] == {"username": "system:anonymous"}


async def test_what_is_no_resource_has_no_reference(
    audited: tuple[aiohttp.ClientSession, Path],
) -> None:
    session, log = audited
    async with session.get("/version") as response:
        assert response.status == 200
    (event,) = events(log)
    assert event["verb"] == "get"
    assert "objectRef" not in event
