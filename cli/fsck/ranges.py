"""Registers of one index range, replica by replica: what each holds, what it says it holds, who lags. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cli.fsck.findings import Finding
from core.stamp import ZERO
from objectd import rows, wire
from proxy.store.majority import Majority

NAMES_SHOWN = 3


class Held(NamedTuple):
    """What one replica lists, and what its statistics say of that."""

    ballots: dict[str, bytes]
    live: int
    digest: bytes
    stats: wire.RangeStats


def held_of(listed: Sequence[wire.Row[object]], stats: wire.RangeStats) -> Held:
    """Count what a replica lists."""
    digest = rows.fold(
        bytes(16),
        *(
            rows.register_digest(
                row.name.encode(), row.ballot, damaged=bool(row.flags & wire.DAMAGED)
            )
            for row in listed
        ),
    )
    live = sum(bool(row.flags & wire.LIVE) for row in listed)
    return Held({row.name: row.ballot for row in listed}, live, digest, stats)


def miscounted(device: str, range_id: bytes, held: Held) -> list[Finding]:
    """Where the statistics are not what is listed."""
    told = (held.stats.held, held.stats.count, held.stats.digest)
    if told == (len(held.ballots), held.live, held.digest):
        return []
    return [
        Finding(
            "count",
            f"{device}: statistics of range {range_id.hex()} say {told[0]} registers, {told[1]} live; "
            f"there are {len(held.ballots)}, {held.live}",
        )
    ]


def doubtful(replicas: Mapping[int, Held], total: int) -> list[str]:
    """Names that not all `total` replicas hold alike, as they were listed."""
    if len({held.digest for held in replicas.values()}) == 1 and len(replicas) == total:
        return []
    every = {name for held in replicas.values() for name in held.ballots}
    return sorted(
        name
        for name in every
        if len(replicas) < total or len({one.ballots.get(name) for one in replicas.values()}) > 1
    )


def lagging(
    range_id: bytes,
    ballots: Mapping[str, Mapping[int, bytes]],
    names: Mapping[int, str],
    majority: Majority,
) -> list[Finding]:
    """Findings about names, by what each replica (by position) holds of them."""
    found: list[Finding] = []
    lacking: dict[int, list[str]] = {}
    for name, held in ballots.items():
        best = max(held.values(), default=ZERO)
        holders = [position for position, ballot in held.items() if ballot == best]
        if best == ZERO or len(holders) == majority.total:
            continue
        if not majority.of(holders):
            where = ", ".join(names[p] for p in holders)
            text = f"{name!r} in range {range_id.hex()}: only on {where}"
            found.append(Finding("minority", text))
            continue
        for position in held.keys() - set(holders):
            lacking.setdefault(position, []).append(name)
    for position, missing in lacking.items():
        shown = ", ".join(repr(name) for name in sorted(missing)[:NAMES_SHOWN])
        text = f"{names[position]} lacks {len(missing)} of range {range_id.hex()}: {shown}"
        found.append(Finding("behind", text))
    return found
