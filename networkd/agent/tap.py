"""Persistent tap devices: made once, opened by whoever runs the guest, there until they are removed."""

from __future__ import annotations

import fcntl
import os
import struct

TUN = "/dev/net/tun"
TUNSETIFF, TUNSETPERSIST = 0x400454CA, 0x400454CB
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000


def opened(name: str, flags: int = IFF_TAP | IFF_NO_PI) -> int:
    """A descriptor of the tap of that name in this thread's namespace; the caller closes it. Raises OSError."""
    file = os.open(TUN, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    except OSError:
        os.close(file)
        raise
    return file


def make(name: str) -> None:
    """Make a persistent tap in this thread's namespace, down. Raises OSError."""
    file = opened(name, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
    try:
        fcntl.ioctl(file, TUNSETPERSIST, 1)
    finally:
        os.close(file)
