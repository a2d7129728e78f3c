"""What needs no tool to be read: partition tables, file systems of discs, archives, encrypted volumes. Pure.

ISO 9660 (ECMA-119), GPT and MBR, LUKS 1 and 2, tar (an OVA is one), and Parallels' image for ploop.
"""

from __future__ import annotations

from imaged.formats.finding import SECTOR, Finding, number

ISO_OFFSETS = (32_769, 34_817, 36_865)
ISO_MAGIC = b"CD001"
ISO_VOLUME = 32_768
GPT_MAGIC = b"EFI PART"
LUKS_MAGIC = b"LUKS\xba\xbe"
TAR_MAGIC = b"ustar"
PLOOP_MAGICS = (b"WithoutFreeSpace", b"WithouFreSpacExt")
QED_MAGIC = b"QED\0"
OVF_SUFFIX = b".ovf"


def iso(head: bytes, size: int) -> Finding | None:
    """A disc image."""
    if not any(head[offset : offset + 5] == ISO_MAGIC for offset in ISO_OFFSETS):
        return None
    blocks = number(head, ISO_VOLUME + 80, 4, little=True)
    block_bytes = number(head, ISO_VOLUME + 128, 2, little=True)
    return Finding("iso", blocks * block_bytes or size)


def partitioned(head: bytes, size: int) -> Finding | None:
    """A disk with a GUID partition table or a master boot record."""
    if head[SECTOR : SECTOR + 8] == GPT_MAGIC:
        return Finding("gpt", size)
    if head[510:512] != b"\x55\xaa":
        return None
    entries = [head[offset : offset + 16] for offset in range(446, 510, 16)]
    if all(entry[0] in {0x00, 0x80} for entry in entries) and any(entry[4] for entry in entries):
        return Finding("gpt", size)
    return None


def luks(head: bytes, size: int) -> Finding | None:
    """An encrypted volume."""
    if not head.startswith(LUKS_MAGIC):
        return None
    version = number(head, 6, 2)
    problems = () if version in {1, 2} else (f"LUKS version {version} is not known",)
    return Finding("luks", size, problems)


def tar(head: bytes) -> Finding | None:
    """An archive; `ova` when it begins with an OVF descriptor, as the OVF specification demands."""
    if head[257:262] != TAR_MAGIC:
        return None
    name = head[:100].partition(b"\0")[0].lower()
    return Finding("ova" if name.endswith(OVF_SUFFIX) else "tar")


def ploop(head: bytes, size: int) -> Finding | None:
    """Parallels' expanding image."""
    return Finding("ploop", size) if head.startswith(PLOOP_MAGICS) else None


def qed(head: bytes) -> Finding | None:
    """QEMU's abandoned format: nobody declares it, and it can have a backing file."""
    return Finding("qed", None, ("QED images are not allowed",)) if head[:4] == QED_MAGIC else None
