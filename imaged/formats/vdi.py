"""VirtualBox's VDI: the header of version 1.1. Pure.

Undo and differencing images, and images with a parent, are refused.
"""

from __future__ import annotations

from imaged.formats.finding import Finding, number, sized

MAGIC = bytes.fromhex("7f10dabe")
MAGIC_OFFSET = 64
DYNAMIC, STATIC = 1, 2
VERSION = 0x00010001


def parse(head: bytes) -> Finding:
    """A file with MAGIC at MAGIC_OFFSET."""
    problems: list[str] = []
    if number(head, 68, 4, little=True) != VERSION:
        problems.append("its version is not known")
    if number(head, 76, 4, little=True) not in {DYNAMIC, STATIC}:
        problems.append("it is an undo or differencing image")
    if any(head[424:456]):
        problems.append("it has a parent")
    return Finding("vdi", sized(number(head, 368, 8, little=True), problems), tuple(problems))
