"""Builds the tiny guest: Debian's cloud kernel, busybox, dropbear and mke2fs on a bootable disk of 64 MiB, in a few seconds.

What it keeps over a reboot (`/root`, `/tmp`, the keys of its SSH server) is on a second partition; the rest is in memory.

It needs no mount and no loop device. What it is made of is downloaded with apt and kept, with the image, in a cache; the
same packages give the same image. It boots to a log-in in about five seconds under software emulation.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

from cli.guest.archive import Entry, archive, directory, link, program, text
from core.errors import Refused

HERE = Path(__file__).parent
CACHE = Path("~/.cache/ringstack/guest")
DISK_MIB = 64
KEPT_MIB = 15  # of the second partition
MIB = 1 << 20
SECTOR = 512
FIRST_SECTOR = 2048
FAT32_LBA, LINUX = 0x0C, 0x83
KEPT_UUID = "52494e47-0000-4000-8000-000000000002"
LABEL = "GUEST"
MODULES = (
    *("virtio_pci", "virtio_blk", "virtio_net", "virtio_scsi", "sd_mod", "virtio_rng"),
    *("virtio_balloon", "ext4", "crc32c_generic", "isofs", "evdev", "button", "ipv6"),
    *("vfat", "nls_cp437", "nls_ascii", "nls_utf8"),
)
COMMAND_LINE = "console=tty0 console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check"
PACKAGES = {  # what must be there: package of Debian
    "/bin/busybox": "busybox-static",
    "/usr/sbin/dropbear": "dropbear-bin",
    "/sbin/mke2fs": "e2fsprogs",
    "/sbin/modprobe": "kmod",
    "/usr/bin/mcopy": "mtools",
    "/sbin/mkfs.vfat": "dosfstools",
    "/usr/bin/syslinux": "syslinux",
    "/usr/lib/SYSLINUX/mbr.bin": "syslinux-common",
}
PROGRAMS = (
    *("/usr/sbin/dropbear", "/usr/bin/dropbearkey", "/sbin/mke2fs", "/sbin/mkfs.vfat"),
    *("/bin/lsblk", "/sbin/blkid"),
)
DIRECTORIES = (
    *("bin", "dev", "etc", "etc/dropbear", "lib", "lib/modules", "lib/x86_64-linux-gnu", "lib64"),
    *("mnt", "proc", "root", "run", "sbin", "sys", "tmp", "usr", "usr/bin", "usr/lib", "usr/sbin"),
    *("usr/lib/x86_64-linux-gnu", "var", "var/log"),
)


def missing() -> list[str]:
    """Packages of Debian that building needs and that are not there."""
    return sorted({package for path, package in PACKAGES.items() if not Path(path).exists()})


def install_tools() -> None:
    """Install what is missing, on Debian and as root. Raises Refused."""
    if not (wanted := missing()):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        run("apt-get", "update", "-qq")
        run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *wanted)


def image() -> Path:
    """The image, built when it is not in the cache. Raises Refused with what to install."""
    if wanted := missing():
        raise Refused("NoTools", f"the guest is made with: apt-get install {' '.join(wanted)}")
    cache = CACHE.expanduser()
    cache.mkdir(parents=True, exist_ok=True)
    kernel = kernel_package(cache)
    recipe = b"".join(path.read_bytes() for path in sorted(HERE.iterdir()) if path.is_file())
    digest = hashlib.sha256(kernel.name.encode() + recipe).hexdigest()[:12]
    found = cache / f"guest-{digest}.raw"
    if not found.exists():
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            built = build(kernel, Path(scratch))
            built.rename(found)
    return found


def kernel_package(cache: Path) -> Path:
    """The newest cloud kernel of Debian, downloaded once. Raises Refused."""
    depends = run("apt-cache", "depends", "linux-image-cloud-amd64")
    names = [line.split()[1] for line in depends.splitlines() if "Depends:" in line]
    if not names:
        raise Refused("NoKernel", "Debian's package lists are empty: apt-get update")
    kept = sorted(cache.glob(f"{names[0]}_*.deb"))
    if not kept:
        run("apt-get", "download", names[0], cwd=cache)
        kept = sorted(cache.glob(f"{names[0]}_*.deb"))
    return kept[-1]


def build(kernel: Path, scratch: Path) -> Path:
    """Make the disk in a scratch directory."""
    root = scratch / "kernel"
    run("dpkg-deb", "-x", kernel, root)
    version = next((root / "lib" / "modules").iterdir()).name
    run("depmod", "-b", root, version)
    initramfs = scratch / "initrd.gz"
    entries = [*system(), *modules(root, version)]
    initramfs.write_bytes(gzip.compress(archive(entries), 9, mtime=0))
    return disk(root / "boot" / f"vmlinuz-{version}", initramfs, scratch)


def system() -> list[Entry]:
    """Everything but the kernel's modules."""
    busybox = Path("/bin/busybox").read_bytes()
    names = run("/bin/busybox", "--list").split()
    return [
        *(directory(name) for name in DIRECTORIES),
        program("bin/busybox", busybox),
        *(link(f"bin/{name}", "busybox") for name in names if name != "busybox"),
        link("var/run", "../run"),
        program("init", (HERE / "init.sh").read_bytes()),
        program("etc/dhcp.sh", (HERE / "dhcp.sh").read_bytes()),
        text("etc/passwd", "root::0:0:root:/root:/bin/sh\n"),
        text("etc/group", "root:x:0:\n"),
        text("etc/shells", "/bin/sh\n"),
        text("etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"),
        text("etc/hosts", "127.0.0.1 localhost\n"),
        text("etc/mke2fs.conf", Path("/etc/mke2fs.conf").read_text()),
        text("etc/modules", "\n".join(MODULES) + "\n"),
        link("usr/sbin/mkfs.ext4", "mke2fs"),
        program("bin/sudo", b'#!/bin/sh\nexec "$@"\n'),
        program("bin/curl", (HERE / "curl.sh").read_bytes()),
        program(
            "bin/mkfs",
            b'#!/bin/sh\n[ "$1" = -t ] && { kind=$2; shift 2; }\nexec mkfs.${kind:-ext4} "$@"\n',
        ),
        *with_libraries(*PROGRAMS),
        program(
            "lib/x86_64-linux-gnu/libnss_files.so.2",
            Path("/lib/x86_64-linux-gnu/libnss_files.so.2").read_bytes(),
        ),
    ]


