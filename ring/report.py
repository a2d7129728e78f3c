"""How good a ring is: balance, dispersion, and a row for each device. Pure.

Balance is the worst device's distance from its share, in percent of the share. It is given twice:
against the share the ring aims at (which spreads replicas first) and against the weight alone.
Dispersion is the percentage of partitions whose replicas are not as far apart as the devices of
positive weight would allow, whatever the weights ask for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ring.device import Device
from ring.epoch import Epoch
from ring.target import device_shares, even_bounds, weight_shares
from ring.tree import LEVELS, Tree, grow

MEMO_MAX = 65_536


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One device in one table: partitions held, aimed at, and due by weight alone."""

    device: Device
    held: int
    share: float
    by_weight: float

    @property
    def off_percent(self) -> float:
        """Distance from the share; a device without a share counts what it holds as 100 %."""
        return _off_percent(self.held, self.share)


@dataclass(frozen=True, slots=True)
class TableReport:
    """Quality of the table of one width."""

    width: int
    balance_percent: float
    weight_balance_percent: float
    dispersion_percent: float
    rows: tuple[DeviceRow, ...]

    def to_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "width": self.width,
            "balance_percent": round(self.balance_percent, 4),
            "weight_balance_percent": round(self.weight_balance_percent, 4),
            "dispersion_percent": round(self.dispersion_percent, 4),
            "devices": [
                {
                    "device": row.device.id,
                    "partitions": row.held,
                    "share": round(row.share, 3),
                    "by_weight": round(row.by_weight, 3),
                    "off_percent": round(row.off_percent, 4),
                }
                for row in self.rows
            ],
        }


def report_table(epoch: Epoch, width: int) -> TableReport:
    """Measure one table of an epoch."""
    weights = [device.weight for device in epoch.devices]
    tree = grow(epoch.devices)
    counts = Counter(epoch.tables[width])
    shares = device_shares(tree, weights, width, overload=epoch.settings.overload)
    by_weight = weight_shares(weights, width)
    rows = tuple(
        DeviceRow(
            device,
            counts[position],
            float(shares[position] * epoch.part_count),
            float(by_weight[position] * epoch.part_count),
        )
        for position, device in enumerate(epoch.devices)
    )
    crowded = count_crowded(epoch.tables[width], width, tree, weights)
    return TableReport(
        width,
        balance_percent=max(abs(row.off_percent) for row in rows),
        weight_balance_percent=max(abs(_off_percent(row.held, row.by_weight)) for row in rows),
        dispersion_percent=100 * crowded / epoch.part_count,
        rows=rows,
    )


def count_crowded(
    table: Sequence[int] | memoryview, width: int, tree: Tree, weights: Sequence[float]
) -> int:
    """Partitions whose replicas are not as far apart as possible.

    `table` lists positions in the device list, partition by partition.
    """
    check = _Distance(tree, weights)
    columns = [table[replica::width] for replica in range(width)]
    return sum(not check.is_farthest(row) for row in zip(*columns, strict=True))


class _Distance:
    """Judges single partitions; remembers verdicts on the few patterns of the upper levels."""

    def __init__(self, tree: Tree, weights: Sequence[float]) -> None:
        self._tree = tree
        self._usable = [weight > 0 for weight in weights]
        self._children = [tree.children(level) for level in range(len(LEVELS))]
        self._capacity = [
            tree.gather(level, map(int, self._usable)) for level in range(len(LEVELS))
        ]
        self._memo: dict[tuple[int, tuple[int, ...]], bool] = {}

    def is_farthest(self, row: tuple[int, ...]) -> bool:
        """Whether no other choice of devices would be farther apart."""
        for position in row:
            if not self._usable[position]:
                return False
        for level, member in enumerate(self._tree.member):
            places = tuple([member[position] for position in row])
            if len(set(places)) == len(places):
                return True  # all apart here, and so on every deeper level
            if not self._is_even(level, places):
                return False
        return False

    def _is_even(self, level: int, places: tuple[int, ...]) -> bool:
        key = (level, places)
        verdict = self._memo.get(key)
        if verdict is None:
            if len(self._memo) >= MEMO_MAX:
                self._memo.clear()
            verdict = self._memo[key] = self._judge(level, places)
        return verdict

    def _judge(self, level: int, places: tuple[int, ...]) -> bool:
        count = Counter(places)
        parents = {self._tree.parent[level][place] for place in places}
        for parent in parents:
            children = self._children[level][parent]
            lows, highs = even_bounds(
                [self._capacity[level][child] for child in children],
                sum(count[child] for child in children),
            )
            for child, low, high in zip(children, lows, highs, strict=True):
                if not low <= count[child] <= high:
                    return False
        return True


def _off_percent(held: int, share: float) -> float:
    if share == 0:
        return 100.0 if held else 0.0
    return 100 * (held - share) / share
