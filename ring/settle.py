"""The exact end of a rebalance: every bound and every total met, level by level. Pure.

What random offers leave is settled from the regions down. On each level every partition is first
made legal on its own: replicas above a place's bound, or on no place yet, go where the bounds ask
for them. Then totals are evened out between the children of each place: a child in surplus hands
replicas, along the shortest chain of children, to one in deficit, each link through a partition
whose bounds allow it. A chain always exists (the goal is a transportation problem with whole
bounds, see `ring.target`), and no partition serves two links of a shortest chain, or a shorter one
would exist. A replica that changes its place here has no device until the last level.

Imported by the builder only, because it needs numpy.
"""

from __future__ import annotations

from collections import defaultdict, deque

import numpy as np

from core.errors import Bug
from ring.chance import Chance
from ring.grid import Flags, Grid, Integers, Table, occurrences
from ring.tree import LEVELS

HOMELESS = -1
Link = tuple[int, int]


def settle(grid: Grid, table: Table, moved: Flags, chance: Chance) -> Table:
    """A table that meets all bounds and totals of the grid, near `table`; `table` is not changed.

    `moved` marks the replicas that are on their way already; redirecting those costs nothing.
    """
    home = table.copy()
    above: Table = np.zeros_like(table)
    for level in range(len(LEVELS)):
        floor = _Floor(grid, level, above, home, moved=moved, chance=chance)
        floor.make_legal()
        floor.even_out()
        above = floor.here
    device_of_place = np.argsort(grid.member[-1]).astype(np.int32)
    return device_of_place[above]


