"""Accounts and containers: their records, the cache of them, and fenced deletion.

Deleting a container is linearizable with writes into it: its ranges are fenced at a later stage on a
majority of their replicas, then found empty at that stage, then the record becomes a tombstone. A proxy
that still believes in the old stage is refused as stale by the fence, reads the record again, and
sees the deletion, or (when the deleter died or found an object) repairs the record's stage and goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

import msgspec

from core.env import Env
from core.errors import (
    Conflict,
    Moved,
    NotFound,
    PreconditionFailed,
    Refused,
    Stale,
    Unavailable,
)
from objectd import wire
from proxy.store import envelope, names, propose
from proxy.store.cluster import Cluster
from proxy.store.port import AttributeChange
from proxy.store.ranges import Listed, Ranges, Totals
from proxy.store.record import (
    OBJECTS,
    SPACES,
    AccountInfo,
    AccountRecord,
    ContainerInfo,
    ContainerPage,
    ContainerRecord,
    ContainerRow,
    ListQuery,
    Summary,
)
from proxy.store.registers import NewRecord, Register, Registers, Stored
from proxy.store.round import Round
from ring.epoch import account_range_id
from ring.policy import Policy

CACHE_S = (
    1.0  # how old a container's attributes may be; its existence is always checked by the fence
)
CACHE_MAX = 10_000
STALE_TRIES = 5
FENCE_TIMEOUT_S = 3.0

T = TypeVar("T")


class Handle(NamedTuple):
    """A container as the object verbs need it."""

    record: ContainerRecord
    version: bytes

    def range_id(self, space: str) -> bytes:
        """Id of the range of a space."""
        return names.container_range(self.record.incarnation, space)


class Containers:
    """Accounts and containers of one process."""

    def __init__(self, cluster: Cluster, registers: Registers, ranges: Ranges) -> None:
        self._cluster = cluster
        self._env: Env = cluster.env
        self._registers = registers
        self._ranges = ranges
        self._cache: dict[tuple[str, str], tuple[float, Handle]] = {}

    # -- accounts ------------------------------------------------------------------------------

    async def get_account(self, account: str) -> AccountInfo:
        """Record and totals over all containers."""
        names.check_names(account)
        range_id = account_range_id(account)
        stored = await self._registers.read(Register(range_id, names.ACCOUNT_NAME, 0))
        record = names.decode_account(stored.record) if stored.exists else AccountRecord(0, 0, {})
        (own,) = await self._ranges.stats([(range_id, 0)])
        objects = size = 0
        marker = ""
        while own.live_count:
            page = await self.list_containers(account, ListQuery(marker=marker))
            for row in page.rows:
                if row.info is not None:
                    objects += row.info.object_count
                    size += row.info.bytes_used
            if not page.truncated:
                break
            marker = page.rows[-1].name
        return AccountInfo(account, record, own.live_count, objects, size)

    async def update_account(self, account: str, change: AttributeChange) -> None:
        """Merge attributes."""
        names.check_names(account)
        now = self._env.wall_us()

        def merge(current: Stored) -> NewRecord:
            old = names.decode_account(current.record) if current.exists else None
            attributes = names.merge_attributes(old.attributes if old else {}, change)
            created = old.created_us if old else now
            return names.account_entry(AccountRecord(now, created, attributes))

        register = Register(account_range_id(account), names.ACCOUNT_NAME, 0)
        await self._registers.mutate(register, merge)

    async def list_containers(self, account: str, query: ListQuery) -> ContainerPage:
        """A page of containers with their statistics."""
        names.check_names(account)
        listed: Listed[ContainerRecord] = await self._ranges.page(
            account_range_id(account), 0, query, ContainerRecord
        )
        real = [row.summary for row in listed.rows if row.summary is not None]
        stats = iter(
            await self._ranges.stats(
                [
                    (names.container_range(record.incarnation, OBJECTS), record.stage)
                    for record in real
                ]
            )
        )
        rows = [
            ContainerRow(
                row.name,
                None if row.summary is None else _info(row.name, row.summary, next(stats)),
            )
            for row in listed.rows
        ]
        return ContainerPage(rows, listed.truncated)

    # -- containers ----------------------------------------------------------------------------

    @staticmethod
    def _register(account: str, container: str) -> Register:
        return Register(account_range_id(account), container.encode(), 0)

    async def create(
        self, account: str, container: str, policy: Policy | None, change: AttributeChange
    ) -> bool:
        """Create or update; True when created."""
        names.check_names(account, container)
        now = self._env.wall_us()
        incarnation = self._env.random_bytes(16)
        default = self._cluster.epoch.default_policy

        def merge(current: Stored) -> NewRecord:
            if not current.exists:
                attributes = names.merge_attributes({}, change)
                chosen = (policy or default).id
                return names.container_entry(
                    ContainerRecord(now, now, chosen, attributes, incarnation)
                )
            old = names.decode_container(current.record)
            if policy is not None and policy.id != old.policy:
                raise Conflict("PolicyMismatch", "the container exists with another storage policy")
            return names.container_entry(
                msgspec.structs.replace(
                    old,
                    modified_us=max(now, old.modified_us),
                    attributes=names.merge_attributes(old.attributes, change),
                )
            )

        outcome = await self._registers.mutate(self._register(account, container), merge)
        self.forget(account, container)
        if outcome.new is None:  # an earlier attempt of this request took effect
            return names.decode_container(outcome.before.record).incarnation == incarnation
        return names.decode_container(outcome.new.record).incarnation == incarnation

    async def read(self, account: str, container: str) -> Handle:
        """The confirmed record. Raises NotFound("NoSuchContainer")."""
        names.check_names(account, container)
        stored = await self._registers.read(self._register(account, container))
        if not stored.exists:
            self.forget(account, container)
            raise _no_container(container)
        handle = Handle(names.decode_container(stored.record), stored.ballot)
        if len(self._cache) >= CACHE_MAX:
            self._cache.clear()
        self._cache[account, container] = (asyncio.get_running_loop().time(), handle)
        return handle

    async def cached(self, account: str, container: str) -> Handle:
        """The record, at most CACHE_S old."""
        known = self._cache.get((account, container))
        if known is not None and 0 <= asyncio.get_running_loop().time() - known[0] < CACHE_S:
            return known[1]
        return await self.read(account, container)

    def forget(self, account: str, container: str) -> None:
        """Drop a cached record."""
        self._cache.pop((account, container), None)

    async def info(self, account: str, container: str) -> ContainerInfo:
        """Record and statistics."""
        handle = await self.read(account, container)
        (stats,) = await self._ranges.stats([(handle.range_id(OBJECTS), handle.record.stage)])
        return _info(container, handle.record, stats)

    async def update(self, account: str, container: str, change: AttributeChange) -> None:
        """Merge attributes into an existing container."""
        names.check_names(account, container)
        now = self._env.wall_us()

        def merge(current: Stored) -> NewRecord:
            if not current.exists:
                raise _no_container(container)
            old = names.decode_container(current.record)
            return names.container_entry(
                msgspec.structs.replace(
                    old,
                    modified_us=max(now, old.modified_us),
                    attributes=names.merge_attributes(old.attributes, change),
                )
            )

        await self._registers.mutate(self._register(account, container), merge)
        self.forget(account, container)

    # -- deletion ------------------------------------------------------------------------------

    async def delete(self, account: str, container: str) -> None:
        """Delete an empty container."""
        for _ in range(STALE_TRIES):
            handle = await self.read(account, container)
            try:
                if await self._occupied(handle, handle.record.stage):
                    raise Conflict("ContainerNotEmpty", f"container {container!r} is not empty")
                await self._delete_fenced(account, container, handle)
            except Stale as stale:
                await self._repair(account, container, stale.stage)
                continue
            except Moved as moved:
                await self._cluster.learn(moved.epoch)
                continue
            except _Changed:
                continue
            self.forget(account, container)
            return
        raise Unavailable("Contended", "the container keeps changing; try again")

    async def _delete_fenced(self, account: str, container: str, handle: Handle) -> None:
        stage = handle.record.stage + 1
        for space in SPACES:
            await self._fence(handle.range_id(space), stage)
        if await self._occupied(handle, stage):
            await self._repair(account, container, stage)
            raise Conflict("ContainerNotEmpty", f"container {container!r} is not empty")

        def bury(current: Stored) -> NewRecord:
            if current.ballot != handle.version:
                raise _Changed("Changed", "the container changed meanwhile")
            return NewRecord(envelope.NIL)

        await self._registers.mutate(self._register(account, container), bury)

    async def _occupied(self, handle: Handle, stage: int) -> bool:
        page = await self._ranges.page(handle.range_id(OBJECTS), stage, ListQuery(limit=1), Summary)
        return bool(page.rows)

    async def _fence(self, range_id: bytes, stage: int) -> None:
        """Refuse everything below `stage`, on a majority of the range's replicas."""
        targets, majority, config = self._cluster.index_replicas(range_id)
        head = wire.encode(wire.Fence(range_id, stage, config))
        replies = await Round(targets, wire.FENCE, lambda _: head, enough=majority.granted).run(
            timeout_s=FENCE_TIMEOUT_S
        )
        propose.check_placed(replies)
        later = propose.fenced(replies)
        if later is not None:
            raise Stale(later.stage)
        if not majority.granted(replies):
            raise Unavailable("NoMajority", "no majority of the index replicas answers")

    async def _repair(self, account: str, container: str, stage: int) -> None:
        """Lift a live container's record to the stage its ranges have been fenced at."""

        def lift(current: Stored) -> NewRecord | None:
            if not current.exists:
                raise _no_container(container)
            old = names.decode_container(current.record)
            if old.stage >= stage:
                return None
            return names.container_entry(msgspec.structs.replace(old, stage=stage))

        await self._registers.mutate(self._register(account, container), lift)
        self.forget(account, container)

    async def at_stage(
        self, account: str, container: str, use: Callable[[Handle], Awaitable[T]]
    ) -> T:
        """Run `use` with the container; when its ranges are fenced meanwhile, look again and repeat."""
        handle = await self.cached(account, container)
        for _ in range(STALE_TRIES):
            try:
                return await use(handle)
            except Stale as stale:
                fresh = await self.read(account, container)
                if fresh.record.stage < stale.stage:
                    if fresh.record.incarnation == handle.record.incarnation:
                        await self._repair(account, container, stale.stage)
                    fresh = await self.read(account, container)
                handle = fresh
        raise Unavailable("Contended", "the container keeps changing; try again")


class _Changed(PreconditionFailed):
    """Another writer changed the container's record between the steps of a deletion."""


def _info(name: str, record: ContainerRecord, stats: Totals) -> ContainerInfo:
    return ContainerInfo(name, record, stats.live_count, stats.size_bytes)


def _no_container(container: str) -> NotFound:
    return NotFound("NoSuchContainer", f"there is no container {container!r}")


def policy_named(epoch_policies: tuple[Policy, ...], name: str) -> Policy:
    """A policy by name or alias, in any case. Raises Refused("NoSuchPolicy")."""
    wanted = name.lower()
    for policy in epoch_policies:
        if wanted == policy.name.lower() or wanted in map(str.lower, policy.aliases):
            return policy
    raise Refused("NoSuchPolicy", f"there is no storage policy {name!r}")
