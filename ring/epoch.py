"""One immutable, numbered ring: key to partition to devices. Pure.

An `Epoch` is what every process of the cloud agrees on. It answers three questions: which partition
a key falls into, which devices hold that partition (the primaries, in replica order), and where to
go when one of those cannot (the hand-offs). There is one placement table for each distinct width;
policies of equal width share it, and the index of registers uses the table of `index_replicas`.

A change of placement takes two epochs. In the *joint* one the tables are the new ones already, and the
index range of a partition that moves has two replica sets, the old and the new, both of which must
agree; the *stable* one after it has the new set alone (or the old one, when it *turned back*). `since` tells for each partition in which
epoch its index replicas last changed: that number is the config part of every ballot. `sources` tells
where each replica of the last change came from: its blobs may still be there.

Tables are flat buffers of unsigned 16-bit positions in `devices`, partition by partition, so they
can be views into a mapped file. Nothing here needs numpy: this module is on the data path.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import xxhash

from core.errors import NotFound, Refused
from ring.device import Device, check_devices
from ring.policy import Policy, check_policies
from ring.settings import Settings

NUMBER_MAX = 2**24 - 1  # it is part of every ballot
CACHED_PARTITIONS_MAX = 65_536  # per width; the cache starts again when it is full

_hash64 = xxhash.xxh3_64_intdigest


class Sources(NamedTuple):
    """Replicas of one table that moved in the last change, and where each came from.

    Parallel columns, ascending by partition, of which each has at most one row: partition (32-bit),
    replica and position of the device in the epoch's list (16-bit).
    """

    partitions: memoryview
    replicas: memoryview
    positions: memoryview


class Source(NamedTuple):
    """Where one replica came from."""

    replica: int
    device: Device


class Epoch:
    """A ring with a number. Every field is read-only; lookups fill a cache and nothing else.

    Raises Refused("InvalidEpoch") when the parts do not fit together. The content of the tables is
    trusted: it comes from the builder, or from a file whose checksum was verified.
    """

    __slots__ = (
        "_cache",
        "_seed",
        "_shift",
        "_spread",
        "devices",
        "joint",
        "number",
        "policies",
        "settings",
        "since",
        "sources",
        "tables",
        "turned_back",
    )

    def __init__(  # noqa: PLR0913  (one place builds them, one reads them from a file)
        self,
        number: int,
        settings: Settings,
        *,
        devices: tuple[Device, ...],
        policies: tuple[Policy, ...],
        tables: Mapping[int, memoryview],
        since: memoryview | None = None,
        sources: Mapping[int, Sources] | None = None,
        joint: bool = False,
        turned_back: bool = False,
    ) -> None:
        self.number = number
        self.settings = settings
        self.devices = devices
        self.policies = policies
        self.tables = dict(tables)
        if since is None:
            since = memoryview(array("I", [number]) * settings.part_count).toreadonly()
        self.since = since
        self.sources = dict(sources or {})
        self.joint = joint
        self.turned_back = turned_back
        _check(self)
        self._seed = settings.seed
        self._shift = 64 - settings.part_power
        self._cache: dict[int, dict[int, tuple[Device, ...]]] = {width: {} for width in tables}
        self._spread: _Spread | None = None

    @property
    def part_count(self) -> int:
        """Partitions in each table."""
        return self.settings.part_count

    @property
    def index_replicas(self) -> int:
        """Width of the table that places index ranges."""
        return self.settings.index_replicas

    def partition(self, key: bytes) -> int:
        """The partition of a key: the top `part_power` bits of xxh3-64 salted with the seed."""
        return _hash64(key, self._seed) >> self._shift

    def primaries(self, partition: int, width: int) -> tuple[Device, ...]:
        """The `width` distinct devices of a partition, in replica (or fragment) order.

        Raises NotFound("UnknownWidth") for a width without a table.
        """
        try:
            cache = self._cache[width]
        except KeyError:
            raise NotFound("UnknownWidth", f"the ring has no table of width {width}") from None
        found = cache.get(partition)
        return self._read(partition, width) if found is None else found

    def _read(self, partition: int, width: int) -> tuple[Device, ...]:
        if not 0 <= partition < self.part_count:
            raise Refused("InvalidPartition", f"partition {partition} is not in the ring")
        cache = self._cache[width]
        if len(cache) >= CACHED_PARTITIONS_MAX:
            cache.clear()
        row = self.tables[width][partition * width : partition * width + width]
        found = cache[partition] = tuple([self.devices[position] for position in row])
        return found

    def source(self, partition: int, width: int) -> Source | None:
        """The replica of a partition that the last change moved, and where it came from."""
        rows = self.sources.get(width)
        if rows is None:
            return None
        row = bisect_left(rows.partitions, partition)
        if row == len(rows.partitions) or rows.partitions[row] != partition:
            return None
        return Source(rows.replicas[row], self.devices[rows.positions[row]])

    def index_sets(self, partition: int) -> tuple[tuple[Device, ...], ...]:
        """The replica sets that must each agree on a range: one, or in a joint epoch (new, old)."""
        new = self.primaries(partition, self.index_replicas)
        source = self.source(partition, self.index_replicas) if self.joint else None
        if source is None:
            return (new,)
        old = (*new[: source.replica], source.device, *new[source.replica + 1 :])
        return new, old

    def settled(self) -> Epoch:
        """The stable epoch after this joint one. Raises Refused when this is stable itself."""
        _require(self.joint, f"epoch {self.number} is stable")
        since = array("I", self.since)
        rows = self.sources.get(self.index_replicas)
        for partition in () if rows is None else rows.partitions:
            since[partition] = self.number + 1
        return Epoch(
            self.number + 1,
            self.settings,
            devices=self.devices,
            policies=self.policies,
            tables=self.tables,
            since=memoryview(since).toreadonly(),
            sources=self.sources,
        )

    def reverted(self) -> Epoch:
        """The stable epoch that takes this joint one back: the old replicas alone, as before it.

        Whatever was decided while joint is known to a majority of them. Raises Refused when this is stable.
        """
        _require(self.joint, f"epoch {self.number} is stable")
        since = array("I", self.since)
        tables: dict[int, memoryview] = {}
        sources: dict[int, Sources] = {}
        for width, table in self.tables.items():
            rows = self.sources.get(width)
            if rows is None:
                tables[width] = table
                continue
            old, came_from = array("H", table), array("H")
            for partition, replica, position in zip(*rows, strict=True):
                place = partition * width + replica
                came_from.append(old[place])
                old[place] = position
                if width == self.index_replicas:
                    since[partition] = self.number + 1
            tables[width] = memoryview(old).toreadonly()
            sources[width] = rows._replace(positions=memoryview(came_from).toreadonly())
        return Epoch(
            self.number + 1,
            self.settings,
            devices=self.devices,
            policies=self.policies,
            tables=tables,
            since=memoryview(since).toreadonly(),
            sources=sources,
            turned_back=True,
        )

    def handoffs(self, partition: int, width: int) -> Iterator[Device]:
        """Every other device of positive weight, in a fixed order, the farthest apart first.

        Before them comes the device that a replica has just moved away from. Then devices in regions that neither the primaries nor earlier hand-offs use, then in
        unused zones, then on unused nodes, then the rest. Within each, candidates come from the
        partitions that follow a random jump, so devices are met in proportion to their share.
        """
        primaries = self.primaries(partition, width)
        if self._spread is None:
            self._spread = _Spread.of(self.devices)
        source = self.source(partition, width)
        if source is not None and source.device not in primaries:
            yield source.device
            primaries = (*primaries, source.device)
        yield from _walk(self, partition, width, spread=self._spread, primaries=primaries)

    def device(self, device_id: int) -> Device:
        """The device of that id; raises NotFound("UnknownDevice")."""
        for device in self.devices:
            if device.id == device_id:
                return device
        raise NotFound("UnknownDevice", f"the ring has no device {device_id}")

    def policy(self, name: str) -> Policy:
        """The policy of that name or alias, in any case; raises NotFound("UnknownPolicy")."""
        wanted = name.lower()
        for policy in self.policies:
            if wanted in (policy.name.lower(), *map(str.lower, policy.aliases)):
                return policy
        raise NotFound("UnknownPolicy", f"the ring has no policy {name}")

    @property
    def default_policy(self) -> Policy:
        """The policy of a container that names none."""
        return next(policy for policy in self.policies if policy.is_default)


@dataclass(frozen=True, slots=True)
class Location:
    """Where one key lives: its partition, its primaries in order, and the first hand-offs."""

    partition: int
    primaries: tuple[Device, ...]
    handoffs: tuple[Device, ...]


def locate_key(epoch: Epoch, key: bytes, width: int) -> Location:
    """Placement of a key in the table of one width, with as many hand-offs as primaries."""
    partition = epoch.partition(key)
    handoffs = tuple(islice(epoch.handoffs(partition, width), width))
    return Location(partition, epoch.primaries(partition, width), handoffs)


def account_range_id(name: str) -> bytes:
    """The 16-byte id of an account's index range, a function of its name alone."""
    return xxhash.xxh3_128_digest(b"account\x00" + name.encode())


