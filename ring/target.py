"""How many partitions every device should hold. Pure.

A device's *share* is its replicas per partition, a fraction of at most 1. Two wishes can conflict:
shares in proportion to weight, and replicas as far apart as possible. Spreading comes first, so
that losing one node never takes two of three replicas while a third node exists; `overload` says
how much more than its weight's share a device may be given for that (None: as much as it takes).

Shares become whole partitions by rounding down the tree, always to the floor or the ceiling, and
towards what a place already holds, so that rounding never moves data. Every place then has the
bounds that each single partition must respect there: floor and ceiling of its share. An assignment
that meets all bounds and all totals always exists: lay the devices in tree order on a line, each as
long as its total, and let partition p take the points p, p + P, p + 2P, ...; every place is an
interval and so gets floor or ceiling of its share from every partition.

All arithmetic is exact (fractions), so equal input gives equal output on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from ring.tree import LEVELS, Tree

ZERO = Fraction(0)
ONE = Fraction(1)


@dataclass(frozen=True, slots=True)
class Goal:
    """Whole numbers per level and place: replicas in all, and the fewest and most per partition."""

    total: tuple[tuple[int, ...], ...]
    low: tuple[tuple[int, ...], ...]
    high: tuple[tuple[int, ...], ...]


def device_shares(
    tree: Tree, weights: Sequence[float], width: int, *, overload: float | None
) -> list[Fraction]:
    """Replicas per partition wanted on each device, summing to `width`.

    At least `width` devices must have a positive weight.
    """
    by_weight = weight_shares(weights, width)
    spread = _spread_shares(tree, by_weight, width)
    if overload is None:
        return spread
    needed = max(far / near - 1 for far, near in zip(spread, by_weight, strict=True) if near)
    if needed <= Fraction(overload):
        return spread
    part = Fraction(overload) / needed
    return [near + (far - near) * part for far, near in zip(spread, by_weight, strict=True)]


def weight_shares(weights: Sequence[float], width: int) -> list[Fraction]:
    """Replicas per partition by weight alone; no device may have more than one."""
    exact = [Fraction(weight) for weight in weights]
    highs = [ONE if weight else ZERO for weight in exact]
    return _divide(Fraction(width), exact, [ZERO] * len(exact), highs)


def partition_goal(
    tree: Tree, shares: Sequence[Fraction], part_count: int, counts: Sequence[int]
) -> Goal:
    """Round shares to whole partitions, down the tree, leaning towards the current `counts`."""
    totals: list[list[int]] = []
    above = [int(sum(shares) * part_count)]
    for level in range(len(LEVELS)):
        exact = _gather(tree, level, [share * part_count for share in shares])
        current = tree.gather(level, counts)
        totals.append([0] * tree.place_count(level))
        for parent, children in enumerate(tree.children(level)):
            rounded = _round(
                [exact[place] for place in children],
                [current[place] for place in children],
                above[parent],
            )
            for place, total in zip(children, rounded, strict=True):
                totals[level][place] = total
        above = totals[level]
    return Goal(
        total=tuple(tuple(row) for row in totals),
        low=tuple(tuple(total // part_count for total in row) for row in totals),
        high=tuple(tuple(-(-total // part_count) for total in row) for row in totals),
    )


def even_bounds(capacities: Sequence[int], amount: int) -> tuple[list[int], list[int]]:
    """Fewest and most of `amount` replicas that each place may take when spread evenly.

    `capacities` are devices per place; the sum must reach `amount`.
    """
    top = max(capacities, default=0)
    level = 0
    while level < top and sum(min(capacity, level + 1) for capacity in capacities) <= amount:
        level += 1
    lows = [min(capacity, level) for capacity in capacities]
    return lows, [min(capacity, level + 1) for capacity in capacities]


def _spread_shares(tree: Tree, by_weight: Sequence[Fraction], width: int) -> list[Fraction]:
    """Divide `width` down the tree, evenly first and by weight within what evenness leaves."""
    usable = [1 if share else 0 for share in by_weight]
    above = [Fraction(width)]
    amounts: list[Fraction] = []
    for level in range(len(LEVELS)):
        weights = _gather(tree, level, by_weight)
        capacities = tree.gather(level, usable)
        amounts = [ZERO] * tree.place_count(level)
        for parent, children in enumerate(tree.children(level)):
            lows, highs = even_bounds([capacities[place] for place in children], int(above[parent]))
            divided = _divide(
                above[parent],
                [weights[place] for place in children],
                [Fraction(low) for low in lows],
                [Fraction(high) for high in highs],
            )
            for place, amount in zip(children, divided, strict=True):
                amounts[place] = amount
        above = amounts
    return [amounts[place] for place in tree.member[-1]]


def _gather(tree: Tree, level: int, values: Sequence[Fraction]) -> list[Fraction]:
    sums = [ZERO] * tree.place_count(level)
    for place, value in zip(tree.member[level], values, strict=True):
        sums[place] += value
    return sums


def _divide(
    amount: Fraction,
    weights: Sequence[Fraction],
    lows: Sequence[Fraction],
    highs: Sequence[Fraction],
) -> list[Fraction]:
    """Split `amount` in proportion to weight, each part kept within its bounds.

    Fixes the parts on the side whose overshoot is larger and divides the rest again; each turn
    fixes at least one part.
    """
    parts = [low if low == high else ZERO for low, high in zip(lows, highs, strict=True)]
    free = [index for index, low in enumerate(lows) if low != highs[index]]
    rest = amount - sum(parts)
    while free:
        weight_sum = sum((weights[index] for index in free), ZERO)
        rate = rest / weight_sum
        wish = {index: weights[index] * rate for index in free}
        above = {index: highs[index] for index in free if wish[index] > highs[index]}
        below = {index: lows[index] for index in free if wish[index] < lows[index]}
        over = sum((wish[index] - bound for index, bound in above.items()), ZERO)
        under = sum((bound - wish[index] for index, bound in below.items()), ZERO)
        if over == under:
            for index, part in (wish | above | below).items():
                parts[index] = part
            break
        fixed = above if over > under else below
        for index, bound in fixed.items():
            parts[index] = bound
            rest -= bound
        free = [index for index in free if index not in fixed]
    return parts


def _round(exact: Sequence[Fraction], current: Sequence[int], total: int) -> list[int]:
    """Floors, and ceilings for as many as `total` needs: first where the data already is."""
    floors = [value.numerator // value.denominator for value in exact]
    missing = total - sum(floors)
    order = sorted(
        (index for index, value in enumerate(exact) if value != floors[index]),
        key=lambda index: (
            current[index] <= floors[index],
            floors[index] - exact[index],
            index,
        ),
    )
    for index in order[:missing]:
        floors[index] += 1
    return floors
