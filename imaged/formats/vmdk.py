"""VMware's VMDK: the sparse header and the descriptor inside it. Pure.

After VMware's Virtual Disk Format 5.0. Allowed are files that are whole by themselves (monolithicSparse and
streamOptimized); refused is every descriptor that names another file (CVE-2022-47951), and a header that sends the
reader elsewhere for the descriptor.
"""

from __future__ import annotations

import re

from imaged.formats.finding import READ_BYTES_MAX, SECTOR, Finding, Need, Parser, number, sized

MAGIC, OLD_MAGIC = b"KDMV", b"COWD"
TEXT = re.compile(rb"\s*#\s*disk\s+descriptorfile", re.IGNORECASE)
TYPES = frozenset({"monolithicsparse", "streamoptimized"})
EXTENT = re.compile(r"^\s*(?:RW|RDONLY|NOACCESS)\b", re.IGNORECASE)
WHOLE = re.compile(r'^\s*RW\s+\d+\s+SPARSE\s+"([^"/\\:]*)"\s*$', re.IGNORECASE)
SETTING = re.compile(r'^\s*([A-Za-z]+)\s*=\s*"?([^"]*?)"?\s*$')
AT_END = (1 << 64) - 1
NO_PARENT = "ffffffff"


def parse(head: bytes, size: int) -> Parser:
    """A file that begins with one of the magics, or is a bare descriptor."""
    if not head.startswith(MAGIC):
        what = "descriptor" if TEXT.match(head) else "ESX"
        return Finding("vmdk", None, (f"a VMDK of the {what} kind consists of other files",))
    problems: list[str] = []
    if number(head, 4, 4, little=True) not in {1, 2, 3}:
        problems.append("its version is not known")
    sectors = number(head, 12, 8, little=True)
    if not sectors:
        problems.append("its header holds no disk, so that its descriptor may name any file")
    virtual_size = sized(sectors * SECTOR, problems)
    begin, length = number(head, 28, 8, little=True), number(head, 36, 8, little=True)
    if not 1 <= begin <= READ_BYTES_MAX // SECTOR or not 1 <= length <= READ_BYTES_MAX // SECTOR:
        problems.append("its descriptor is not where one can be")
        return Finding("vmdk", virtual_size, tuple(problems))
    text = yield Need(begin * SECTOR, length * SECTOR)
    problems += descriptor_problems(text.partition(b"\0")[0])
    if number(head, 56, 8, little=True) == AT_END:
        footer = yield Need(max(0, size - 2 * SECTOR), SECTOR)
        if not footer.startswith(MAGIC) or number(footer, 12, 8, little=True) != sectors:
            problems.append("its footer contradicts its header")
    return Finding("vmdk", virtual_size, tuple(problems))


def descriptor_problems(raw: bytes) -> list[str]:
    """What a descriptor must not say."""
    lines = raw.decode("latin-1").splitlines()
    settings = {
        found[1].lower(): found[2] for line in lines if (found := SETTING.match(line)) is not None
    }
    kind = settings.get("createtype", "")
    problems = []
    if kind.lower() not in TYPES:
        problems.append(f"a VMDK of the type {kind[:40]!r} is not allowed")
    if (
        settings.get("parentcid", NO_PARENT).lower() != NO_PARENT
        or "parentfilenamehint" in settings
    ):
        problems.append("it has a parent")
    extents = [line for line in lines if EXTENT.match(line)]
    if len(extents) != 1 or WHOLE.match(extents[0]) is None:
        problems.append("its extents name other files")
    return problems
