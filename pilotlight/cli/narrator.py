"""How a command tells its story: lively on a terminal, in plain lines anywhere else."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Final, Protocol, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

_PLAIN_EVERY_S: Final = 2.0

Update = Callable[[str], None]


class Narrator(Protocol):
    """What a story is made of. Texts are shown as they are: no markup is read from them."""

    def title(self, text: str) -> None:
        """A new chapter."""

    def say(self, text: str) -> None:
        """Something to know."""

    def good(self, text: str) -> None:
        """Something that was checked and holds."""

    def bad(self, text: str) -> None:
        """Something that was checked and does not hold."""

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Rows below their headings."""

    def busy(self, text: str) -> AbstractContextManager[Update]:
        """Something that takes its time; what it gives shows how far it is."""


def narrator(stream: TextIO, environ: Mapping[str, str] = os.environ) -> Narrator:
    """The lively one for a terminal that can do it, else the plain one. NO_COLOR is respected."""
    if stream.isatty() and environ.get("TERM", "") not in ("", "dumb"):
        colour = not environ.get("NO_COLOR")
        return LivelyNarrator(Console(file=stream, no_color=not colour, highlight=False))
    return PlainNarrator(stream)


class PlainNarrator:
    """Lines of text, flushed one by one; progress is said at most every two seconds."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock

    def title(self, text: str) -> None:
        self._line(f"\n== {text}")

    def say(self, text: str) -> None:
        self._line(f"   {text}")

    def good(self, text: str) -> None:
        self._line(f"ok {text}")

    def bad(self, text: str) -> None:
        self._line(f"FAILED {text}")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
        for row in (columns, *rows):
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self._line("   " + "  ".join(cells).rstrip())

    @contextmanager
    def busy(self, text: str) -> Iterator[Update]:
        self.say(f"{text} ...")
        said, said_at = text, self._clock()

        def update(new: str) -> None:
            nonlocal said, said_at
            now = self._clock()
            if new != said and now - said_at >= _PLAIN_EVERY_S:
                said, said_at = new, now
                self.say(new)

        yield update

    def _line(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


class LivelyNarrator:
    """Colours, and a line that changes while something goes on."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def title(self, text: str) -> None:
        self._console.print()
        self._console.print(Text(text, style="bold"))

    def say(self, text: str) -> None:
        self._console.print(Text(f"  {text}"))

    def good(self, text: str) -> None:
        self._console.print(Text.assemble(("  ✔ ", "green"), text))

    def bad(self, text: str) -> None:
        self._console.print(Text.assemble(("  ✘ ", "bold red"), text))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        table = Table(box=None, padding=(0, 2, 0, 2), header_style="dim")
        for column in columns:
            table.add_column(column, no_wrap=True)
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self._console.print(table)

    @contextmanager
    def busy(self, text: str) -> Iterator[Update]:
        with self._console.status(Text(text), spinner="dots") as status:
            yield lambda new: status.update(Text(new))
