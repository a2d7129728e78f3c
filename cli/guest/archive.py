"""An initramfs: the `newc` form of cpio, owned by root, the same bytes for the same files. Pure.

Format: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from typing import NamedTuple

MAGIC = "070701"
END = "TRAILER!!!"
ALIGN = 4


class Entry(NamedTuple):
    """A file (`data`), a directory (no data) or a symbolic link (`data` is where it leads)."""

    name: str
    mode: int
    data: bytes = b""


def directory(name: str) -> Entry:
    """A directory that everybody may enter."""
    return Entry(name, stat.S_IFDIR | 0o755)


def program(name: str, data: bytes) -> Entry:
    """A file that can be run."""
    return Entry(name, stat.S_IFREG | 0o755, data)


def text(name: str, contents: str) -> Entry:
    """A file of text."""
    return Entry(name, stat.S_IFREG | 0o644, contents.encode())


def link(name: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(name, stat.S_IFLNK | 0o777, target.encode())


def archive(entries: Iterable[Entry]) -> bytes:
    """The whole archive; directories must come before what is in them."""
    pieces = [_packed(number, entry) for number, entry in enumerate(entries, 1)]
    return b"".join([*pieces, _packed(0, Entry(END, 0))])


def _packed(number: int, entry: Entry) -> bytes:
    name = entry.name.encode() + b"\0"
    fields = (number, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, 0, 0, len(name), 0)
    head = MAGIC.encode() + b"".join(f"{field:08x}".encode() for field in fields) + name
    return _padded(head) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGN)
