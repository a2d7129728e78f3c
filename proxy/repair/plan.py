"""Which partitions need work, and in which order: decided from tables alone. Pure.

Primaries whose rows agree hold pieces of the same blobs, so only partitions whose rows differ, or of which
some device holds pieces that do not belong there, are walked. What has the fewest good copies comes first:
a copy is counted once for each replica, or for each fragment number, that is held in full.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from objectd import wire
from proxy.store.layout import WHOLE, layout_for
from ring.epoch import Epoch
from ring.policy import Policy

Place = tuple[int, int]  # device and number of the piece
FULL_SHARE = 0.99  # a row with this share of the largest one's pieces counts as a copy


class Table(NamedTuple):
    """One device's tallies: of pieces, and of index ranges by partition."""

    pieces: dict[tuple[int, int, int], wire.PiecesRow]
    ranges: dict[int, wire.RangesOfRow]


class Fill(NamedTuple):
    """A device may lack pieces of a partition that `sources` hold; `spare`: copies beyond those needed."""

    policy: int
    partition: int
    device: int
    piece: int
    sources: tuple[int, ...]  # devices whose pieces have to be looked through
    lacking: tuple[int, ...]  # numbers whose homes agree with this device, and so lack the same
    spare: int


class Give(NamedTuple):
    """A device holds pieces of a partition that belong elsewhere."""

    policy: int
    partition: int
    device: int
    piece: int


def moving_pieces(epoch: Epoch) -> set[tuple[int, int]]:
    """The (policy, partition) pairs of which the last change of the ring moves a replica or fragment."""
    return {
        (policy.id, partition)
        for policy in epoch.policies
        if policy.width in epoch.sources
        for partition in epoch.sources[policy.width].partitions
    }


def piece_work(
    epoch: Epoch, tables: Mapping[int, Table], mine: Iterable[int]
) -> tuple[list[Fill], list[Give]]:
    """What is to be done for the devices `mine`, most urgent first."""
    policies = {policy.id: policy for policy in epoch.policies}
    local = set(mine)
    held: dict[tuple[int, int, bool], dict[Place, wire.PiecesRow]] = defaultdict(dict)
    for device, table in tables.items():
        for (policy_id, partition, piece), row in table.pieces.items():
            held[policy_id, partition, piece == WHOLE][device, piece] = row
    fills: list[Fill] = []
    gives: list[Give] = []
    for (policy_id, partition, whole), rows in held.items():
        policy = policies.get(policy_id)
        if policy is None:
            continue
        one = _Partition(epoch, policy, partition, whole=whole, rows=rows, tables=tables)
        fills += one.fills(local)
        gives += [
            Give(policy_id, partition, device, piece)
            for device, piece in sorted(one.misplaced)
            if device in local
        ]
    fills.sort(key=lambda fill: (fill.spare, fill.policy, fill.partition, fill.device))
    return fills, gives


class _Partition:
    """One partition of one policy, as the tables show it: its coded stripes, or those kept whole."""

    def __init__(
        self,
        epoch: Epoch,
        policy: Policy,
        partition: int,
        *,
        whole: bool,
        rows: Mapping[Place, wire.PiecesRow],
        tables: Mapping[int, Table],
    ) -> None:
        self._policy = policy
        self._partition = partition
        self._rows = rows
        self._layout = layout_for(policy, whole=whole)
        devices = epoch.primaries(partition, policy.width)
        homes = [
            (device.id, piece) for device, piece in zip(devices, self._layout.pieces, strict=False)
        ]
        self._homes = [place for place in homes if place[0] in tables]
        self.misplaced = [place for place in rows if place not in homes]

    def fills(self, local: set[int]) -> list[Fill]:
        """What the local devices may lack here."""
        strays = {device for device, _ in self.misplaced}
        found = []
        for home in self._homes:
            device, piece = home
            if device not in local:
                continue
            own = self._content(home)
            differing = {place[0] for place in self._homes if self._content(place) != own}
            sources = strays | differing
            if not sources:
                continue
            lacking = tuple(
                place[1]
                for place in self._homes
                if self._layout.coded and self._content(place) == own
            )
            found.append(
                Fill(
                    self._policy.id,
                    self._partition,
                    device,
                    piece,
                    tuple(sorted(sources)),
                    lacking,
                    self._spare(),
                )
            )
        return found

    def _content(self, place: Place) -> tuple[int, bytes]:
        row = self._rows.get(place)
        return (0, bytes(16)) if row is None else (row.pieces, row.digest)

    def _spare(self) -> int:
        most = max(row.pieces for row in self._rows.values())
        full = {place for place, row in self._rows.items() if row.pieces >= most * FULL_SHARE}
        copies = {piece if self._layout.coded else device for device, piece in full}
        return len(copies) - self._layout.enough


def range_work(epoch: Epoch, tables: Mapping[int, Table], device: int) -> dict[int, list[int]]:
    """Partitions of index ranges in which a device differs from peers, and from which of them."""
    nothing = wire.RangesOfRow(0, 0, 0, bytes(16))
    mine = tables[device].ranges
    found: dict[int, list[int]] = {}
    seen = {partition for table in tables.values() for partition in table.ranges}
    for partition in sorted(seen):
        replicas = {one.id for members in epoch.index_sets(partition) for one in members}
        if device not in replicas:
            continue
        own = mine.get(partition, nothing)
        peers = [
            peer
            for peer in sorted(replicas)
            if peer != device
            and peer in tables
            and tables[peer].ranges.get(partition, nothing).digest != own.digest
        ]
        if peers:
            found[partition] = peers
    return found
