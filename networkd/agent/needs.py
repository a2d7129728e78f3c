"""What the agent needs of the system: programs by the Debian package that has them, and what else must hold.

Set-up installs the packages, `ringstack doctor` asks `missing`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from core.command import PATH

PROGRAMS = {
    "ip": "iproute2",
    "nft": "nftables",
    "dnsmasq": "dnsmasq-base",
    "nsenter": "util-linux",
    "conntrack": "conntrack",
}
PACKAGES = tuple(sorted(set(PROGRAMS.values())))
TUN = Path("/dev/net/tun")
BRIDGE_FILTER = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


def missing() -> list[str]:
    """What is missing, each in words for a person; empty when the agent can work."""
    found = [
        f"{program} is not installed (Debian package {package})"
        for program, package in PROGRAMS.items()
        if shutil.which(program, path=PATH) is None
    ]
    if os.geteuid() != 0:
        found.append("networks need root")
    elif not TUN.exists():
        found.append(f"{TUN} is not there: the kernel has no tap devices")
    elif not BRIDGE_FILTER.exists():
        found.append("the kernel has no br_netfilter (modprobe br_netfilter): no security groups")
    return found
