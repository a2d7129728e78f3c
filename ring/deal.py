"""The first placement of a table: dealt like cards, level by level, then shuffled. Pure.

On each level the replicas of a place are dealt to its children: line the children up, each as long
as its total, and walk round and round over the partitions. A child is an interval of that walk, so
every partition gets floor or ceiling of the child's share, and every total is met exactly. Dealing
alone would pair the same devices again and again (a lost device would be rebuilt from few others),
so random legal swaps mix the pairs. Imported by the builder only, because it needs numpy.
"""

from __future__ import annotations

import numpy as np

from ring.chance import GAMMA, Chance, random_order, scramble
from ring.grid import Grid, Integers, Table, occurrences
from ring.tree import LEVELS

MIXING_ROUNDS_PER_REPLICA = 4


def deal(grid: Grid, part_count: int, width: int, chance: Chance) -> Table:
    """A table of shape (width, part_count) that meets every total and every bound of the grid."""
    above: Table = np.zeros((width, part_count), dtype=np.int32)
    high_above: Table = np.array([width], dtype=np.int32)
    for level in range(len(LEVELS)):
        here = _deal_level(grid, level, above, chance)
        if _needs_mixing(grid, level, high_above):
            for _ in range(MIXING_ROUNDS_PER_REPLICA * width):
                _swap_pairs(grid, level, above, here, chance=chance)
        above, high_above = here, grid.high[level]
    device_of_place = np.argsort(grid.member[-1]).astype(np.int32)
    return _shuffle_replicas(device_of_place[above], chance)


def _deal_level(grid: Grid, level: int, above: Table, chance: Chance) -> Table:
    """Give every replica a place of `level` below its place in `above`."""
    width, part_count = above.shape
    turn = np.empty_like(above)  # a partition's first, second, ... replica in that place
    count = np.empty_like(above)
    for replica, place in enumerate(above):
        turn[replica] = occurrences(above[:replica], place)
        count[replica] = occurrences(above, place)
    # Partitions with more replicas in the place come first in every round, so that the last,
    # shorter round keeps its distance of a whole turn from the round before.
    most = np.zeros(int(above.max()) + 1, dtype=np.int32)
    np.maximum.at(most, above[0], count[0])
    for replica in range(1, width):
        np.maximum.at(most, above[replica], count[replica])
    group = (above * width + turn) * 2 + (count < most[above])

    # Every place deals in an order of its own, the same in each round; `slots` runs partition by
    # partition, so that equal keys keep a partition's replicas in place.
    salt = chance.words(part_count)[:, None] ^ (above.T.astype(np.uint64) * np.uint64(GAMMA))
    order = random_order(scramble(salt).ravel())
    slots = (np.arange(part_count)[:, None] + np.arange(width) * part_count).ravel()[order]
    slots = slots[_stable_order(group.ravel()[slots])]

    here = np.empty(width * part_count, dtype=np.int32)
    children = chance.permutation(len(grid.parent[level]))
    children = children[_stable_order(grid.parent[level][children])]
    here[slots] = np.repeat(children, grid.total[level][children])
    return here.reshape(width, part_count)


def _needs_mixing(grid: Grid, level: int, high_above: Table) -> bool:
    """Whether some place deals several replicas of a partition to children that could trade."""
    loose = grid.low[level] < grid.high[level]
    return bool(np.any(loose & (high_above[grid.parent[level]] > 1)))


def _swap_pairs(grid: Grid, level: int, above: Table, here: Table, *, chance: Chance) -> None:
    """Pair partitions at random; each pair trades one replica's place where bounds allow it."""
    width, part_count = above.shape
    rows = chance.permutation(part_count)
    replica = chance.below(np.full(part_count, width, dtype=np.int64))
    rows = rows[_stable_order(above[replica[rows], rows])]
    one, two = rows[0 : len(rows) // 2 * 2 : 2], rows[1::2]
    same = above[replica[one], one] == above[replica[two], two]
    one, two = one[same], two[same]
    place_one, place_two = here[replica[one], one], here[replica[two], two]
    low, high = grid.low[level], grid.high[level]
    rows_one, rows_two = here[:, one], here[:, two]
    legal = place_one != place_two
    legal &= occurrences(rows_one, place_two) < high[place_two]
    legal &= occurrences(rows_two, place_one) < high[place_one]
    legal &= occurrences(rows_one, place_one) > low[place_one]
    legal &= occurrences(rows_two, place_two) > low[place_two]
    one, two = one[legal], two[legal]
    here[replica[one], one] = place_two[legal]
    here[replica[two], two] = place_one[legal]


def _shuffle_replicas(table: Table, chance: Chance) -> Table:
    """Permute each partition's replicas, so that no domain is always the first."""
    width, part_count = table.shape
    low_bits = np.uint64((1 << width.bit_length()) - 1)
    keys = chance.words(width * part_count).reshape(width, part_count) & ~low_bits
    keys |= np.arange(width, dtype=np.uint64)[:, None]
    keys.sort(axis=0)
    return np.take_along_axis(table, (keys & low_bits).astype(np.int64), axis=0)


def _stable_order(keys: Table) -> Integers:
    """Stable sorting order of small non-negative numbers; radix sort where they fit 16 bits."""
    small = keys.astype(np.uint16) if keys.size and int(keys.max()) < 2**16 else keys
    return np.argsort(small, kind="stable")
