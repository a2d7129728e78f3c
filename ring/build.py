"""The builder: (wanted state, previous epoch) to next epoch and the list of moves. Pure.

Promises, for each table:
- a partition's replicas are on distinct devices, as far apart as possible (region, zone, node);
- when nothing is pending, every device holds its share rounded down or up;
- at most one replica of a partition moves per epoch; `pending` counts the partitions that want more;
- as few replicas move as the change needs, and a removed or weightless device is emptied, no other;
- equal input gives byte-identical output.

A change that moves replicas takes two epochs, a joint and a stable one (`ring.epoch`).

numpy is imported here and in the modules marked so, and nowhere else in the product: building is
array work over millions of replicas, but idle servers and the data path must not pay its memory.
"""

from __future__ import annotations

import dataclasses
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from core.errors import Refused
from ring.chance import Chance
from ring.deal import deal
from ring.device import Device, check_devices
from ring.draft import Draft
from ring.epoch import Epoch, Sources
from ring.exchange import Exchange
from ring.grid import Grid, Table, lay_out
from ring.moves import Moves, moves_between
from ring.settle import settle
from ring.step import take_step
from ring.target import device_shares, partition_goal
from ring.tree import grow

Numbers = np.ndarray[tuple[int, ...], np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Change:
    """The next stable epoch, what moves to reach it, and the partitions that want a further one.

    `joint` is the epoch before it, when anything moves.
    """

    epoch: Epoch
    moves: Moves
    pending: int
    joint: Epoch | None = None


def build(draft: Draft, previous: Epoch | None) -> Change:
    """The next epoch after `previous` on the way to `draft`.

    Raises Refused: "TooFewDevices" when a table is wider than the devices of positive weight,
    "FixedSetting" when the draft changes what an existing ring cannot change.
    """
    _check(draft, previous)
    number = 1 if previous is None else previous.number + 1
    devices = _all_devices(draft, previous)
    tables: dict[int, Table] = {}
    pending = 0
    for width in draft.widths:
        before = None if previous is None else _read_table(previous, width, devices)
        chance = Chance(draft.settings.seed, number, width)
        tables[width], waiting = _next_table(draft, devices, width, before=before, chance=chance)
        pending += waiting
    if previous is None:
        return Change(_seal(draft, number, devices, tables), Moves(), pending)
    known = {width: _read_table(previous, width, devices) for width in draft.widths}
    joint = _seal(draft, number, devices, tables, _Before(previous, known))
    moves = moves_between(previous, joint)
    if joint.joint:
        return Change(joint.settled(), moves, pending, joint)
    return Change(joint, moves, pending)


def build_all(draft: Draft, previous: Epoch | None) -> list[Change]:
    """The epochs from `previous` to the draft's final state; none when the ring is there already.

    Builds until nothing is pending, or until an epoch moves nothing.
    """
    changes = [build(draft, previous)]
    if previous is not None and not changes[0].moves and _is_described_by(draft, previous):
        return []
    while changes[-1].pending and (len(changes) == 1 or len(changes[-1].moves)):
        changes.append(build(draft, changes[-1].epoch))
    if len(changes[-1].moves) and not _is_described_by(draft, changes[-1].epoch):
        changes.append(build(draft, changes[-1].epoch))  # devices that are empty now are left out
    return changes


def next_epoch(draft: Draft, previous: Epoch) -> Epoch | None:
    """The epoch to publish next on the way from a stable epoch to the draft; None when it is reached."""
    changes = build_all(draft, previous)
    return None if not changes else changes[0].joint or changes[0].epoch


def _is_described_by(draft: Draft, epoch: Epoch) -> bool:
    return (draft.settings, draft.policies, draft.devices) == (
        epoch.settings,
        epoch.policies,
        epoch.devices,
    )


def _next_table(
    draft: Draft, devices: tuple[Device, ...], width: int, *, before: Table | None, chance: Chance
) -> tuple[Table, int]:
    """One table of shape (width, partitions) and how many of its partitions are pending."""
    tree = grow(devices)
    shares = device_shares(
        tree, [device.weight for device in devices], width, overload=draft.settings.overload
    )
    part_count = draft.settings.part_count
    counts = (
        [0] * len(devices)
        if before is None
        else np.bincount(before.ravel(), minlength=len(devices)).tolist()
    )
    grid = lay_out(tree, partition_goal(tree, shares, part_count, counts))
    if before is None:
        return deal(grid, part_count, width, chance), 0
    return _rebalance(grid, before, chance)


def _rebalance(grid: Grid, before: Table, chance: Chance) -> tuple[Table, int]:
    exchange = Exchange(grid, before.copy(), chance)
    exchange.run(again=False)
    exchange.run(again=True)
    goal = settle(grid, exchange.table, exchange.moved, chance)
    return take_step(grid, before, goal)


def _all_devices(draft: Draft, previous: Epoch | None) -> tuple[Device, ...]:
    """The wanted devices, and those of the previous epoch that must be emptied first."""
    wanted = {device.id: device for device in draft.devices}
    for device in previous.devices if previous else ():
        wanted.setdefault(device.id, dataclasses.replace(device, weight=0.0))
    devices = tuple(wanted[device_id] for device_id in sorted(wanted))
    check_devices(devices)
    return devices


def _read_table(previous: Epoch, width: int, devices: Sequence[Device]) -> Table | None:
    """A table of the previous epoch, in positions of the new device list."""
    if width not in previous.tables:
        return None
    positions = {device.id: position for position, device in enumerate(devices)}
    renumber = np.array([positions[device.id] for device in previous.devices], dtype=np.int32)
    old = np.frombuffer(previous.tables[width], dtype=np.uint16)
    table: Table = np.ascontiguousarray(renumber[old].reshape(-1, width).T)
    return table


@dataclass(frozen=True, slots=True)
class _Before:
    """The previous epoch, and its tables in positions of the new device list."""

    epoch: Epoch
    tables: dict[int, Table | None]


def _seal(
    draft: Draft,
    number: int,
    devices: tuple[Device, ...],
    tables: dict[int, Table],
    before: _Before | None = None,
) -> Epoch:
    """Drop the devices that are neither wanted nor in use, and pack the tables."""
    changed = {} if before is None else _changed(tables, before)
    used = np.zeros(len(devices), dtype=np.bool_)
    for table in tables.values():
        used[np.unique(table)] = True
    for rows in changed.values():
        used[np.unique(rows.positions)] = True
    wanted = {device.id for device in draft.devices}
    kept = np.array([device.id in wanted for device in devices]) | used
    renumber = (np.cumsum(kept) - 1).astype(np.uint16)
    index = changed.get(draft.settings.index_replicas)
    return Epoch(
        number,
        draft.settings,
        devices=tuple(device for device, keep in zip(devices, kept, strict=True) if keep),
        policies=draft.policies,
        tables={width: _pack(renumber[table].T, "H") for width, table in tables.items()},
        since=None if before is None else _since(before.epoch, number, index),
        sources={
            width: Sources(
                _pack(rows.partitions, "I"),
                _pack(rows.replicas, "H"),
                _pack(renumber[rows.positions], "H"),
            )
            for width, rows in changed.items()
        },
        joint=bool(changed),
    )


class _Rows(NamedTuple):
    """The moved replicas of one table, as numpy columns."""

    partitions: Numbers
    replicas: Numbers
    positions: Numbers


def _changed(tables: dict[int, Table], before: _Before) -> dict[int, _Rows]:
    """For each table in which something moves: which replicas, and where they were."""
    changed: dict[int, _Rows] = {}
    for width, table in tables.items():
        old = before.tables[width]
        if old is None:
            continue
        partitions, replicas = np.nonzero((table != old).T)
        if len(partitions):
            changed[width] = _Rows(partitions, replicas, old[replicas, partitions])
    return changed


def _since(previous: Epoch, number: int, index: _Rows | None) -> memoryview:
    since = np.frombuffer(previous.since, dtype=np.uint32).copy()
    if index is not None:
        since[index.partitions] = number
    return _pack(since, "I")


def _pack(values: Numbers, code: Literal["H", "I"]) -> memoryview:
    """Numbers as the epoch and its file keep them: of a table, partition by partition."""
    packed = array(code)
    packed.frombytes(np.ascontiguousarray(values.astype(f"u{packed.itemsize}")).tobytes())
    return memoryview(packed).toreadonly()


def _check(draft: Draft, previous: Epoch | None) -> None:
    usable = sum(device.weight > 0 for device in draft.devices)
    for width in draft.widths:
        if width > usable:
            raise Refused(
                "TooFewDevices",
                f"{width} replicas need {width} devices of positive weight; there are {usable}. "
                "Add devices, or choose a narrower policy or fewer index replicas.",
            )
    if previous is None:
        return
    for field in ("part_power", "seed", "index_replicas"):
        was, asked = getattr(previous.settings, field), getattr(draft.settings, field)
        if was != asked:
            raise Refused(
                "FixedSetting", f"{field} of this ring is {was} and cannot become {asked}"
            )
