"""Logs: cutting lines, bounding files, reading and following."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight_local.kubelet.logs import (
    LineCutter,
    LogOptions,
    LogStore,
    last_text,
    parse_record,
    read_records,
    render,
    stamp,
)

AT = stamp(1_767_225_600_000_000_001)


def record(text: bytes, mark: bytes = b"F") -> bytes:
    return AT + b" stdout " + mark + b" " + text + b"\n"


def files_in(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


async def collect(store: LogStore, options: LogOptions) -> bytes:
    return b"".join([piece async for piece in store.read("uid", "c", options)])


def test_stamp_has_all_digits() -> None:
    assert AT == b"2026-01-01T00:00:00.000000001Z"


@given(st.lists(st.binary(max_size=40)), st.data())
def test_lines_are_the_same_however_they_are_cut(lines: list[bytes], data: st.DataObject) -> None:
    text = b"\n".join(lines)
    cutter, records, position = LineCutter(b"stdout"), b"", 0
    while position < len(text):
        size = data.draw(st.integers(1, len(text) - position))
        records += cutter.feed(text[position : position + size], AT)
        position += size
    records += cutter.end(AT)
    parsed = [parse_record(line) for line in records.split(b"\n")[:-1]]
    assert b"".join(render(r, timestamps=False) for r in parsed if r) == text


def test_long_lines_are_cut_into_parts() -> None:
    cutter = LineCutter(b"stderr")
    records = cutter.feed(b"x" * 40_000, AT) + cutter.feed(b"y\nz", AT) + cutter.end(AT)
    parsed = [parse_record(line) for line in records.split(b"\n")[:-1]]
    assert all(len(line) < 17_000 for line in records.split(b"\n"))
    text = b"".join(render(r, timestamps=False) for r in parsed if r)
    assert text == b"x" * 40_000 + b"y\nz"


async def test_size_is_bounded(tmp_path: Path) -> None:
    store = LogStore(tmp_path, limit=1000)
    log = store.create("uid", "c", 0)
    for number in range(200):
        log.write(record(b"%03d" % number))
    log.close()
    files = {path: path.stat().st_size for path in files_in(tmp_path)}
    assert len(files) == 2
    assert all(size <= 1000 for size in files.values())
    assert (await collect(store, LogOptions())).endswith(b"198\n199\n")


async def test_only_the_run_before_is_kept(tmp_path: Path) -> None:
    store = LogStore(tmp_path)
    for run in range(4):
        log = store.create("uid", "c", run)
        log.write(record(b"run %d" % run))
        log.close()
    assert await collect(store, LogOptions()) == b"run 3\n"
    assert await collect(store, LogOptions(previous=True)) == b"run 2\n"
    assert len(files_in(tmp_path)) == 2
    store.remove("uid")
    assert not store.has("uid", "c", previous=False)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (LogOptions(), b"0\n1\n2\n"),
        (LogOptions(tail=1), b"2\n"),
        (LogOptions(tail=0), b""),
        (LogOptions(tail=9), b"0\n1\n2\n"),
        (LogOptions(since_ns=1_000_000_001), b"1\n2\n"),
        (LogOptions(since_ns=9_000_000_000), b""),
        (
            LogOptions(tail=1, timestamps=True),
            b"1970-01-01T00:00:03.000000000Z 2\n",
        ),
    ],
)
async def test_options(tmp_path: Path, options: LogOptions, expected: bytes) -> None:
    store = LogStore(tmp_path)
    log = store.create("uid", "c", 0)
    for number in range(3):
        log.write(stamp((number + 1) * 1_000_000_000) + b" stdout F %d\n" % number)
    assert await collect(store, options) == expected
    log.close()


async def test_following_crosses_rotations_and_ends_with_the_run(tmp_path: Path) -> None:
    store = LogStore(tmp_path, limit=2000)
    log = store.create("uid", "c", 0)
    log.write(record(b"first"))
    following = asyncio.create_task(collect(store, LogOptions(follow=True)))
    for number in range(300):
        log.write(record(b"%d" % number))
        if number % 7 == 0:
            await asyncio.sleep(0)
    log.write(record(b"part", b"P"))
    log.close()
    text = await asyncio.wait_for(following, 5)
    assert text == b"first\n" + b"".join(b"%d\n" % n for n in range(300)) + b"part"


def test_last_text(tmp_path: Path) -> None:
    store = LogStore(tmp_path)
    log = store.create("uid", "c", 0)
    for number in range(100):
        log.write(record(b"line %d" % number))
    log.close()
    assert last_text(log.path, 2048, 2) == "line 98\nline 99\n"
    assert last_text(log.path, 4, 80) == " 99\n"[-4:]
    assert last_text(tmp_path / "none", 10, 10) == ""


def test_broken_records_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(b"cut\n" + record(b"whole") + b"2026")
    assert [r.text for r in read_records(path)] == [b"whole"]
