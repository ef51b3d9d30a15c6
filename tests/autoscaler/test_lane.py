"""Writes: the latest wins, one at a time for a key, failures are tried again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from pilotlight.kube.errors import ApiError
from pilotlight_autoscaler.lane import Lane, Lanes


class Api:
    """Takes writes when it is let to, and fails as often as it is told to."""

    def __init__(self) -> None:
        self.written: list[tuple[str, int]] = []
        self.given_up: list[str] = []
        self.errors: list[ApiError] = []
        self.open = asyncio.Event()
        self.open.set()
        self.busy: dict[str, int] = {}
        self.most = 0

    async def send(self, key: str, value: int) -> bool:
        self.busy[key] = self.busy.get(key, 0) + 1
        assert self.busy[key] == 1, "two writes for one key at once"
        self.most = max(self.most, sum(self.busy.values()))
        try:
            await self.open.wait()
            if self.errors:
                raise self.errors.pop(0)
            self.written.append((key, value))
        finally:
            self.busy[key] -= 1
        return True

    def give_up(self, key: str, _: ApiError) -> None:
        self.given_up.append(key)


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
async def lane(api: Api) -> AsyncIterator[Lane[int]]:
    lane = Lane(Lanes("numbers", api.send, api.give_up, width=3, longest_retry_s=0.1))
    yield lane
    await lane.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)


async def test_a_value_is_written(api: Api, lane: Lane[int]) -> None:
    lane.put("a", 1)
    assert "a" in lane
    await until(lambda: "a" not in lane)
    assert api.written == [("a", 1)]
    assert lane.sent == 1


async def test_the_latest_wins(api: Api, lane: Lane[int]) -> None:
    api.open.clear()
    lane.put("a", 1)
    await until(lambda: api.busy.get("a") == 1)
    for value in range(2, 50):
        lane.put("a", value)
    api.open.set()
    await until(lambda: "a" not in lane)
    assert api.written == [("a", 1), ("a", 49)]


async def test_keys_do_not_wait_for_each_other_beyond_the_width(api: Api, lane: Lane[int]) -> None:
    api.open.clear()
    for number in range(10):
        lane.put(f"k{number}", number)
    await until(lambda: sum(api.busy.values()) == 3)
    api.open.set()
    await until(lambda: len(api.written) == 10)
    assert api.most == 3


async def test_a_failure_is_tried_again(api: Api, lane: Lane[int]) -> None:
    api.errors = [ApiError(0, "", "away"), ApiError(503, "", "still away")]
    lane.put("a", 1)
    await until(lambda: lane.trouble is not None)
    await until(lambda: "a" not in lane)
    assert api.written == [("a", 1)]
    assert (lane.failed, lane.trouble) == (2, None)


async def test_a_newer_value_replaces_one_that_is_tried_again(api: Api, lane: Lane[int]) -> None:
    api.errors = [ApiError(0, "", "away")]
    lane.put("a", 1)
    await until(lambda: lane.failed == 1)
    lane.put("a", 2)
    await until(lambda: "a" not in lane)
    assert api.written == [("a", 2)]


async def test_what_is_refused_is_given_up(api: Api, lane: Lane[int]) -> None:
    api.errors = [ApiError(404, "NotFound", "gone")]
    lane.put("a", 1)
    await until(lambda: "a" not in lane)
    assert (api.written, api.given_up) == ([], ["a"])


async def test_a_dropped_value_is_not_written(api: Api, lane: Lane[int]) -> None:
    api.open.clear()
    lane.put("a", 1)
    await until(lambda: api.busy.get("a") == 1)
    lane.put("a", 2)
    lane.drop("a")
    api.open.set()
    await until(lambda: "a" not in lane)
    assert api.written == [("a", 1)]


async def test_a_conflict_is_no_failure(api: Api, lane: Lane[int]) -> None:
    api.errors = [ApiError(409, "Conflict", "changed meanwhile")]
    lane.put("a", 1)
    await until(lambda: not api.errors)
    assert (lane.failed, lane.trouble) == (0, None)
    await until(lambda: "a" not in lane)
    assert api.written == [("a", 1)]


async def test_what_waits_can_be_forgotten_and_the_rest_waited_for(
    api: Api, lane: Lane[int]
) -> None:
    api.open.clear()
    for number in range(5):
        lane.put(f"k{number}", number)
    await until(lambda: sum(api.busy.values()) == 3)
    lane.drop_all()
    await lane.rest(0.05)
    assert api.written == []
    asyncio.get_running_loop().call_later(0.05, api.open.set)
    await lane.rest(5.0)
    assert api.written == [("k0", 0), ("k1", 1), ("k2", 2)]


async def test_no_task_is_left(api: Api, lane: Lane[int]) -> None:
    api.open.clear()
    for number in range(10):
        lane.put(f"k{number}", number)
    await until(lambda: sum(api.busy.values()) == 3)
    await lane.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not [task for task in others if task.get_name().startswith("numbers")]


async def test_a_value_that_may_wait_is_not_written_when_another_comes(
    lane: Lane[int], api: Api
) -> None:
    lane.put("a", 1, after_s=30.0)
    lane.put("a", 2, after_s=30.0)
    await asyncio.sleep(0.01)
    assert api.written == []
    assert "a" in lane
    lane.put("a", 3)
    await until(lambda: "a" not in lane)
    assert api.written == [("a", 3)]


async def test_a_value_that_may_wait_is_written_when_its_time_has_come_or_in_the_end(
    lane: Lane[int], api: Api
) -> None:
    lane.put("a", 1, after_s=0.02)
    await until(lambda: api.written == [("a", 1)])
    lane.put("b", 2, after_s=30.0)
    await lane.rest(5.0)
    assert api.written == [("a", 1), ("b", 2)]


async def test_a_value_that_was_dropped_is_not_written_later(lane: Lane[int], api: Api) -> None:
    lane.put("a", 1, after_s=0.02)
    lane.drop("a")
    await until(lambda: "a" not in lane)
    assert api.written == []


async def test_of_two_times_to_wait_the_earlier_counts(lane: Lane[int], api: Api) -> None:
    lane.put("a", 1, after_s=30.0)
    lane.put("a", 2, after_s=0.02)
    lane.put("a", 3, after_s=30.0)
    await until(lambda: api.written == [("a", 3)])
