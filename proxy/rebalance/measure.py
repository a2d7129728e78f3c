"""How far a change of the ring has come, measured from what every device says it holds. Pure.

Nothing is reported or remembered by whoever does the work: pieces and ranges that are where they do not
belong have still to move, and primaries that differ have still to be made equal. So a figure is as true
after a crash as before it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from proxy.repair.plan import FULL_SHARE, Table
from proxy.store.layout import WHOLE, Layout, layout_with, layouts_of
from ring.epoch import Epoch
from ring.policy import Policy

SLACK_PIECES = 8  # what a writer that died has left behind, and nobody can complete


class Lagging(NamedTuple):
    """A device that should hold more of a partition than it does. `policy` None: index ranges."""

    policy: int | None
    partition: int
    device: int
    missing: int  # pieces, or ranges; at least
    missing_bytes: int


class State(NamedTuple):
    """What is not as the ring says.

    `silent`: devices that did not answer. `stray_*`: what lies on devices where it does not belong.
    `lagging`: partitions of which a primary holds less than another one.
    """

    silent: tuple[int, ...]
    stray_pieces: int
    stray_bytes: int
    stray_registers: int
    lagging: tuple[Lagging, ...]

    @property
    def missing_bytes(self) -> int:
        """Bytes that primaries lack."""
        return sum(one.missing_bytes for one in self.lagging)

    @property
    def settled(self) -> bool:
        """Everything that answers is where it belongs, and nobody lacks anything."""
        return not (self.stray_pieces or self.stray_registers or self.lagging)


class Movement(NamedTuple):
    """What of the last change has still to move: (partition, policy) pairs, pieces, bytes and registers."""

    parts: int
    pieces: int
    size_bytes: int
    registers: int

    @property
    def done(self) -> bool:
        """Nothing is left where it was, and whoever took over has it."""
        return not (self.parts or self.pieces or self.registers)


def movement(epoch: Epoch, tables: Mapping[int, Table]) -> Movement:
    """What lies on the devices that partitions have left, or where those are silent, what is missing.

    A piece is given up only when it is held everywhere where it belongs, so what is left is what has to move.
    While one of the places is silent nothing is given up; then it counts what the new place holds.
    A device that has taken over counts as full with FULL_SHARE of the pieces: clients write meanwhile.
    """
    parts = pieces = size = registers = 0
    for policy in epoch.policies:
        rows = epoch.sources.get(policy.width)
        for partition in () if rows is None else rows.partitions:
            found = [_left(epoch, policy, partition, one, tables) for one in layouts_of(policy)]
            left = [one for one in found if one is not None]
            parts += bool(left)
            pieces += sum(one[0] for one in left)
            size += sum(one[1] for one in left)
    rows = epoch.sources.get(epoch.index_replicas)
    for partition in () if rows is None else rows.partitions:
        source = epoch.source(partition, epoch.index_replicas)
        assert source is not None
        table = tables.get(source.device.id)
        row = None if table is None else table.ranges.get(partition)
        registers += 0 if row is None or epoch.joint else row.registers
    return Movement(parts, pieces, size, registers)


def _left(
    epoch: Epoch, policy: Policy, partition: int, layout: Layout, tables: Mapping[int, Table]
) -> tuple[int, int] | None:
    """Pieces and bytes of one layout of a moved partition that have not arrived; None when all have."""
    source = epoch.source(partition, policy.width)
    assert source is not None
    if source.replica >= len(layout.pieces):
        return None
    key = (policy.id, partition, layout.pieces[source.replica])
    homes = [device.id for device in epoch.primaries(partition, policy.width)]
    home = homes[source.replica]
    old = tables.get(source.device.id)
    row = None if old is None else old.pieces.get(key)
    if row is not None and all(device in tables for device in homes):
        return row.pieces, row.size_bytes
    if row is None and old is not None:
        return None  # it has given everything up
    fullest = max(
        (
            (other.pieces, other.size_bytes)
            for table in tables.values()
            for place, other in table.pieces.items()
            if _group(place) == _group(key)
        ),
        default=(0, 0),
    )
    new = tables[home].pieces.get(key) if home in tables else None
    held = (0, 0) if new is None else (new.pieces, new.size_bytes)
    if held[0] >= min(fullest[0] * FULL_SHARE, fullest[0] - SLACK_PIECES):
        return None
    return fullest[0] - held[0], max(0, fullest[1] - held[1])


def _group(key: tuple[int, int, int]) -> tuple[int, int, bool]:
    """Policy, partition, and whether the stripes are kept whole: what can be compared with each other."""
    policy, partition, piece = key
    return policy, partition, piece == WHOLE


def measure(epoch: Epoch, tables: Mapping[int, Table]) -> State:
    """Judge the tables of the devices that answered by the ring."""
    silent = tuple(sorted({device.id for device in epoch.devices} - tables.keys()))
    stray_pieces, stray_bytes, lagging = _pieces(epoch, tables)
    stray_registers, lagging_ranges = _ranges(epoch, tables)
    return State(silent, stray_pieces, stray_bytes, stray_registers, (*lagging, *lagging_ranges))


def _pieces(epoch: Epoch, tables: Mapping[int, Table]) -> tuple[int, int, list[Lagging]]:
    policies = {policy.id: policy for policy in epoch.policies}
    stray_pieces = stray_bytes = 0
    touched: set[tuple[int, int, int]] = set()
    for device, table in tables.items():
        for key, row in table.pieces.items():
            policy_id, partition, piece = key
            policy = policies[policy_id]
            layout = layout_with(policy, piece)
            touched.add((policy_id, partition, layouts_of(policy).index(layout)))
            homes = zip(epoch.primaries(partition, policy.width), layout.pieces, strict=False)
            if not any((one.id, number) == (device, piece) for one, number in homes):
                stray_pieces += row.pieces
                stray_bytes += row.size_bytes
    lagging: list[Lagging] = []
    for policy_id, partition, number in sorted(touched):
        policy = policies[policy_id]
        layout = layouts_of(policy)[number]
        homes = zip(epoch.primaries(partition, policy.width), layout.pieces, strict=False)
        pieces = {one.id: piece for one, piece in homes if one.id in tables}
        lagging += _lagging(policy_id, partition, pieces, tables)
    return stray_pieces, stray_bytes, lagging


def _lagging(
    policy: int, partition: int, homes: Mapping[int, int], tables: Mapping[int, Table]
) -> list[Lagging]:
    """Primaries whose digest is not that of the fullest one."""
    rows = {
        device: tables[device].pieces.get((policy, partition, fragment))
        for device, fragment in homes.items()
    }
    held = [row for row in rows.values() if row is not None]
    groups = {_group((policy, partition, piece)) for piece in homes.values()}
    if len({row.digest for row in held}) <= 1 and len(held) == len(rows):
        return []
    everywhere = [
        row
        for table in tables.values()
        for key, row in table.pieces.items()
        if _group(key) in groups
    ]
    fullest = max(everywhere, key=lambda row: (row.pieces, row.size_bytes))
    found = []
    for device, row in rows.items():
        if row is None or row.digest != fullest.digest:
            missing = fullest.pieces - (0 if row is None else row.pieces)
            size = fullest.size_bytes - (0 if row is None else row.size_bytes)
            found.append(Lagging(policy, partition, device, max(1, missing), max(0, size)))
    return found


def _ranges(epoch: Epoch, tables: Mapping[int, Table]) -> tuple[int, list[Lagging]]:
    stray = 0
    by_partition: dict[int, dict[int, tuple[int, bytes]]] = defaultdict(dict)
    for device, table in tables.items():
        for partition, row in table.ranges.items():
            members = {one.id for one_set in epoch.index_sets(partition) for one in one_set}
            if device not in members:
                stray += row.registers
            by_partition[partition][device] = (row.registers, row.digest)
    lagging = []
    for partition, held in sorted(by_partition.items()):
        new = [one.id for one in epoch.index_sets(partition)[0] if one.id in tables]
        contents = {device: held.get(device, (0, bytes(16))) for device in new}
        if len({digest for _, digest in contents.values()}) <= 1:
            continue
        fullest = max(contents.values())
        lagging += [
            Lagging(None, partition, device, max(1, fullest[0] - registers), 0)
            for device, (registers, digest) in contents.items()
            if digest != fullest[1]
        ]
    return stray, lagging
