"""What node daemons say to each other, and to a machine that wants to join. Pure.

Frames as everywhere (`core.frame`); bodies are msgpack. A guest (a peer without a certificate) may
ask for AUTHORITY and JOIN only.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from core.errors import Corrupt
from core.roster import Member
from ring.goal import Throttle

OK = 0
REFUSED = 1  # the body is a Refusal
ELSEWHERE = 2  # the body is the keeper's address
BAD = 3

STANDING = 1  # what is your newest ring and list? -> Standing
EPOCH = 2  # body: number -> the ring file
ROSTER = 3  # -> the signed list
TOKEN = 4  # keeper only; body: seconds -> a token
REPAIR = 5  # begin a pass of repair now
AUTHORITY = 16  # guest: -> the authority's certificate
JOIN = 17  # guest, keeper only; body: Application -> Welcome

T = TypeVar("T")


class Standing(msgspec.Struct, array_like=True, frozen=True):
    """What a node has: numbers of its newest ring and list, and how fast it lets data move."""

    node: str
    ring: int
    roster: int
    throttle: Throttle = Throttle()


class Refusal(msgspec.Struct, array_like=True, frozen=True):
    """Why not."""

    code: str
    message: str


class Application(msgspec.Struct, array_like=True, frozen=True):
    """A machine that wants to join: who it is, its public key (PEM), and its devices' directories."""

    secret: bytes
    member: Member
    public_key: bytes
    devices: tuple[str, ...]
    objectd_count: int | None
    plain_links: bool


class Welcome(msgspec.Struct, array_like=True, frozen=True):
    """Everything a new node needs: certificate, list, ring, and the installation's own files."""

    certificate: bytes
    roster: bytes
    ring: bytes
    installation: str
    region: str
    domains: tuple[str, ...]
    database: str
    secrets: bytes
    keys: dict[str, bytes]  # files below DATA/keys: what seals tokens and stored credentials
    identity: str  # address of the identity service's API


def encode(value: object) -> bytes:
    """As msgpack."""
    return msgspec.msgpack.encode(value)


def decode(body: bytes | memoryview, kind: type[T]) -> T:
    """From msgpack. Raises Corrupt."""
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise Corrupt("BadMessage", f"a message cannot be read: {error}") from None
