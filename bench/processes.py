"""What processes cost: CPU time and memory of a whole tree, read from /proc.

CPU time of a process is its user and system time and that of children it has reaped (proc(5): stat,
fields 14 to 17), so that short-lived children count too. The kernel's own threads (write-back, the
journal) are in no tree and are not counted, for anybody.
"""

from __future__ import annotations

import os
from pathlib import Path

from cli.status import pss_bytes

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def parse_stat(text: str) -> tuple[int, int]:
    """Parent's id and CPU ticks of a line of /proc/<pid>/stat; the name may hold anything."""
    fields = text[text.rindex(")") + 2 :].split()
    return int(fields[1]), sum(int(field) for field in fields[11:15])


def tree(roots: list[int]) -> dict[int, int]:
    """CPU ticks of each live process that is one of `roots` or descends from one."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line = (entry / "stat").read_text()
            parents[int(entry.name)], ticks[int(entry.name)] = parse_stat(line)
        except (OSError, ValueError):
            continue
    wanted: dict[int, int] = {}
    for pid, used in ticks.items():
        above, seen = pid, set[int]()
        while above not in roots and above in parents and above not in seen:
            seen.add(above)
            above = parents[above]
        if above in roots:
            wanted[pid] = used
    return wanted


def cpu_seconds(roots: list[int]) -> float:
    """CPU time that a tree has used so far; compare two readings."""
    return sum(tree(roots).values()) / TICKS_PER_SECOND


def memory_bytes(roots: list[int]) -> int:
    """Proportional set size of a tree: shared pages are counted once in all."""
    return sum(pss_bytes(pid) for pid in tree(roots))
