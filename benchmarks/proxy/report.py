"""The figures for a person: a line for each subject of a case, a column for each figure."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.results import Row, columns


def spread_table(rows: Sequence[Row]) -> str:
    """Medians, each with how far its lowest and highest round are apart, in percent of it."""
    blocks = []
    for case in dict.fromkeys(row.case for row in rows):
        of_case = [row for row in rows if row.case == case]
        figures = list(dict.fromkeys(row.figure for row in of_case))
        lines = [(case, *figures)]
        for subject in dict.fromkeys(row.subject for row in of_case):
            found = {row.figure: row for row in of_case if row.subject == subject}
            cells = (_cell(found[figure]) if figure in found else "-" for figure in figures)
            lines.append((f"  {subject}", *cells))
        blocks.append(columns(lines))
    return "\n\n".join(blocks)


def _cell(row: Row) -> str:
    if row.rounds < 2 or not row.median:
        return f"{row.median:g}"
    return f"{row.median:g} ±{abs((row.max - row.min) / 2 / row.median):.0%}"