class _Floor:
    """One level of the tree: `here` holds each replica's place, `home` its device if it has one."""

    def __init__(
        self, grid: Grid, level: int, above: Table, home: Table, *, moved: Flags, chance: Chance
    ) -> None:
        self.home = home
        self.above = above
        self.here: Table = np.where(home == HOMELESS, HOMELESS, grid.member[level][home])
        self.moved = moved
        self.low, self.high = grid.low[level], grid.high[level]
        self.chance = chance
        self._parent = grid.parent[level]
        self._member = grid.member[level]
        self._place_count = len(self._parent)
        self._excess = self._count() - grid.total[level]
        held = np.bincount(home[home != HOMELESS], minlength=len(self._member))
        self._device_excess = held - grid.device_total
        self._children: dict[int, list[int]] = defaultdict(list)
        for place, parent in enumerate(self._parent):
            self._children[int(parent)].append(place)

    def _count(self) -> Integers:
        return np.bincount(self.here[self.here != HOMELESS], minlength=self._place_count)

    # Each partition on its own

    def make_legal(self) -> None:
        """Bring every partition within the bounds of this level, whatever that does to totals."""
        for row in np.flatnonzero(self._illegal()):
            column = int(row)
            for parent in sorted({int(place) for place in self.above[:, column]}):
                replicas = [int(r) for r in np.flatnonzero(self.above[:, column] == parent)]
                self._fix(column, replicas, self._children[parent])

    def _illegal(self) -> Flags:
        bad: Flags = (self.here == HOMELESS).any(axis=0)
        for place in self.here:
            bad |= (place != HOMELESS) & (occurrences(self.here, place) > self.high[place])
        for needed in np.flatnonzero(self.low):
            bad |= occurrences(self.here, needed) < self.low[needed]
        return bad

    def _fix(self, column: int, replicas: list[int], children: list[int]) -> None:
        """Make one partition legal below one parent; its replicas there are listed."""
        count: dict[int, int] = defaultdict(int)
        homeless: list[int] = []
        for replica in sorted(replicas, key=lambda r: self._release_cost(r, column)):
            if self.here[replica, column] == HOMELESS:
                homeless.append(replica)
            count[int(self.here[replica, column])] += 1
        for replica in sorted(replicas, key=lambda r: self._release_cost(r, column)):
            place = int(self.here[replica, column])
            if place != HOMELESS and count[place] > self.high[place]:
                count[place] -= 1
                self._release(replica, column)
                homeless.append(replica)
        for place in children:
            while count[place] < self.low[place]:
                replica = homeless.pop() if homeless else self._spare(column, replicas, count)
                if self.here[replica, column] != HOMELESS:
                    count[int(self.here[replica, column])] -= 1
                    self._release(replica, column)
                count[place] += 1
                self._settle(replica, column, place)
        for replica in homeless:
            place = min(
                (child for child in children if count[child] < self.high[child]),
                key=lambda child: (self._excess[child], child),
            )
            count[place] += 1
            self._settle(replica, column, place)

    def _release_cost(self, replica: int, column: int) -> tuple[bool, bool, int]:
        """Sort key: replicas on their way first, then those of devices in surplus."""
        device = self.home[replica, column]
        in_place = device != HOMELESS and not self.moved[replica, column]
        return in_place, in_place and bool(self._device_excess[device] <= 0), replica

    def _spare(self, column: int, replicas: list[int], count: dict[int, int]) -> int:
        """A replica whose place has more than its least."""
        spare = [
            replica
            for replica in replicas
            if count[int(self.here[replica, column])] > self.low[self.here[replica, column]]
        ]
        return min(spare, key=lambda replica: self._release_cost(replica, column))

    def _release(self, replica: int, column: int) -> None:
        self._excess[self.here[replica, column]] -= 1
        self.here[replica, column] = HOMELESS
        device = self.home[replica, column]
        if device != HOMELESS:
            self._device_excess[device] -= 1
            self.home[replica, column] = HOMELESS

    def _settle(self, replica: int, column: int, place: int) -> None:
        self.here[replica, column] = place
        self._excess[place] += 1

    # All partitions together

    def even_out(self) -> None:
        """Meet every total by handing replicas from children in surplus to those in deficit."""
        while np.any(self._excess > 0):
            source = int(np.argmax(self._excess))
            chain = self._chain(source)
            count = int(min(self._excess[source], -self._excess[chain[-1][1]]))
            picks = [self._pick(link, count) for link in chain]
            count = min(len(pick) for pick in picks)
            for link, pick in zip(chain, picks, strict=True):
                self._hand_over(link, pick[:count])

    def _chain(self, source: int) -> list[Link]:
        """The shortest chain of links from `source` to a sibling in deficit (breadth first)."""
        came_from: dict[int, int] = {source: source}
        queue = deque([source])
        while queue:
            place = queue.popleft()
            for reached in self._reachable(place):
                if reached in came_from:
                    continue
                came_from[reached] = place
                if self._excess[reached] < 0:
                    return _walk_back(came_from, reached)
                queue.append(reached)
        raise Bug("NoChain", f"place {source} cannot hand over its surplus")

    def _reachable(self, place: int) -> list[int]:
        """Siblings that could take a replica from `place` through some partition, deficits first."""
        rows = np.unique(self._slots_of(place) % self.here.shape[1])
        rows = rows[occurrences(self.here[:, rows], place) > self.low[place]]
        columns = self.here[:, rows]
        full = np.zeros(self._place_count, dtype=np.int64)
        for replica, places in enumerate(columns):
            at_bound = occurrences(columns[:replica], places) == 0
            at_bound &= occurrences(columns, places) >= self.high[places]
            full += np.bincount(places[at_bound], minlength=self._place_count)
        siblings = self._children[int(self._parent[place])]
        open_ = [
            child
            for child in siblings
            if child != place and self.high[child] > 0 and full[child] < len(rows)
        ]
        return sorted(open_, key=lambda child: (self._excess[child], child))

    def _slots_of(self, place: int) -> Integers:
        return np.flatnonzero(self.here.ravel() == place)

    def _pick(self, link: Link, count: int) -> Integers:
        """Up to `count` replicas to hand from the link's first place to its second, cheapest first.

        One replica per partition. Those that are on their way cost nothing; then come partitions
        that have not moved yet, first those on devices in surplus.
        """
        source, target = link
        slots = self._slots_of(source)
        slots = slots[self.chance.permutation(len(slots))]
        rows = slots % self.here.shape[1]
        open_ = occurrences(self.here[:, rows], source) > self.low[source]
        open_ &= occurrences(self.here[:, rows], target) < self.high[target]
        slots, rows = slots[open_], rows[open_]
        order = np.argsort(self._hand_over_cost(slots, rows), kind="stable")
        slots, rows = slots[order], rows[order]
        first = np.sort(np.unique(rows, return_index=True)[1])
        chosen: Integers = slots[first][:count]
        return chosen

    def _hand_over_cost(self, slots: Integers, rows: Integers) -> Integers:
        device = self.home.ravel()[slots]
        on_its_way = (device == HOMELESS) | self.moved.ravel()[slots]
        turn = _turns(device)
        surplus = np.where(device == HOMELESS, 0, self._device_excess[device])
        cost = np.where(turn < surplus, 1, 2)
        cost += 2 * self.moved[:, rows].any(axis=0)
        return np.where(on_its_way, 0, cost).astype(np.int64)

    def _hand_over(self, link: Link, slots: Integers) -> None:
        source, target = link
        device = self.home.ravel()[slots]
        np.subtract.at(self._device_excess, device[device != HOMELESS], 1)
        self.home.ravel()[slots] = HOMELESS
        self.here.ravel()[slots] = target
        self._excess[source] -= len(slots)
        self._excess[target] += len(slots)


def _walk_back(came_from: dict[int, int], end: int) -> list[Link]:
    links: list[Link] = []
    while came_from[end] != end:
        links.append((came_from[end], end))
        end = came_from[end]
    return links[::-1]


def _turns(values: Table) -> Integers:
    """For each element, how many equal ones come before it."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    lengths = np.diff(np.r_[starts, len(ordered)])
    turns = np.empty(len(values), dtype=np.int64)
    turns[order] = np.arange(len(ordered)) - np.repeat(starts, lengths)
    return turns
