"""Pieces of blobs: where they are, and whether they are all that a policy wants. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from cli.fsck.findings import Finding
from proxy.store.layout import layout_of
from proxy.store.record import Extent
from ring.policy import Policy


class Pieces(msgspec.Struct, gc=False):
    """The pieces of one blob: pairs of device and number; the highest stamp, and whether anything names it."""

    places: list[tuple[int, int]]
    stamp: int = 0
    named: bool = False


class Lack(NamedTuple):
    """What a blob lacks: how many copies, or which fragments. `lost`: it cannot be put together."""

    lost: bool
    text: str

    def finding(self, name: str, blob: bytes) -> Finding:
        """As it is told."""
        kind = "lost" if self.lost else "incomplete"
        return Finding(kind, f"blob {blob.hex()} of {name}: {self.text}")


def lack_of(
    extent: Extent, pieces: Pieces | None, policy: Policy, homes: Mapping[int, str]
) -> Lack | None:
    """What the blob of an extent lacks, or None when it is whole. `homes`: device names by piece position."""
    layout = layout_of(policy, extent.blob_size)
    places = [] if pieces is None else pieces.places
    if layout.coded:
        held = {number for _, number in places}
        missing = [number for number in layout.pieces if number not in held]
        if not missing:
            return None
        where = ", ".join(f"{number} (of {homes[number]})" for number in missing)
        good = len(layout.pieces) - len(missing)
        return Lack(
            good < layout.enough, f"{good} of {len(layout.pieces)} fragments, without {where}"
        )
    copies = len({device for device, number in places if number == layout.pieces[0]})
    if copies >= len(layout.pieces):
        return None
    return Lack(copies < layout.enough, f"{copies} of {len(layout.pieces)} copies")
