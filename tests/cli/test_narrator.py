from __future__ import annotations

import io
import os
import pty
from collections.abc import Callable

import pytest

from pilotlight.cli.narrator import LivelyNarrator, Narrator, PlainNarrator, narrator

ESCAPE = "\x1b"
COLOUR = "\x1b[32m"


def tell(teller: Narrator) -> None:
    teller.title("Chapter [red]one[/red]")
    teller.say("something")
    teller.good("held")
    teller.bad("broke")
    with teller.busy("waiting") as update:
        update("still waiting")
    teller.table(("pod", "state"), [("a-long-name", "Ready"), ("b", "Pending")])


def test_a_log_has_plain_lines_and_no_codes() -> None:
    stream = io.StringIO()
    tell(narrator(stream, {"TERM": "xterm", "FORCE_COLOR": "1"}))
    text = stream.getvalue()
    assert ESCAPE not in text
    assert text.splitlines() == [
        "",
        "== Chapter [red]one[/red]",
        "   something",
        "ok held",
        "FAILED broke",
        "   waiting ...",
        "   pod          state",
        "   a-long-name  Ready",
        "   b            Pending",
    ]


def test_progress_in_a_log_is_said_at_most_every_two_seconds() -> None:
    stream, now = io.StringIO(), [0.0]
    with PlainNarrator(stream, lambda: now[0]).busy("0 answers") as update:
        for step in range(61):
            now[0] = step / 10
            update(f"{step} answers")
            update(f"{step} answers")
    said = [line.strip() for line in stream.getvalue().splitlines()]
    assert said == ["0 answers ...", "20 answers", "40 answers", "60 answers"]


@pytest.mark.parametrize(
    ("environ", "lively", "coloured"),
    [
        pytest.param({"TERM": "xterm-256color"}, True, True, id="terminal"),
        pytest.param({"TERM": "xterm-256color", "NO_COLOR": "1"}, True, False, id="no colour"),
        pytest.param({"TERM": "dumb"}, False, False, id="dumb terminal"),
        pytest.param({}, False, False, id="unknown terminal"),
    ],
)
def test_a_terminal_gets_what_it_can_show(
    environ: dict[str, str], lively: bool, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    kinds: list[type] = []

    def story(stream: io.TextIOWrapper) -> None:
        teller = narrator(stream, environ)
        kinds.append(type(teller))
        tell(teller)

    shown = _on_a_terminal(story)
    assert kinds == [LivelyNarrator if lively else PlainNarrator]
    assert "Chapter [red]one[/red]" in shown
    assert (COLOUR in shown) == coloured


def _on_a_terminal(story: Callable[[io.TextIOWrapper], None]) -> str:
    """What a story of less than a pipe's capacity writes to a pseudo terminal."""
    leader, follower = pty.openpty()
    with open(leader, "rb", buffering=0) as reader, open(follower, "w") as writer:
        story(writer)
        writer.flush()
        return os.read(reader.fileno(), 65536).decode()