Domain = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class _Spread:
    """How many regions, zones and nodes can take a replica."""

    usable: frozenset[int]
    domain_counts: tuple[int, int, int]

    @classmethod
    def of(cls, devices: tuple[Device, ...]) -> _Spread:
        usable = [device for device in devices if device.weight > 0]
        counts = [len({_domains(device)[level] for device in usable}) for level in range(3)]
        return cls(frozenset(device.id for device in usable), (counts[0], counts[1], counts[2]))


def _domains(device: Device) -> tuple[Domain, Domain, Domain]:
    region, zone, node = device.region, device.zone, device.node
    return (region,), (region, zone), (region, zone, node)


def _walk(
    epoch: Epoch, partition: int, width: int, *, spread: _Spread, primaries: tuple[Device, ...]
) -> Iterator[Device]:
    taken = {device.id for device in primaries}
    used: tuple[set[Domain], ...] = (set(), set(), set())
    for device in primaries:
        if device.id in spread.usable:
            _note(used, device)
    for level, domain_count in enumerate(spread.domain_counts):
        if len(used[level]) >= domain_count:
            continue
        for device in _candidates(epoch, partition, width):
            if device.id in taken or device.weight == 0 or _domains(device)[level] in used[level]:
                continue
            taken.add(device.id)
            _note(used, device)
            yield device
            if len(used[level]) >= domain_count:
                break
    missing = len(spread.usable - taken)
    for device in _candidates(epoch, partition, width) if missing else ():
        if device.id in taken or device.weight == 0:
            continue
        taken.add(device.id)
        yield device
        missing -= 1
        if not missing:
            return


