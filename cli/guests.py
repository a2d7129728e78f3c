"""What a machine needs to run guests and their networks, and whether it is there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

COMPUTE = "compute"
PACKAGES = {  # program: package of Debian
    "qemu-system-x86_64": "qemu-system-x86",
    "libvirtd": "libvirt-daemon",
    "dnsmasq": "dnsmasq-base",
    "nft": "nftables",
    "ip": "iproute2",
}
MODULES = {  # file: package of Debian
    Path("/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so"): (
        "libvirt-daemon-driver-qemu"
    ),
    Path("/usr/lib/python3/dist-packages/libvirt.py"): "python3-libvirt",
}


def packages() -> list[str]:
    """Packages of Debian that are missing."""
    programs = {PACKAGES[name] for name in PACKAGES if shutil.which(name) is None}
    return sorted(programs | {MODULES[path] for path in MODULES if not path.exists()})


def missing() -> str:
    """What is in the way, and what to do; empty when guests can run."""
    if os.geteuid() != 0:
        return "networks and guests need root (sudo)"
    wanted = packages()
    return f"apt-get install --no-install-recommends {' '.join(wanted)}" if wanted else ""