def with_libraries(*programs: str) -> list[Entry]:
    """Programs, in usr/sbin, and the libraries that they are linked with."""
    found = [program(f"usr/sbin/{Path(one).name}", Path(one).read_bytes()) for one in programs]
    libraries = set()
    for one in programs:
        words = run("ldd", one).split()
        libraries |= {word for word in words if word.startswith("/")}
    return found + [
        program(path.lstrip("/"), Path(path).read_bytes()) for path in sorted(libraries)
    ]


def modules(root: Path, version: str) -> list[Entry]:
    """The modules that the guest loads, with those they need, unpacked."""
    paths: set[Path] = set()
    for name in MODULES:
        shown = run("modprobe", "-d", root, "-S", version, "--show-depends", name, check=False)
        paths |= {Path(line.split()[1]) for line in shown.splitlines() if line.startswith("insmod")}
    tree = root.parent / "modules"
    place = tree / "lib" / "modules" / version
    (place / "kernel").mkdir(parents=True)
    for path in sorted(paths):
        data = path.read_bytes()
        name = path.name.removesuffix(".xz")
        (place / "kernel" / name).write_bytes(
            lzma.decompress(data) if path.suffix == ".xz" else data
        )
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        shutil.copyfile(root / "lib" / "modules" / version / name, place / name)
    run("depmod", "-b", tree, version)
    base = f"lib/modules/{version}"
    files = sorted(path for path in place.rglob("*") if path.is_file())
    return [
        directory(base),
        directory(f"{base}/kernel"),
        *(program(str(path.relative_to(tree)), path.read_bytes()) for path in files),
    ]


def disk(kernel: Path, initramfs: Path, scratch: Path) -> Path:
    """A disk with one partition that syslinux boots, and an empty one."""
    partition, kept = scratch / "partition", scratch / "kept"
    with partition.open("wb") as file:
        file.truncate((DISK_MIB - KEPT_MIB) * MIB - FIRST_SECTOR * SECTOR)
    with kept.open("wb") as file:
        file.truncate(KEPT_MIB * MIB)
    own = ("-U", KEPT_UUID, "-E", f"hash_seed={KEPT_UUID}", "-L", "kept")
    run("mke2fs", "-q", "-t", "ext4", "-O", "^metadata_csum", *own, kept)
    run("mkfs.vfat", "-n", LABEL, "-i", "52494e47", "-h", str(FIRST_SECTOR), partition)
    run("syslinux", "--install", partition)
    menu = scratch / "syslinux.cfg"
    menu.write_text(
        "DEFAULT guest\nPROMPT 0\nTIMEOUT 0\nLABEL guest\n LINUX /vmlinuz\n INITRD /initrd.gz\n"
        f" APPEND {COMMAND_LINE}\n"
    )
    for source, name in ((kernel, "vmlinuz"), (initramfs, "initrd.gz"), (menu, "syslinux.cfg")):
        run("mcopy", "-i", partition, source, f"::/{name}")
    found = scratch / "disk.raw"
    with found.open("wb") as file:
        file.write(boot_sector())
        file.seek(FIRST_SECTOR * SECTOR)
        for path in (partition, kept):
            with path.open("rb") as contents:
                shutil.copyfileobj(contents, file, MIB)
    return found


def boot_sector() -> bytes:
    """A master boot record: syslinux's code, an active partition to boot from, and one to keep things on."""
    code = Path("/usr/lib/SYSLINUX/mbr.bin").read_bytes()[:440].ljust(440, b"\0")
    kept_at = (DISK_MIB - KEPT_MIB) * MIB // SECTOR
    entries = (
        (0x80, FAT32_LBA, FIRST_SECTOR, kept_at - FIRST_SECTOR),
        (0, LINUX, kept_at, KEPT_MIB * MIB // SECTOR),
    )
    edge = b"\xfe\xff\xff"
    table = b"".join(
        struct.pack("<B3sB3sII", active, edge, kind, edge, first, count)
        for active, kind, first, count in entries
    )
    return code + b"RING\0\0" + table.ljust(64, b"\0") + b"\x55\xaa"


def run(*command: str | Path, cwd: Path | None = None, check: bool = True) -> str:
    """Output of a program. Raises Refused with what it said."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "PATH": path, "MTOOLS_SKIP_CHECK": "1"},
    )
    if check and done.returncode:
        raise Refused("Guest", f"{command[0]} failed: {done.stderr.strip()[-500:]}")
    return done.stdout
