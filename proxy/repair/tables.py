"""What every device says it holds of each partition: the tables that repair compares."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol, TypeVar

from core.errors import Unavailable
from objectd import wire
from proxy.repair.peers import ask
from proxy.repair.plan import Table
from proxy.store.cluster import Target

PAGE_ROWS = 5000


class _Keyed(Protocol):
    @property
    def key(self) -> bytes: ...


R = TypeVar("R", bound=_Keyed)


async def fetch(target: Target) -> Table:
    """The table of one device. Raises Unavailable when it does not answer."""
    pieces = await _rows(target, wire.PARTITIONS, wire.decode_pieces)
    ranges = await _rows(target, wire.RANGE_PARTITIONS, wire.decode_ranges_of)
    return Table(
        {(row.policy, row.partition, row.fragment): row for row in pieces},
        {row.partition: row for row in ranges},
    )


async def fetch_all(targets: Iterable[Target]) -> dict[int, Table]:
    """Tables by device, of those that answer."""

    async def one(target: Target) -> tuple[int, Table | None]:
        try:
            return target.device, await fetch(target)
        except Unavailable:
            return target.device, None

    work: list[Awaitable[tuple[int, Table | None]]] = [one(target) for target in targets]
    found = await asyncio.gather(*work)
    return {device: table for device, table in found if table is not None}


async def _rows(
    target: Target, operation: int, decode: Callable[[bytes | memoryview], list[R]]
) -> list[R]:
    found: list[R] = []
    while True:
        head = wire.encode(wire.PartitionsCall(found[-1].key if found else b"", PAGE_ROWS))
        page = decode(await ask(target.link, operation, target.device, head))
        found += page
        if len(page) < PAGE_ROWS:
            return found
