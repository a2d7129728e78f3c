"""What the agent does to the kernel, one step after another. Each may be repeated, each says whom its failure concerns. Pure."""

from __future__ import annotations

import msgspec

from networkd.plan.plan import Link, Path, Table


class AddSpace(msgspec.Struct, frozen=True):
    """Make a namespace."""

    space: str
    owner: str = ""


class RemoveLink(msgspec.Struct, frozen=True):
    """Remove an interface."""

    space: str
    name: str
    owner: str = ""


class AddLink(msgspec.Struct, frozen=True):
    """Make an interface, down; of a pair both ends."""

    space: str
    link: Link
    owner: str = ""


class SetLink(msgspec.Struct, frozen=True):
    """Change what is not None. An empty master is none."""

    space: str
    name: str
    owner: str = ""
    mtu: int | None = None
    mac: str | None = None
    master: str | None = None
    up: bool | None = None


class AddAddress(msgspec.Struct, frozen=True):
    """Give an interface an address, and tell its network when it is one of version 4."""

    space: str
    link: str
    address: str
    owner: str = ""


class RemoveAddress(msgspec.Struct, frozen=True):
    """Take an address away."""

    space: str
    link: str
    address: str
    owner: str = ""


class AddPath(msgspec.Struct, frozen=True):
    """Add a route, or change where it leads."""

    space: str
    path: Path
    owner: str = ""


class RemovePath(msgspec.Struct, frozen=True):
    """Remove a route."""

    space: str
    path: Path
    owner: str = ""


class AddFlood(msgspec.Struct, frozen=True):
    """Let a VXLAN device flood to a host."""

    space: str
    link: str
    peer: str
    owner: str = ""


class RemoveFlood(msgspec.Struct, frozen=True):
    """Let it no longer."""

    space: str
    link: str
    peer: str
    owner: str = ""


class Setting(msgspec.Struct, frozen=True):
    """Write a setting below /proc/sys/net."""

    space: str
    key: str
    value: str
    owner: str = ""


class Rules(msgspec.Struct, frozen=True):
    """Replace tables in one transaction; `stale` ones go."""

    space: str
    tables: tuple[Table, ...]
    stale: tuple[tuple[str, str], ...] = ()
    owner: str = ""


Step = (
    AddSpace
    | RemoveLink
    | AddLink
    | SetLink
    | AddAddress
    | RemoveAddress
    | AddPath
    | RemovePath
    | AddFlood
    | RemoveFlood
    | Setting
    | Rules
)


def transaction(step: Rules) -> str:
    """What `nft -f -` is given. A table is added before it is deleted, so that it need not be there."""
    lines: list[str] = []
    for family, name in step.stale:
        lines.append(f"delete table {family} {name}")
    for table in step.tables:
        lines += [f"table {table.family} {table.name}", f"delete table {table.family} {table.name}"]
        lines.append(
            f"table {table.family} {table.name} {{\n{table.text}\nchain {SEAL}{table.digest} {{ }}\n}}"
        )
    return "\n".join(lines) + "\n"


SEAL = "seal_"  # + digest of the table's text: the name of its empty chain