def _note(used: tuple[set[Domain], ...], device: Device) -> None:
    for domains, domain in zip(used, _domains(device), strict=True):
        domains.add(domain)


def _candidates(epoch: Epoch, partition: int, width: int) -> Iterator[Device]:
    """The devices of all partitions from a random jump on, then all devices once."""
    mask = epoch.part_count - 1
    start = _hash64(partition.to_bytes(4, "big"), epoch.settings.seed)
    table, devices = epoch.tables[width], epoch.devices
    for step in range(epoch.part_count):
        first = ((start + step) & mask) * width
        for position in table[first : first + width]:
            yield devices[position]
    yield from devices


def _check(epoch: Epoch) -> None:
    """Numbers in range, tables of the right size, one for each width that is used."""
    _require(0 < epoch.number <= NUMBER_MAX, f"number {epoch.number} is not 1 to {NUMBER_MAX}")
    check_devices(epoch.devices)
    check_policies(epoch.policies)
    ids = [device.id for device in epoch.devices]
    _require(ids == sorted(ids), "the devices are not in the order of their ids")
    widths = {epoch.settings.index_replicas, *(policy.width for policy in epoch.policies)}
    _require(set(epoch.tables) == widths, f"tables {sorted(epoch.tables)}, not {sorted(widths)}")
    for width, table in epoch.tables.items():
        size = epoch.part_count * width
        _require(
            table.format == "H" and len(table) == size,
            f"the table of width {width} is not {size} 16-bit numbers",
        )
    _require(
        epoch.since.format == "I" and len(epoch.since) == epoch.part_count,
        f"there are not {epoch.part_count} 32-bit numbers of epochs",
    )
    for width, rows in epoch.sources.items():
        _require(width in widths, f"replicas of width {width} have moved in no table")
        _require(
            len(rows.partitions) == len(rows.replicas) == len(rows.positions),
            "the columns of moved replicas differ in length",
        )


def _require(condition: bool, message: str) -> None:  # noqa: FBT001
    if not condition:
        raise Refused("InvalidEpoch", message)
