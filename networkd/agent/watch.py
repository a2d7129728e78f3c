"""Hearing from the kernel that an interface of the host's namespace has gone, so that it is made again at once.

Both ends of a pair go together, so this one namespace tells of all. What is missed (the buffer is full) is found by the next full
round.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Iterator

from core.env import Env
from networkd.agent.inside import within

HEAD = struct.Struct("=IHHII")  # length, type, flags, sequence, port (netlink(7))
ATTRIBUTE = struct.Struct("=HH")
BODY_BYTES = 16  # ifinfomsg (rtnetlink(7))
DELLINK, IFNAME = 17, 3
LINK_GROUP = 1
ALIGNMENT = 4


def _aligned(length: int) -> int:
    return (length + ALIGNMENT - 1) & ~(ALIGNMENT - 1)


def removed(data: bytes) -> Iterator[str]:
    """Names of the interfaces that a datagram of the kernel says have gone, from the namespace or from their bridge."""
    at = 0
    while at + HEAD.size <= len(data):
        length, kind, *_ = HEAD.unpack_from(data, at)
        end = at + length
        if length < HEAD.size or end > len(data):
            return
        if kind == DELLINK:
            yield from _names(data[at + HEAD.size + BODY_BYTES : end])
        at += _aligned(length)


def _names(attributes: bytes) -> Iterator[str]:
    at = 0
    while at + ATTRIBUTE.size <= len(attributes):
        length, kind = ATTRIBUTE.unpack_from(attributes, at)
        if length < ATTRIBUTE.size:
            return
        if kind == IFNAME:
            value = attributes[at + ATTRIBUTE.size : at + length]
            yield value.rstrip(b"\0").decode("ascii", "replace")
        at += _aligned(length)


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    made.setblocking(False)
    made.bind((0, LINK_GROUP))
    return made


class Watch:
    """Calls `gone` with the name of each interface that has gone from a namespace."""

    def __init__(self, env: Env, space: str, gone: Callable[[str], None]) -> None:
        self._env = env
        self._space = space
        self._gone = gone
        self._socket: socket.socket | None = None

    async def ensure(self) -> None:
        """Listen, once the namespace is there."""
        if self._socket is None:
            with contextlib.suppress(OSError):
                self._socket = await self._env.offload(lambda: within(self._space, _socket))
                asyncio.get_running_loop().add_reader(self._socket.fileno(), self._read)

    def _read(self) -> None:
        assert self._socket is not None
        with contextlib.suppress(OSError):  # nothing left, or some were lost
            while data := self._socket.recv(1 << 16):
                for name in removed(data):
                    self._gone(name)

    def close(self) -> None:
        """Listen no more."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
