"""What this process does, for people: at the profiling port, where that is switched on.

`/debug/stacks` shows where every thread and task is; `/debug/profile?seconds=5` looks at the event
loop's thread a hundred times a second for that long and answers with one line for each stack that
was seen, outermost frame first, and how often: what flame graphs are made of.
"""

from __future__ import annotations

import asyncio
import io
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from types import FrameType
from typing import TYPE_CHECKING, Final

from pilotlight.http.answers import TEXT
from pilotlight.http.limits import Timeouts

if TYPE_CHECKING:
    from pilotlight.http.exchange import Exchange
    from pilotlight.http.server import App
    from pilotlight_queue_proxy.tasks import Tasks

LONGEST_S: Final = 30.0
_USUAL_S: Final = 5.0
_INTERVAL_S: Final = 0.01
_DEEPEST: Final = 64
_MOST_STACKS: Final = 4096
_MOST_TASKS: Final = 1000
_OTHERS: Final = "(other stacks)"
_TIMEOUTS: Final = Timeouts(total_s=LONGEST_S + 10)


class Profiling:
    """The routes of the profiling port; one profile is made at a time."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._busy = False

    def routes(self) -> dict[str, App]:
        return {
            "/debug/": _index,
            "/debug/stacks": _answer_stacks,
            "/debug/profile": self._profile,
        }

    def _profile(self, exchange: Exchange) -> None:
        seconds = _seconds(exchange.request.target.partition(b"?")[2])
        if seconds is None:
            text = f"seconds must be a number above 0 and at most {LONGEST_S:g}\n"
            exchange.respond(400, text.encode(), [TEXT])
        elif self._busy:
            exchange.respond(503, b"a profile is being made\n", [TEXT])
        else:
            self._busy = True
            exchange.limit(_TIMEOUTS)
            self._tasks.start(self._make(exchange, seconds), "profile")

    async def _make(self, exchange: Exchange, seconds: float) -> None:
        try:
            loop = asyncio.get_running_loop()
            text = await loop.run_in_executor(None, profile, threading.get_ident(), seconds)
        finally:
            self._busy = False
        if not exchange.ended:
            exchange.respond(200, text.encode(), [TEXT])


def profile(thread: int, seconds: float) -> str:
    """The stacks of a thread over some time; called in another one."""
    seen: Counter[str] = Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        frame = sys._current_frames().get(thread)
        if frame is None:
            break
        stack = ";".join(_names(frame))
        seen[stack if stack in seen or len(seen) < _MOST_STACKS else _OTHERS] += 1
        del frame
        time.sleep(_INTERVAL_S)
    return "".join(f"{stack} {count}\n" for stack, count in seen.most_common())


def stacks() -> str:
    """Where every thread and every task of the running event loop is."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    out = io.StringIO()
    for ident, frame in sys._current_frames().items():
        out.write(f"thread {names.get(ident, ident)}\n")
        out.writelines(traceback.format_stack(frame, _DEEPEST))
    tasks = sorted(asyncio.all_tasks(), key=lambda task: task.get_name())
    out.write(f"{len(tasks)} tasks\n")
    for task in tasks[:_MOST_TASKS]:
        out.write(f"task {task.get_name()}\n")
        task.print_stack(limit=_DEEPEST, file=out)
    return out.getvalue()


def _names(frame: FrameType) -> Iterable[str]:
    found: list[str] = []
    at: FrameType | None = frame
    while at is not None and len(found) < _DEEPEST:
        code = at.f_code
        found.append(f"{at.f_globals.get('__name__', '?')}.{code.co_qualname}:{at.f_lineno}")
        at = at.f_back
    return reversed(found)


def _index(exchange: Exchange) -> None:
    exchange.respond(200, b"/debug/stacks\n/debug/profile?seconds=5\n", [TEXT])


def _answer_stacks(exchange: Exchange) -> None:
    exchange.respond(200, stacks().encode(errors="replace"), [TEXT])


def _seconds(query: bytes) -> float | None:
    if not query:
        return _USUAL_S
    name, _, value = query.partition(b"=")
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if name == b"seconds" and 0 < seconds <= LONGEST_S else None
