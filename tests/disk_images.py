"""Disk images for tests: real ones made by qemu-img, and hostile ones made by hand."""

from __future__ import annotations

import struct
from pathlib import Path

from tests.nbd_tools import install, run

MIB = 1 << 20
MADE = {"qcow2": "qcow2", "vmdk": "vmdk", "vhd": "vpc", "vhdx": "vhdx", "vdi": "vdi"}


def content(size: int = 8 * MIB) -> bytes:
    """A disk's bytes: some data, mostly zeros."""
    data = bytearray(size)
    data[MIB : MIB + 5000] = bytes(range(250)) * 20
    data[5 * MIB : 5 * MIB + 4096] = b"\x42" * 4096
    return bytes(data)


def made(directory: Path, disk_format: str, data: bytes | None = None, *options: str) -> bytes:
    """An image file in a format, holding `data`."""
    install("qemu-img")
    source, target = directory / "source.raw", directory / f"made.{disk_format}"
    source.write_bytes(content() if data is None else data)
    extra = [word for option in options for word in ("-o", option)]
    run("qemu-img", "convert", "-f", "raw", "-O", MADE[disk_format], *extra, source, target)
    return target.read_bytes()


def qcow2(
    *,
    version: int = 3,
    backing: bytes = b"",
    features: int = 0,
    extension: tuple[int, bytes] | None = None,
    virtual_size: int = MIB,
) -> bytes:
    """A qcow2 header with what the test wants in it."""
    area = b""
    if extension is not None:
        kind, body = extension
        area += struct.pack(">II", kind, len(body)) + body + bytes(-len(body) % 8)
    area += bytes(8)
    offset = 104 + len(area) if backing else 0
    head = struct.pack(">4sIQIIQ", b"QFI\xfb", version, offset, len(backing), 16, virtual_size)
    head += struct.pack(">IIQQIIQ", 0, 1, 0x30000, 0x10000, 1, 0, 0)
    head += struct.pack(">QQQII", features, 0, 0, 4, 104)
    return (head + area + backing).ljust(256 << 10, b"\0")


def vmdk(descriptor: str, *, sectors: int = 2048, gd_offset: int = 21) -> bytes:
    """A sparse VMDK header around a descriptor."""
    head = struct.pack("<4sIIQQQQIQQQ", b"KDMV", 1, 3, sectors, 128, 1, 20, 512, 1, gd_offset, 128)
    return (head.ljust(512, b"\0") + descriptor.encode()).ljust(64 << 10, b"\0")


DESCRIPTOR = """# Disk DescriptorFile
version=1
CID=12345678
parentCID=ffffffff
createType="monolithicSparse"
RW 2048 SPARSE "disk.vmdk"
"""


def vhd_footer(kind: int, *, size: int = MIB, offset: int = (1 << 64) - 1) -> bytes:
    """The footer of a VHD."""
    head = struct.pack(
        ">8sIIQI4sI4sQQ", b"conectix", 2, 0x10000, offset, 0, b"test", 0, b"Wi2k", size, size
    )
    return (head + struct.pack(">HBBI", 2, 16, 63, kind)).ljust(512, b"\0")


def iso(size: int = MIB) -> bytes:
    """A disc without files."""
    data = bytearray(size)
    data[32768:32774] = b"\x01CD001"
    struct.pack_into("<I", data, 32768 + 80, size // 2048)
    struct.pack_into("<H", data, 32768 + 128, 2048)
    return bytes(data)


def partitioned(size: int = MIB) -> bytes:
    """A disk with a master boot record of one partition."""
    data = bytearray(size)
    data[446:462] = struct.pack("<B3sB3sII", 0x80, b"\0\2\0", 0x83, b"\1\1\1", 63, 1000)
    data[510:512] = b"\x55\xaa"
    return bytes(data)


def tar(name: str) -> bytes:
    """An archive whose first member has this name."""
    data = bytearray(10_240)
    data[: len(name)] = name.encode()
    data[257:263] = b"ustar\0"
    return bytes(data)
