"""What is said of a start that failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pilotlight_local.instance import why_not
from pilotlight_local.kubelet.logs import LogStore, stamp

WORDS = "first\nthe moon is in the wrong place"
BACK_OFF = {"reason": "CrashLoopBackOff", "message": "back-off 4s"}


def pod(ready: bool, last_message: str) -> dict[str, Any]:
    ended = {"terminated": {"exitCode": 1, "message": last_message}}
    status = {"name": "c", "ready": ready, "state": {"waiting": BACK_OFF}, "lastState": ended}
    return {"metadata": {"name": "p", "uid": "u"}, "status": {"containerStatuses": [status]}}


@pytest.fixture
def logs(tmp_path: Path) -> LogStore:
    store = LogStore(tmp_path)
    at = stamp(1_767_225_600_000_000_000)
    log = store.create("u", "c", 0)
    log.write(b"".join(at + b" stderr F " + line.encode() + b"\n" for line in WORDS.splitlines()))
    log.close()
    return store


@pytest.mark.parametrize("last_message", ["", WORDS + "\n"])
def test_the_last_words_are_told_once(logs: LogStore, last_message: str) -> None:
    told = "\n".join(why_not([pod(False, last_message)], logs))
    assert told.startswith("p/c: CrashLoopBackOff: back-off 4s")
    assert told.count(WORDS) == 1


def test_who_is_ready_is_not_named(logs: LogStore) -> None:
    assert why_not([pod(True, "")], logs) == []


def test_who_never_ran_has_no_words(tmp_path: Path) -> None:
    assert why_not([pod(False, "")], LogStore(tmp_path)) == ["p/c: CrashLoopBackOff: back-off 4s"]
