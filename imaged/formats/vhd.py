"""Microsoft's VHD: the footer at the end (and, of a dynamic disk, a copy of it at the beginning). Pure.

After the Virtual Hard Disk Image Format Specification. Differencing disks are refused: they name a parent.
"""

from __future__ import annotations

from imaged.formats.finding import SECTOR, Finding, Need, Parser, number, sized

COOKIE, DYNAMIC_COOKIE = b"conectix", b"cxsparse"
FIXED, DYNAMIC, DIFFERENCING = 2, 3, 4
DYNAMIC_BYTES = 1024


def parse(footer: bytes) -> Parser:
    """A file with this footer."""
    problems: list[str] = []
    kind = number(footer, 60, 4)
    virtual_size = sized(number(footer, 48, 8), problems)
    if kind == DIFFERENCING:
        problems.append("it is a differencing disk, which has a parent")
    elif kind not in {FIXED, DYNAMIC}:
        problems.append(f"VHD type {kind} is not known")
    if kind == DYNAMIC:
        header = yield Need(number(footer, 16, 8) & (1 << 62) - 1, DYNAMIC_BYTES)
        if not header.startswith(DYNAMIC_COOKIE):
            problems.append("its dynamic header is missing")
        elif any(header[576 : 576 + 24 * 8]):
            problems.append("it names a parent")
    else:
        yield Need(0, SECTOR)
    return Finding("vhd", virtual_size, tuple(problems))
