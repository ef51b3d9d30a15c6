"""The autoscaler's arithmetic once more, for one revision, in plain Python: slow, obvious, and
written without a look at the vectorised one. Buckets are a dict from second to value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass
class Window:
    """One window of `size` seconds over one-second buckets."""

    size: int
    buckets: dict[int, float] = field(default_factory=dict)
    first: int | None = None
    last: int | None = None

    def write(self, second: int, value: float) -> None:
        if self.last is None or self.first is None:
            self.first = self.last = second
        elif second > self.last:
            if second - self.last >= self.size:
                self.first = second
                self.buckets.clear()
            self.last = second
        elif second <= self.last - self.size:
            return
        elif second < self.first:
            self.first = second
        self.buckets[second] = self.buckets.get(second, 0.0) + value

    def linear(self, now: int) -> float:
        if self.last is None or self.first is None or now - self.last >= self.size:
            return 0.0
        valid = min(self.last - self.first + 1, self.size - (now - self.last))
        total = sum(v for s, v in self.buckets.items() if now - self.size < s <= now)
        return math.floor(total / valid * 1e6) / 1e6

    def weighted(self, now: int) -> float:
        decay = max(1 - 0.0001 ** (1 / self.size), 0.2)
        if self.last is None or now - self.last > self.size:
            return 0.0
        total, weight, second = 0.0, decay * (1 - decay) ** (now - self.last), self.last
        while second > now - self.size:
            total += self.buckets.get(second, 0.0) * weight
            weight *= 1 - decay
            second -= 1
        return total


@dataclass
class Wish:
    target: float = 70.0
    panic_threshold: float = 2.0
    activation: int = 0
    reachable: bool = True
    stable_s: int = 60
    up: float = 1000.0
    down: float = 2.0


@dataclass
class Decider:
    """One revision's decision with its memory."""

    delay_s: int = 0
    panic_since: float | None = None
    panic_most: int = 0
    wished: list[tuple[int, int]] = field(default_factory=list)

    def decide(self, stable: float, panic: float, ready_pods: int, wish: Wish, now: float) -> int:
        ready = max(1, ready_pods)
        up = math.ceil(wish.up * ready)
        down = math.floor(ready / wish.down) if wish.reachable else 0
        by_stable = math.ceil(stable / wish.target)
        by_panic = math.ceil(panic / wish.target)
        calm = min(max(by_stable, down), up)
        urgent = min(max(by_panic, down), up)
        if wish.activation > 1:
            if by_stable > 0:
                calm = max(calm, wish.activation)
            if by_panic > 0:
                urgent = max(urgent, wish.activation)
        over = by_panic / ready >= wish.panic_threshold
        if over:
            self.panic_since = now
        elif self.panic_since is not None and self.panic_since + wish.stable_s < now:
            self.panic_since, self.panic_most = None, 0
        desired = calm
        if self.panic_since is not None:
            self.panic_most = max(self.panic_most, calm, urgent)
            desired = self.panic_most
        if wish.reachable and self.delay_s > 0:
            desired = self._delayed(desired, now)
        return desired

    def _delayed(self, desired: int, now: float) -> int:
        slot = int(now // 2)
        self.wished.append((slot, desired))
        oldest = slot - math.ceil(self.delay_s / 2)
        self.wished = [(s, d) for s, d in self.wished if s > oldest]
        return max(d for _, d in self.wished)
