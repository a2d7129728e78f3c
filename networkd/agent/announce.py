"""Gratuitous ARP (RFC 5227 section 3): neighbours learn at once where an address has gone."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
from collections.abc import Iterable

ETHERTYPE_ARP = 0x0806
SIOCGIFHWADDR = 0x8927
BROADCAST = b"\xff" * 6
REQUEST, ANSWER = 1, 2


def frame(mac: bytes, address: str, operation: int) -> bytes:
    """An announcement of an IPv4 address."""
    own = socket.inet_aton(address)
    head = BROADCAST + mac + struct.pack("!H", ETHERTYPE_ARP)
    return head + struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + mac + own + BROADCAST + own


def send_all(announced: Iterable[tuple[str, str]]) -> None:
    """Announce addresses of interfaces."""
    for link, address in announced:
        send(link, address)


def send(link: str, address: str) -> None:
    """Announce an address of an interface of this thread's namespace, as request and as answer; silent when that fails."""
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE_ARP)) as sender,
    ):
        sender.bind((link, 0))
        found = fcntl.ioctl(sender.fileno(), SIOCGIFHWADDR, struct.pack("16s16x", link.encode()))
        for operation in (REQUEST, ANSWER):
            sender.send(frame(found[18:24], address, operation))
