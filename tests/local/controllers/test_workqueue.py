"""The controllers' queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from pilotlight_local.apiserver.errors import ApiError
from pilotlight_local.controllers.workqueue import Controller, Key, retry_delay


@asynccontextmanager
async def running(
    reconcile: Callable[[Key], Awaitable[float | None]],
) -> AsyncIterator[Controller]:
    controller = Controller("test", reconcile)
    task = asyncio.create_task(controller.run())
    yield controller
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_keys_merge_and_none_is_lost() -> None:
    seen: list[Key] = []
    entered, go = asyncio.Event(), asyncio.Event()

    async def reconcile(key: Key) -> None:
        seen.append(key)
        entered.set()
        await go.wait()

    async with running(reconcile) as controller:
        controller.enqueue(("n", "a"))
        await entered.wait()
        for _ in range(5):
            controller.enqueue(("n", "a"))  # it has changed again while it is worked on
            controller.enqueue(("n", "b"))
        go.set()
        await asyncio.wait_for(controller.idle(), 1)
    assert seen == [("n", "a"), ("n", "a"), ("n", "b")]


async def test_a_failure_is_tried_again() -> None:
    failures = [ApiError(409, "Conflict", "changed"), RuntimeError("bug")]
    done = asyncio.Event()

    async def reconcile(_: Key) -> None:
        if failures:
            raise failures.pop()
        done.set()

    async with running(reconcile) as controller:
        controller.enqueue(("n", "a"))
        await asyncio.wait_for(done.wait(), 2)


async def test_a_key_comes_back_when_asked_for() -> None:
    times: list[float] = []
    done = asyncio.Event()

    async def reconcile(_: Key) -> float | None:
        times.append(asyncio.get_running_loop().time())
        if len(times) == 2:
            done.set()
            return None
        return 0.05

    async with running(reconcile) as controller:
        controller.enqueue(("n", "a"))
        await asyncio.wait_for(done.wait(), 2)
    assert times[1] - times[0] >= 0.045


@pytest.mark.parametrize(("failures", "at_least", "at_most"), [(1, 0.01, 0.012), (99, 30, 36)])
def test_delays_grow_to_a_limit(failures: int, at_least: float, at_most: float) -> None:
    assert retry_delay(failures, 0) == at_least
    assert retry_delay(failures, 1) == pytest.approx(at_most)
