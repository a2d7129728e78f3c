"""Failure domains as a tree: root, region, zone, node, device. Pure.

A *place* is a vertex of the tree below the root. On each of the four levels places are numbered
from 0 in the order of their names, so equal device lists always give equal numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ring.device import Device

LEVELS = ("region", "zone", "node", "device")


@dataclass(frozen=True, slots=True)
class Tree:
    """Which place holds which device.

    `member[level][device]` is the place of the device at that position of the list; on the last
    level it is the device's own place. `parent[level][place]` is the place one level up (0, the
    root, for regions).
    """

    member: tuple[tuple[int, ...], ...]
    parent: tuple[tuple[int, ...], ...]

    @property
    def device_count(self) -> int:
        """Leaves of the tree."""
        return len(self.member[0])

    def place_count(self, level: int) -> int:
        """Places on one level."""
        return len(self.parent[level])

    def children(self, level: int) -> list[list[int]]:
        """Places of `level`, grouped by their parent one level up."""
        above = self.place_count(level - 1) if level else 1
        groups: list[list[int]] = [[] for _ in range(above)]
        for place, parent in enumerate(self.parent[level]):
            groups[parent].append(place)
        return groups

    def gather(self, level: int, values: Iterable[int]) -> list[int]:
        """Sum per-device numbers into the places of one level."""
        sums = [0] * self.place_count(level)
        for place, value in zip(self.member[level], values, strict=True):
            sums[place] += value
        return sums


def grow(devices: Sequence[Device]) -> Tree:
    """The tree of a device list."""
    names = [(device.region, device.zone, device.node, device.id) for device in devices]
    member: list[tuple[int, ...]] = []
    parent: list[tuple[int, ...]] = []
    above: dict[tuple[object, ...], int] = {(): 0}
    for level in range(len(LEVELS)):
        keys = sorted({name[: level + 1] for name in names})
        numbers: dict[tuple[object, ...], int] = {key: place for place, key in enumerate(keys)}
        member.append(tuple(numbers[name[: level + 1]] for name in names))
        parent.append(tuple(above[key[:-1]] for key in keys))
        above = numbers
    return Tree(tuple(member), tuple(parent))
