"""What a machine needs to run guests and their networks: whether it is there, and how it gets there.

`python -m cli.guests` installs it on Debian, as root; `make setup` calls it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

COMPUTE = "compute"
PACKAGES = {  # program: package of Debian
    "qemu-system-x86_64": "qemu-system-x86",
    "libvirtd": "libvirt-daemon",
    "dnsmasq": "dnsmasq-base",
    "nft": "nftables",
    "ip": "iproute2",
}
FILES = {
    Path("/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so"): (
        "libvirt-daemon-driver-qemu"
    ),
    Path("/usr/lib/python3/dist-packages/libvirt.py"): "python3-libvirt",
    Path("/usr/share/novnc/core/rfb.js"): "novnc",
}
ACCOUNT = "libvirt-qemu"  # libvirt looks it up even where it is not used


def packages() -> list[str]:
    """Packages of Debian that are missing."""
    programs = {PACKAGES[name] for name in PACKAGES if shutil.which(name) is None}
    return sorted(programs | {FILES[path] for path in FILES if not path.exists()})


def has_account() -> bool:
    """The account that libvirt's QEMU driver wants to know is there."""
    return any(one.pw_name == ACCOUNT for one in pwd.getpwall())


def missing() -> str:
    """What is in the way, and what to do; empty when guests can run."""
    if os.geteuid() != 0:
        return "networks and guests need root (sudo)"
    if packages() or not has_account():
        return "`make setup` installs what they need"
    return ""


def install() -> None:
    """Install what is missing. Raises subprocess.CalledProcessError."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    wanted = packages()
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


def main() -> None:
    """Install, or say why not: the rest of the cloud does without."""
    if os.geteuid() != 0:
        sys.stdout.write(f"no guests on this machine: {missing()}\n")
        return
    if shutil.which("apt-get") is None:
        sys.stdout.write("no guests on this machine: their packages are known for Debian only\n")
        return
    if packages() or not has_account():
        sys.stdout.write("installing what guests need (QEMU, libvirt, dnsmasq)\n")
        sys.stdout.flush()
        install()


if __name__ == "__main__":
    main()
