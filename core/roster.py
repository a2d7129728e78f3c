"""The list of a cluster's nodes: who belongs to it, and whose certificate counts no more. Pure.

The keeper (the node that made the cloud) writes it with a rising version and signs it; the others
hand it on. A name that was removed stays refused for ever and is never given again.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from core.errors import Conflict, Corrupt, NotFound, Refused

NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
ADDRESS = re.compile(r"(tls|tcp):(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253}):([0-9]{1,5})\Z")
MEMBERS_MAX = 10_000


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One node: its name in the ring, where its noded listens, and its place."""

    name: str
    address: str
    zone: int
    ring_region: int


class Roster(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All nodes of the cluster, in the order in which they came, and the names of those removed."""

    version: int
    keeper: str
    members: tuple[Member, ...]
    removed: tuple[str, ...] = ()

    def member(self, name: str) -> Member | None:
        """The node of that name."""
        return next((one for one in self.members if one.name == name), None)

    def admits(self, name: str) -> bool:
        """A certificate of that name counts."""
        return name not in self.removed and self.member(name) is not None

    def with_member(self, member: Member) -> Roster:
        """The next version, with one node more. Raises Refused, Conflict."""
        check_member(member)
        if member.name in self.removed:
            raise Conflict("NodeRemoved", f"node {member.name} was removed: choose another name")
        if self.member(member.name) is not None:
            raise Conflict("NodeExists", f"there is a node {member.name} already")
        if any(one.address == member.address for one in self.members):
            raise Conflict("AddressTaken", f"another node listens at {member.address}")
        if len(self.members) >= MEMBERS_MAX:
            raise Refused("TooManyNodes", f"a cluster has at most {MEMBERS_MAX} nodes")
        return msgspec.structs.replace(
            self, version=self.version + 1, members=(*self.members, member)
        )

    def without(self, name: str) -> Roster:
        """The next version, in which a node is removed for good. Raises NotFound, Refused."""
        if self.member(name) is None:
            raise NotFound("UnknownNode", f"there is no node {name}")
        if name == self.keeper:
            raise Refused("Keeper", f"{name} is the keeper: it holds the cluster's own key")
        return msgspec.structs.replace(
            self,
            version=self.version + 1,
            members=tuple(one for one in self.members if one.name != name),
            removed=(*self.removed, name),
        )


def check_member(member: Member) -> None:
    """Raises Refused when a name or address cannot be."""
    if NODE_NAME.match(member.name) is None:
        raise Refused(
            "InvalidNode", f"{member.name!r} is not 1 to 64 letters, digits, '.', '_' or '-'"
        )
    match = ADDRESS.match(member.address)
    if match is None or not 0 < int(match[3]) <= 65_535:
        raise Refused(
            "InvalidNode", f"{member.address!r} is neither tls:HOST:PORT nor tcp:HOST:PORT"
        )


class Signed(NamedTuple):
    """A list and the keeper's signature of it."""

    roster: Roster
    signature: bytes


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    roster: Roster
    signature: bytes


def signed_bytes(roster: Roster) -> bytes:
    """What is signed: the same list gives the same bytes."""
    return b"ringstack roster\x00" + msgspec.json.encode(roster)


def encode_signed(signed: Signed) -> bytes:
    """The file, indented JSON."""
    document = _Document(signed.roster, signed.signature)
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def decode_signed(data: bytes | memoryview) -> Signed:
    """Read the file; the signature is not checked here. Raises Corrupt."""
    try:
        document = msgspec.json.decode(data, type=_Document)
        for member in document.roster.members:
            check_member(member)
    except (msgspec.MsgspecError, Refused) as error:
        raise Corrupt("CorruptRoster", f"the list of nodes is damaged: {error}") from None
    return Signed(document.roster, document.signature)
