"""What a machine needs to run guests and their networks: whether it is there, and how it gets there.

`python -m cli.guests` installs it on Debian, as root; `make setup` calls it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from networkd.agent import needs

COMPUTE = "compute"
PACKAGES = {  # program: package of Debian
    "qemu-system-x86_64": "qemu-system-x86",
    "libvirtd": "libvirt-daemon",
    "ssh": "openssh-client",  # of the demonstration
    **needs.PROGRAMS,
}
FILES = {
    Path("/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so"): (
        "libvirt-daemon-driver-qemu"
    ),
    Path("/usr/lib/python3/dist-packages/libvirt.py"): "python3-libvirt",
}
NOVNC = Path("/usr/local/share/ringstack/novnc")  # where computed/agent/console.py looks
ACCOUNT = "libvirt-qemu"  # libvirt looks it up even where it is not used


def packages() -> list[str]:
    """Packages of Debian that are missing."""
    programs = {PACKAGES[name] for name in PACKAGES if shutil.which(name) is None}
    return sorted(programs | {FILES[path] for path in FILES if not path.exists()})


def has_account() -> bool:
    """The account that libvirt's QEMU driver wants to know is there."""
    return any(one.pw_name == ACCOUNT for one in pwd.getpwall())


def has_novnc() -> bool:
    """The screen's page has its JavaScript."""
    return any((path / "core" / "rfb.js").exists() for path in (NOVNC, Path("/usr/share/novnc")))


def complete() -> bool:
    """Nothing is missing."""
    return not packages() and has_account() and has_novnc()


def missing() -> str:
    """What is in the way, and what to do; empty when guests can run."""
    if os.geteuid() != 0:
        return "networks and guests need root (sudo)"
    if not complete():
        return "`make setup` installs what they need"
    return ""


def install() -> None:
    """Install what is missing, and what the first image is made with. Raises subprocess.CalledProcessError."""
    from cli.guest.image import missing as missing_for_image

    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    wanted = sorted({*packages(), *missing_for_image()})
    if wanted:
        for command in (
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *wanted],
        ):
            subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    if not has_account():
        account = ["--system", "--no-create-home", "--home-dir", "/var/lib/libvirt"]
        shell = ["--shell", "/usr/sbin/nologin"]
        subprocess.run(["useradd", *account, *shell, ACCOUNT], check=True)
    if not has_novnc():
        install_novnc()


def install_novnc() -> None:
    """The JavaScript of Debian's package alone: what it depends on (Node.js, a proxy) is not needed here."""
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch).chmod(0o755)  # apt downloads as a user of its own
        quiet = subprocess.DEVNULL
        download = ["apt-get", "download", "-qq", "novnc"]
        subprocess.run(download, check=True, cwd=scratch, stdout=quiet, stderr=quiet)
        package = next(Path(scratch).glob("novnc_*.deb"))
        subprocess.run(["dpkg-deb", "-x", str(package), f"{scratch}/x"], check=True)
        NOVNC.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(NOVNC, ignore_errors=True)
        shutil.copytree(
            f"{scratch}/x/usr/share/novnc", NOVNC, symlinks=False, ignore_dangling_symlinks=True
        )


def main() -> None:
    """Install, or say why not: the rest of the cloud does without."""
    if os.geteuid() != 0:
        sys.stdout.write(f"no guests on this machine: {missing()}\n")
        return
    if shutil.which("apt-get") is None:
        sys.stdout.write("no guests on this machine: their packages are known for Debian only\n")
        return
    if not complete():
        sys.stdout.write("installing what guests need (QEMU, libvirt, dnsmasq)\n")
        sys.stdout.flush()
        try:
            install()
        except subprocess.CalledProcessError as error:
            sys.stdout.write(f"no guests on this machine: `{' '.join(error.cmd)}` failed\n")


if __name__ == "__main__":
    main()
