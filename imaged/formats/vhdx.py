"""Microsoft's VHDX: region table, then metadata table. Pure.

After [MS-VHDX]. A disk with a parent is refused, and so is one whose tables are not where the specification has them.
"""

from __future__ import annotations

from imaged.formats.finding import Finding, Need, Parser, number, sized

MAGIC = b"vhdxfile"
REGION_TABLE = 192 << 10
TABLE_BYTES = 64 << 10
ENTRY_COUNT_MAX = 2047
METADATA_REGION = bytes.fromhex("06a27c8b90479a4bb8fe575f050f886e")
FILE_PARAMETERS = bytes.fromhex("3767a1ca36fa434db3b633f0aa44e76b")
DISK_SIZE = bytes.fromhex("2442a52f1bcd7648b2115dbed83bf4b8")
PARENT_LOCATOR = bytes.fromhex("2d5fd3a80bb34d45abf7d3d84834ab0c")
HAS_PARENT = 2
OFFSET_MAX = 1 << 50


def parse() -> Parser:
    """A file that begins with MAGIC."""
    problems: list[str] = []
    regions = yield Need(REGION_TABLE, TABLE_BYTES)
    place = _region(regions)
    if place is None:
        return Finding("vhdx", None, ("its metadata region is missing",))
    table = yield Need(place, TABLE_BYTES)
    if not table.startswith(b"metadata"):
        return Finding("vhdx", None, ("its metadata table is missing",))
    items = _items(table)
    if PARENT_LOCATOR in items:
        problems.append("it names a parent")
    virtual_size = None
    if FILE_PARAMETERS in items:
        flags = yield Need(place + items[FILE_PARAMETERS], 8)
        if number(flags, 4, 4, little=True) & HAS_PARENT:
            problems.append("it has a parent")
    else:
        problems.append("its file parameters are missing")
    if DISK_SIZE in items:
        raw = yield Need(place + items[DISK_SIZE], 8)
        virtual_size = sized(number(raw, 0, 8, little=True), problems)
    return Finding("vhdx", virtual_size, tuple(problems))


def _region(table: bytes) -> int | None:
    if not table.startswith(b"regi"):
        return None
    for entry in _entries(table, number(table, 8, 4, little=True), begin=16):
        if entry[:16] == METADATA_REGION:
            place = number(entry, 16, 8, little=True)
            return place if place < OFFSET_MAX else None
    return None


def _items(table: bytes) -> dict[bytes, int]:
    entries = _entries(table, number(table, 10, 2, little=True), begin=32)
    return {entry[:16]: number(entry, 16, 4, little=True) for entry in entries}


def _entries(table: bytes, count: int, *, begin: int) -> list[bytes]:
    return [
        table[offset : offset + 32]
        for offset in range(begin, begin + 32 * min(count, ENTRY_COUNT_MAX), 32)
        if offset + 32 <= len(table)
    ]
