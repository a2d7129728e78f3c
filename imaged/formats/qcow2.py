"""QEMU's qcow2: header, feature bits and header extensions. Pure.

After docs/interop/qcow2.txt. Refused: a backing file and an external data file, which make whoever opens the image read
another file of the host (CVE-2024-32498), and features that are not known here.
"""

from __future__ import annotations

from imaged.formats.finding import Finding, Need, Parser, number, sized

MAGIC = b"QFI\xfb"
HEAD_BYTES = 104
CLUSTER_BITS = range(9, 22)
DIRTY, CORRUPT, EXTERNAL_DATA, COMPRESSION, EXTENDED_L2 = (1 << bit for bit in range(5))
KNOWN = DIRTY | CORRUPT | EXTERNAL_DATA | COMPRESSION | EXTENDED_L2
END, DATA_FILE_NAME = 0, 0x44415441
EXTENSION_COUNT_MAX = 64
EXTENSION_AREA_BYTES_MAX = 64 << 10


def parse(head: bytes) -> Parser:
    """A file that begins with MAGIC."""
    problems: list[str] = []
    version, cluster_bits = number(head, 4, 4), number(head, 20, 4)
    if version not in {2, 3}:
        problems.append(f"qcow2 version {version} is not known")
    if number(head, 8, 8) or number(head, 16, 4):
        problems.append("it has a backing file")
    if cluster_bits not in CLUSTER_BITS:
        problems.append(f"clusters of 2^{cluster_bits} bytes are not allowed")
    begin = 72
    if version >= 3:
        features = number(head, 72, 8)
        if features & EXTERNAL_DATA:
            problems.append("it has an external data file")
        if features & ~KNOWN:
            problems.append(f"it needs features that are not known ({features & ~KNOWN:#x})")
        if features & CORRUPT:
            problems.append("it is marked as corrupt")
        begin = number(head, 100, 4)
    virtual_size = sized(number(head, 24, 8), problems)
    if not HEAD_BYTES - 32 <= begin <= EXTENSION_AREA_BYTES_MAX:
        problems.append("the length of its header is absurd")
        return Finding("qcow2", virtual_size, tuple(problems))
    area = yield Need(begin, EXTENSION_AREA_BYTES_MAX)
    problems += _extensions(area)
    return Finding("qcow2", virtual_size, tuple(problems))


def _extensions(area: bytes) -> list[str]:
    offset = 0
    for _ in range(EXTENSION_COUNT_MAX):
        if offset + 8 > len(area):
            return []
        kind, length = number(area, offset, 4), number(area, offset + 4, 4)
        if kind == END:
            return []
        if kind == DATA_FILE_NAME:
            return ["it names an external data file"]
        offset += 8 + (length + 7) // 8 * 8
    return ["it has too many header extensions"]
