"""Formats of disk images: real files are known for what they are, hostile headers for what they would do."""

from __future__ import annotations

from pathlib import Path

import pytest

from imaged.formats.detect import bootable, detect, refusal
from imaged.formats.finding import Finding, run
from tests import disk_images as made

MIB = made.MIB
HOSTILE = {
    "qcow2 with a backing file": ("qcow2", made.qcow2(backing=b"/etc/passwd"), "backing file"),
    "qcow2 with a json backing file": (
        "qcow2",
        made.qcow2(backing=b'json:{"driver":"file","filename":"/etc/passwd"}'),
        "backing file",
    ),
    "old qcow2 with a backing file": (
        "qcow2",
        made.qcow2(version=2, backing=b"/x"),
        "backing file",
    ),
    "qcow2 with external data": ("qcow2", made.qcow2(features=4), "external data file"),
    "qcow2 that names external data": (
        "qcow2",
        made.qcow2(extension=(0x44415441, b"/etc/passwd")),
        "external data file",
    ),
    "qcow2 of the future": ("qcow2", made.qcow2(features=1 << 40), "not known"),
    "qcow2 of absurd size": ("qcow2", made.qcow2(virtual_size=1 << 62), "holds"),
    "qcow 1": ("qcow2", made.qcow2(version=1), "version 1"),
    "flat VMDK": (
        "vmdk",
        made.vmdk(
            made.DESCRIPTOR.replace("monolithicSparse", "monolithicFlat").replace("SPARSE", "FLAT")
        ),
        "not allowed",
    ),
    "VMDK whose extent is a path": (
        "vmdk",
        made.vmdk(made.DESCRIPTOR.replace("disk.vmdk", "/etc/passwd")),
        "extents",
    ),
    "VMDK with a flat extent": (
        "vmdk",
        made.vmdk(made.DESCRIPTOR + 'RW 2048 FLAT "/etc/passwd" 0\n'),
        "extents",
    ),
    "VMDK with a parent": (
        "vmdk",
        made.vmdk(made.DESCRIPTOR.replace("ffffffff", "00000001")),
        "parent",
    ),
    "VMDK without a disk in its header": ("vmdk", made.vmdk(made.DESCRIPTOR, sectors=0), "no disk"),
    "VMDK whose footer is another's": (
        "vmdk",
        made.vmdk(made.DESCRIPTOR, gd_offset=(1 << 64) - 1),
        "footer",
    ),
    "bare descriptor": (
        "vmdk",
        made.DESCRIPTOR.replace("SPARSE", "FLAT").encode().ljust(4096),
        "other files",
    ),
    "differencing VHD": (
        "vhd",
        made.vhd_footer(4) + bytes(MIB) + made.vhd_footer(4),
        "differencing",
    ),
    "VHD with a parent locator": (
        "vhd",
        made.vhd_footer(3, offset=512)
        + b"cxsparse".ljust(576, b"\0")
        + b"W2ku".ljust(448, b"\0")
        + made.vhd_footer(3, offset=512),
        "parent",
    ),
    "VHDX without tables": ("vhdx", b"vhdxfile".ljust(512 << 10, b"\0"), "missing"),
    "VDI of another machine": ("vdi", bytes(64) + b"\x7f\x10\xda\xbe" + bytes(1024), "version"),
    "QED": ("raw", b"QED\0".ljust(4096, b"\0"), "QED"),
    "two formats at once": ("qcow2", made.qcow2()[:-512] + made.vhd_footer(2), "several formats"),
}


def found(data: bytes) -> Finding:
    return run(detect(len(data)), data)


@pytest.mark.parametrize("disk_format", sorted(made.MADE))
def test_real_files_are_known(disk_format: str, tmp_path: Path) -> None:
    """What qemu-img writes passes, with the size of the disk inside."""
    data = made.made(tmp_path, disk_format)
    finding = found(data)
    assert (finding.format, finding.problems) == (disk_format, ())
    assert finding.virtual_size is not None
    assert 0 <= finding.virtual_size - 8 * MIB < MIB  # a VHD rounds up to its cylinders
    assert refusal(disk_format, "bare", finding) is None
    assert refusal("raw", "bare", finding) is not None


@pytest.mark.parametrize("option", ["subformat=streamOptimized", "subformat=monolithicSparse"])
def test_whole_vmdk_files_are_allowed(option: str, tmp_path: Path) -> None:
    """Both kinds that are complete by themselves."""
    finding = found(made.made(tmp_path, "vmdk", None, option))
    assert finding == Finding("vmdk", 8 * MIB)


def test_a_fixed_vhd_is_known_by_its_end(tmp_path: Path) -> None:
    """Its beginning is the disk's own."""
    data = made.made(tmp_path, "vhd", None, "subformat=fixed")
    assert found(data).format == "vhd"


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_headers_are_refused(name: str) -> None:
    """With a reason that names what is wrong."""
    declared, data, reason = HOSTILE[name]
    refused = refusal(declared, "bare", found(data))
    assert refused is not None
    assert reason in refused


@pytest.mark.parametrize(
    ("data", "known"),
    [
        (b"", "raw"),
        (b"x", "raw"),
        (bytes(MIB), "raw"),
        (made.partitioned(), "gpt"),
        (made.iso(), "iso"),
        (made.iso()[:446] + made.partitioned()[446:512] + made.iso()[512:], "iso"),
        (b"LUKS\xba\xbe\0\2".ljust(MIB, b"\0"), "luks"),
        (made.tar("machine.ovf"), "ova"),
        (made.tar("etc/passwd"), "tar"),
        (b"WithoutFreeSpace".ljust(4096, b"\0"), "ploop"),
    ],
)
def test_what_needs_no_tool_is_known(data: bytes, known: str) -> None:
    """Discs, partition tables, archives, encrypted volumes."""
    assert found(data).format == known


@pytest.mark.parametrize(
    ("declared", "container", "data", "fits"),
    [
        ("raw", "bare", made.partitioned(), True),
        ("raw", "bare", made.iso(), False),
        ("iso", "bare", made.iso(), True),
        ("iso", "bare", bytes(MIB), False),
        ("qcow2", "bare", bytes(MIB), False),
        ("aki", "aki", b"\x1f\x8bkernel", True),
        ("ami", "ami", made.qcow2(backing=b"/etc/passwd"), False),
        ("ami", "ami", made.qcow2(), False),
        ("vmdk", "ova", made.tar("machine.ovf"), True),
        ("vmdk", "ova", made.tar("../../etc/passwd"), False),
        ("raw", "docker", made.tar("layer"), True),
        ("raw", "bare", made.qcow2(), False),
    ],
)
def test_what_is_declared_must_be_there(
    declared: str, container: str, data: bytes, fits: bool
) -> None:
    """No format passes for another."""
    assert (refusal(declared, container, found(data)) is None) is fits


def test_what_a_volume_can_begin_from() -> None:
    """Raw and discs as they are, the five formats after conversion, nothing else."""
    assert bootable("raw", "bare") == bootable("iso", "bare") == "raw"
    assert {bootable(kind, "bare") for kind in made.MADE} == set(made.MADE)
    assert bootable("vmdk", "ova") is None
    assert bootable("luks", "bare") is None
