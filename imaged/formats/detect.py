"""Which format a file is, looking for every one of them, and whether that is what its owner said. Pure.

A file that is two formats at once is refused: different tools would see different disks in it. Two pairs are no contradiction: discs
and encrypted volumes may begin with a boot sector. What is nothing else is raw.
"""

from __future__ import annotations

from collections.abc import Generator

from imaged.formats import plain, qcow2, vdi, vhd, vhdx, vmdk
from imaged.formats.finding import SECTOR, Finding, Need, Parser

HEAD_BYTES = 64 << 10
# Containers whose contents are opaque here; they are kept as they are and never converted.
OPAQUE = frozenset({"docker", "compressed", "ovf"})
MACHINE = frozenset({"ami", "aki", "ari"})
BARE_RAW = frozenset({"raw", "gpt"})
# What qemu-img converts, by the API's name and by qemu's.
CONVERTED = {"qcow2": "qcow2", "vmdk": "vmdk", "vhd": "vpc", "vhdx": "vhdx", "vdi": "vdi"}


def detect(size: int) -> Parser:
    """The format of a file of `size` bytes."""
    head = yield Need(0, HEAD_BYTES)
    found = [
        finding
        for finding in (
            plain.iso(head, size),
            plain.partitioned(head, size),
            plain.luks(head, size),
            plain.tar(head),
            plain.ploop(head, size),
            plain.qed(head),
        )
        if finding is not None
    ]
    for parser in (yield from _tooled(head, size)):
        finding = yield from parser
        found.append(finding)
    if head[vdi.MAGIC_OFFSET : vdi.MAGIC_OFFSET + 4] == vdi.MAGIC:
        found.append(vdi.parse(head))
    names = {finding.format for finding in found}
    if names - {"gpt"} and "gpt" in names and names <= {"gpt", "iso", "luks"}:
        found = [finding for finding in found if finding.format != "gpt"]
    if len(found) > 1:
        several = ", ".join(sorted(names))
        return Finding("several", None, (f"it is several formats at once: {several}",))
    return found[0] if found else Finding("raw", size)


def _tooled(head: bytes, size: int) -> Generator[Need, bytes, list[Parser]]:
    parsers: list[Parser] = []
    if head.startswith(qcow2.MAGIC):
        parsers.append(qcow2.parse(head))
    if head.startswith((vmdk.MAGIC, vmdk.OLD_MAGIC)) or vmdk.TEXT.match(head):
        parsers.append(vmdk.parse(head, size))
    if head.startswith(vhdx.MAGIC):
        parsers.append(vhdx.parse())
    footer = yield Need(max(0, size - SECTOR), SECTOR)
    if head.startswith(vhd.COOKIE):
        parsers.append(vhd.parse(head))
    elif footer.startswith(vhd.COOKIE):
        parsers.append(vhd.parse(footer))
    return parsers


def refusal(disk_format: str | None, container_format: str | None, found: Finding) -> str | None:
    """Why an image that is declared so must not be what it is; None when all is well."""
    if container_format in OPAQUE:
        return None
    if found.problems:
        return "; ".join(found.problems)
    if container_format == "ova":
        allowed = frozenset({"ova"})
    elif disk_format in {"raw", "ploop", None}:
        allowed = BARE_RAW | {"tar", "ova"} if disk_format != "ploop" else frozenset({"ploop"})
    elif disk_format in MACHINE:
        allowed = BARE_RAW | {"iso", "tar"}
    else:
        allowed = frozenset({str(disk_format)})
    if found.format in allowed:
        return None
    return f"Image content does not match disk_format: {disk_format} was declared, {found.format} found"


def bootable(disk_format: str | None, container_format: str | None) -> str | None:
    """What becomes of an image when a volume begins from it: `raw` as it is, a format to convert, or None."""
    if container_format != "bare":
        return None
    if disk_format in {"raw", "iso"}:
        return "raw"
    return disk_format if disk_format in CONVERTED else None
