"""The result of `ringstack bench object` as tables, plain lines or JSON.

Ratios come first, because they are what one run can say; the figures behind them follow.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from bench.figure import MIB, Ceilings, Figure
from bench.mixed import MixedReport
from bench.verdict import Share, Verdict, by_case, shares, verdicts

Rows = list[list[str]]

MEMORY_FILE_SYSTEMS = {"tmpfs", "ramfs"}


class Report(NamedTuple):
    """Everything that one run measured. `memory` is in bytes, by target."""

    figures: list[Figure]
    ceilings: Ceilings
    memory: dict[str, int]
    setting: dict[str, Any]
    peer: str = ""

    @property
    def ours(self) -> list[str]:
        """Our targets, in order."""
        return [name for name in self.memory if name != self.peer]

    @property
    def verdicts(self) -> list[Verdict]:
        """Floors beside the peer; empty without one."""
        return verdicts(by_case(self.figures), self.ours, self.peer)

    @property
    def shares(self) -> list[Share]:
        """Parts of the machine's ceilings."""
        return shares(by_case(self.figures), self.ours, self.ceilings)

    @property
    def errors(self) -> dict[str, int]:
        """Bad answers by target and reason."""
        return {
            f"{figure.target}: {figure.case.title}: {reason}": number
            for figure in self.figures
            for reason, number in figure.errors.items()
        }

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "setting": self.setting,
            "peer": self.peer,
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
            "of_ceilings": [share.to_json() for share in self.shares],
            "ceilings": {name: round(value, 1) for name, value in self.ceilings._asdict().items()},
            "memory_bytes": self.memory,
            "errors": self.errors,
            "figures": [figure.to_json() for figure in self.figures],
        }


def setting(seconds: float, rounds: int, **more: Any) -> dict[str, Any]:
    """What a reader must know to repeat the run."""
    return {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "round_seconds": seconds,
        "rounds": rounds,
        **more,
    }


def show(report: Report) -> None:
    """Print the tables; on anything but a terminal, plain lines of the same cells."""
    if report.setting.get("file_system") in MEMORY_FILE_SYSTEMS:
        print("The data lies in memory here: choose a directory on a disk with --scratch.\n")
    if report.verdicts:
        heads = ["ratio", "through", "ours", "theirs", "ratio", "floor", ""]
        show_table(f"Beside {report.peer}, in this run", heads, verdict_rows(report.verdicts))
    if report.shares:
        heads = ["part of what the machine could do", "through", "ours", "at most", "part"]
        show_table("Beside the machine's ceilings", heads, share_rows(report.shares))
    for target in report.memory:
        rows = figure_rows(report, target)
        if rows:
            show_table(target, figure_heads(report, target), rows)
    for target, size in report.memory.items():
        print(f"memory of {target}: {size / MIB:.0f} MiB")
    for what, number in report.errors.items():
        print(f"ERRORS {number} of {what}")


def show_mixed(report: MixedReport) -> None:
    """Print the result of the mixed load."""
    heads = ["request", "count", "failed", "/s", "p50 ms", "p99 ms"]
    rows = [
        [
            line.what,
            f"{line.requests:,}",
            str(line.failures),
            number_text(line.rate),
            number_text(line.p50_ms),
            number_text(line.p99_ms),
        ]
        for line in report.lines
    ]
    show_table(f"Mixed load, {report.clients} clients, {report.seconds:g} s", heads, rows)
    print(f"server CPU per request: {number_text(report.cpu_ms)} ms")
    print(f"memory: {report.memory_bytes / MIB:.0f} MiB")
    for what, number in report.reasons.items():
        print(f"ERRORS {number} of {what}")


def verdict_rows(found: Sequence[Verdict]) -> Rows:
    """One row for each floor."""
    return [
        [
            verdict.what,
            verdict.target.rpartition(" ")[2],
            number_text(verdict.ours),
            number_text(verdict.theirs),
            f"{verdict.ratio:.1f} x",
            f"{verdict.floor:g} x",
            "ok" if verdict.met else "below",
        ]
        for verdict in found
    ]


def share_rows(found: Sequence[Share]) -> Rows:
    """One row for each ceiling."""
    return [
        [
            share.what,
            share.target.rpartition(" ")[2],
            number_text(share.ours),
            number_text(share.ceiling),
            f"{100 * share.ratio:.1f} %",
        ]
        for share in found
    ]


def figure_heads(report: Report, target: str) -> list[str]:
    """Columns of a target's table."""
    heads = ["case", "at once", "/s", "p50 ms", "p99 ms", "CPU ms"]
    return heads + (["to peer", "CPU to peer"] if report.peer not in {"", target} else [])


def figure_rows(report: Report, target: str) -> Rows:
    """One row for each case, with the peer's ratio when there is one."""
    figures = by_case(report.figures)
    rows = []
    for figure in report.figures:
        if figure.target != target:
            continue
        unit = " MB" if figure.case.streamed else ""
        row = [
            figure.case.title,
            str(figure.case.connections),
            number_text(figure.rate) + unit,
            number_text(figure.p50_ms),
            number_text(figure.p99_ms),
            number_text(figure.cpu_ms),
        ]
        peer = figures.get((report.peer, figure.case))
        if peer is not None and target != report.peer:
            row.append(f"{figure.rate / peer.rate:.1f}" if peer.rate else "")
            row.append(f"{peer.cpu_ms / figure.cpu_ms:.1f}" if figure.cpu_ms else "")
        rows.append(row)
    return rows


def number_text(value: float) -> str:
    """Three figures that matter."""
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def show_table(title: str, heads: Sequence[str], rows: Rows) -> None:
    """A table on a terminal, aligned plain lines elsewhere; the first two columns are words."""
    if sys.stdout.isatty():
        table = Table(title=title, title_justify="left", title_style="bold", box=None)
        for number, head in enumerate(heads):
            table.add_column(head, justify="left" if number == 0 else "right", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        Console().print(table)
        print()
        return
    widths = [max(len(row[place]) for row in [list(heads), *rows]) for place in range(len(heads))]
    print(title)
    for row in [list(heads), *rows]:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  " + "  ".join(cells).rstrip())
    print()
