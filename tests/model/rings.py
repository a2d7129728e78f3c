"""Rings for tests, and a naive judge of them: slow, obvious, and independent of the builder."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction

from ring.device import Device
from ring.draft import Draft
from ring.epoch import Epoch
from ring.policy import Policy
from ring.settings import Settings


def device(
    device_id: int, *, region: int = 1, zone: int = 1, node: int = 1, weight: float = 100.0
) -> Device:
    return Device(
        device_id,
        f"d{device_id}",
        region,
        zone,
        f"node-{node}",
        f"tcp:node-{node}:7000",
        f"/srv/{device_id}",
        weight,
    )


def devices(zones: int, nodes: int, per_node: int, *, first_id: int = 0) -> tuple[Device, ...]:
    """Equal devices: `zones` zones of `nodes` nodes of `per_node` devices."""
    places = itertools.product(range(zones), range(nodes), range(per_node))
    return tuple(
        device(first_id + number, zone=zone, node=zone * 100 + node)
        for number, (zone, node, _) in enumerate(places)
    )


def policies(*widths: int) -> tuple[Policy, ...]:
    return tuple(
        Policy(number, f"p{number}", "replicated", replicas=width, is_default=number == 0)
        for number, width in enumerate(widths)
    )


def draft(
    wanted: Iterable[Device],
    *,
    part_power: int = 6,
    widths: tuple[int, ...] = (3,),
    seed: int = 7,
    overload: float | None = None,
) -> Draft:
    """The first width is also that of the index."""
    settings = Settings(part_power, seed, index_replicas=widths[0], overload=overload)
    return Draft(settings, policies(*widths), tuple(wanted))


def rows(epoch: Epoch, width: int) -> list[tuple[int, ...]]:
    """Device ids of each partition, in replica order."""
    ids = [one.id for one in epoch.devices]
    table = [ids[position] for position in epoch.tables[width]]
    return [tuple(table[first : first + width]) for first in range(0, len(table), width)]


def held(epoch: Epoch, width: int) -> Counter[int]:
    """Partitions on each device, by id."""
    return Counter(device_id for row in rows(epoch, width) for device_id in row)


def domains(one: Device) -> tuple[tuple[int | str, ...], ...]:
    """Region, zone, node, device: each level's full name."""
    name = (one.region, one.zone, one.node, one.id)
    return tuple(name[: level + 1] for level in range(4))


def is_farthest(row: Sequence[int], all_devices: Sequence[Device]) -> bool:
    """No replica could change to a sibling domain that holds two fewer and has a free device."""
    by_id = {one.id: one for one in all_devices if one.weight > 0}
    usable = list(by_id.values())
    if len(set(row)) < len(row) or not set(row) <= by_id.keys():
        return False
    for level in range(4):
        count = Counter(domains(by_id[device_id])[level] for device_id in row)
        capacity = Counter(domains(one)[level] for one in usable)
        for crowded, roomy in itertools.permutations(capacity, 2):
            siblings = crowded[:-1] == roomy[:-1]
            if siblings and count[crowded] >= count[roomy] + 2 and count[roomy] < capacity[roomy]:
                return False
    return True


def shares_by_weight(weights: Sequence[float], width: int) -> list[Fraction]:
    """Replicas per partition by weight, none above 1: give by weight, cut at 1, give the rest again."""
    shares = [Fraction(0)] * len(weights)
    full: set[int] = set()
    while True:
        open_ = [n for n, weight in enumerate(weights) if weight > 0 and n not in full]
        rest = Fraction(width - len(full))
        weight_sum = sum(Fraction(weights[n]) for n in open_)
        for n in open_:
            shares[n] = rest * Fraction(weights[n]) / weight_sum
        over = [n for n in open_ if shares[n] > 1]
        if not over:
            return shares
        for n in over:
            shares[n] = Fraction(1)
        full.update(over)


def fewest_moves(
    before: Sequence[tuple[int, ...]], all_devices: Sequence[Device], totals: Counter[int]
) -> int:
    """The least number of moved replicas that reaches the totals with every partition farthest apart.

    Tries every legal set of devices for every partition; for a handful of each only.
    """
    usable = sorted(one.id for one in all_devices if one.weight > 0)
    width = len(before[0])
    legal = [
        choice
        for choice in itertools.combinations(usable, width)
        if is_farthest(choice, all_devices)
    ]
    states: dict[tuple[int, ...], int] = {tuple(totals[device_id] for device_id in usable): 0}
    for row in before:
        following: dict[tuple[int, ...], int] = {}
        for left, cost in states.items():
            for choice in legal:
                rest = tuple(n - (i in choice) for i, n in zip(usable, left, strict=True))
                if min(rest) >= 0:
                    price = cost + len(set(choice) - set(row))
                    following[rest] = min(price, following.get(rest, price))
        states = following
    return states[(0,) * len(usable)]
