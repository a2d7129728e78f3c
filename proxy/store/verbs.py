"""The store on the cluster: what each verb does, top to bottom (implements `proxy.store.port.Store`).

A PUT is: container known -> body striped to durable blobs -> one register mutation. The object exists
from that commit on and not before. Everything that can be finished later (dropping the blobs of the old
version) is queued after it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

import msgspec

from core.errors import NotFound, PreconditionFailed, Refused
from core.limits import INLINE_BYTES_MAX, MANIFEST_ENTRIES_MAX
from objectd import wire
from proxy.store import envelope, names
from proxy.store.blobs import Blobs
from proxy.store.body import BodyWriter, StoredBody, read_extents, slice_extents
from proxy.store.cluster import Cluster
from proxy.store.containers import Containers, Handle, policy_named
from proxy.store.port import AttributeChange, Change, Check, Finish
from proxy.store.ranges import Ranges
from proxy.store.reaper import DELAY_S, Reaper
from proxy.store.record import (
    OBJECTS,
    AccountInfo,
    BodyDigest,
    ContainerInfo,
    ContainerPage,
    Draft,
    Extent,
    Found,
    ListQuery,
    ObjectName,
    ObjectPage,
    ObjectRecord,
    ObjectRow,
    Summary,
)
from proxy.store.registers import Mutated, NewRecord, Register, Registers, Stored
from ring.policy import Policy

COPY_TRIES = 5


class ClusterStore:
    """Accounts, containers and objects on the ring."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        reap_delay_s: float = DELAY_S,
        broken: frozenset[str] = frozenset(),
    ) -> None:
        self._cluster = cluster
        self._env = cluster.env
        self.registers = Registers(cluster, broken=broken)
        self._ranges = Ranges(cluster, self.registers)
        self._containers = Containers(cluster, self.registers, self._ranges)
        self.blobs = Blobs(cluster)
        self.reaper = Reaper(self.blobs, reap_delay_s)
        policies = cluster.epoch.policies
        self._policies = tuple(sorted(policies, key=lambda policy: not policy.is_default))

    @property
    def policies(self) -> Sequence[Policy]:
        """Storage policies, the default first."""
        return self._policies

    # -- accounts and containers ---------------------------------------------------------------

    async def get_account(self, account: str) -> AccountInfo:
        """See the port."""
        return await self._containers.get_account(account)

    async def update_account(self, account: str, change: AttributeChange) -> None:
        """See the port."""
        await self._containers.update_account(account, change)

    async def list_containers(self, account: str, query: ListQuery) -> ContainerPage:
        """See the port."""
        return await self._containers.list_containers(account, query)

    async def create_container(
        self, account: str, container: str, *, policy: str | None, change: AttributeChange
    ) -> bool:
        """See the port."""
        wanted = None if policy is None else policy_named(self._cluster.epoch.policies, policy)
        return await self._containers.create(account, container, wanted, change)

    async def get_container(self, account: str, container: str) -> ContainerInfo:
        """See the port."""
        return await self._containers.info(account, container)

    async def update_container(self, account: str, container: str, change: AttributeChange) -> None:
        """See the port."""
        await self._containers.update(account, container, change)

    async def delete_container(self, account: str, container: str) -> None:
        """See the port."""
        await self._containers.delete(account, container)

    async def list_objects(
        self, account: str, container: str, query: ListQuery, *, space: str = OBJECTS
    ) -> ObjectPage:
        """See the port."""

        async def use(handle: Handle) -> ObjectPage:
            stage = handle.record.stage
            listed = await self._ranges.page(handle.range_id(space), stage, query, Summary)
            memo = {} if listed.memo is None else listed.memo
            page: ObjectPage | None = memo.get(ObjectPage)
            if page is None:
                rows = [ObjectRow(row.name, row.summary) for row in listed.rows]
                page = memo[ObjectPage] = ObjectPage(rows, listed.truncated, memo)
            return page

        return await self._containers.at_stage(account, container, use)

    # -- objects -------------------------------------------------------------------------------

    async def get_object(self, where: ObjectName) -> Found:
        """See the port."""
        names.check_names(where.account, where.container, where.name)

        async def use(handle: Handle) -> Found:
            return self._found(where, await self.registers.read(_register(handle, where)))

        return await self._containers.at_stage(where.account, where.container, use)

    def _found(self, where: ObjectName, stored: Stored) -> Found:
        record = self._current(stored)
        if record is None:
            raise _no_object(where)
        return Found(where, record, stored.inline, stored.ballot)

    def _current(self, stored: Stored) -> ObjectRecord | None:
        """The record that exists now: neither a tombstone nor expired."""
        if not stored.exists:
            return None
        record = names.decode_object(stored.record)
        return None if record.expires_s and record.expired(self._env.wall_us()) else record

    async def read(
        self, found: Found, start: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        """See the port."""
        size = found.record.body_size
        length = size - start if length is None else min(length, size - start)
        if not found.record.manifest:
            yield found.inline[start : start + length]
            return
        async for piece in read_extents(self.blobs, found.record.manifest, start, length):
            yield piece  # type: ignore[misc]  # transports take any buffer

    async def put_object(
        self,
        where: ObjectName,
        body: AsyncIterator[bytes],
        finish: Finish,
        *,
        check: Check | None = None,
    ) -> Found:
        """See the port."""
        names.check_names(where.account, where.container, where.name)
        if check is not None:
            await self._check_early(where, check)
        handle = await self._containers.cached(where.account, where.container)
        policy = self._cluster.policies[handle.record.policy]
        writer = BodyWriter(self._env, self.blobs, policy, handle.range_id(where.space))
        stored = await writer.write(body)
        try:
            draft = finish(BodyDigest(stored.size, stored.md5))
        except BaseException:
            await writer.abandon()
            raise
        try:
            make = self._maker(draft, stored)
            return await self._commit(where, make, stored, check)
        except Refused:
            # after any other end the record may yet appear, so its blobs stay (the sweep decides)
            await writer.abandon()
            raise

    async def put_bytes(
        self, where: ObjectName, body: bytes, draft: Draft, *, check: Check | None = None
    ) -> Found:
        """See the port."""
        names.check_names(where.account, where.container, where.name)
        if draft.etag is None:
            raise Refused("EtagRequired", "a body stored at once needs an ETag")
        handle = await self._containers.cached(where.account, where.container)
        policy = self._cluster.policies[handle.record.policy]
        writer = BodyWriter(self._env, self.blobs, policy, handle.range_id(where.space))
        stored = await writer.write_whole(body)
        try:
            return await self._commit(where, self._maker(draft, stored), stored, check)
        except Refused:
            await writer.abandon()
            raise

    async def _check_early(self, where: ObjectName, check: Check) -> None:
        """Refuse before the body is read; the decision that counts is made at the commit."""

        async def use(handle: Handle) -> Stored:
            return await self.registers.read(_register(handle, where), inline=False)

        stored = await self._containers.at_stage(where.account, where.container, use)
        check(self._current(stored))

    def _maker(
        self, draft: Draft, stored: StoredBody, *, shared: bool = False
    ) -> Callable[[int], ObjectRecord]:
        def make(modified_us: int) -> ObjectRecord:
            return ObjectRecord(
                modified_us,
                stored.size if draft.size is None else draft.size,
                draft.etag or stored.md5,
                draft.content_type,
                draft.attributes,
                stored.manifest,
                stored.size,
                draft.expires_s,
                shared,
                draft.parts,
            )

        return make

    async def _commit(
        self,
        where: ObjectName,
        make: Callable[[int], ObjectRecord],
        stored: StoredBody,
        check: Check | None,
    ) -> Found:
        """One register mutation: the record becomes what `where` names."""
        inline, stamp = stored.inline, stored.stamp
        now_us = self._env.wall_us()
        made: list[ObjectRecord] = []

        def decide(current: Stored) -> NewRecord:
            old = self._current(current)
            if check is not None:
                check(old)
            record = make(now_us if old is None else max(now_us, old.modified_us + 1))
            made.append(record)
            return names.object_entry(record, inline, stamp=stamp)

        outcome = await self._mutate(where, decide)
        self._retire(outcome, made[-1])
        return Found(where, made[-1], inline, outcome.ballot)

    async def _mutate(
        self,
        where: ObjectName,
        decide: Callable[[Stored], NewRecord | None],
        *,
        needs_inline: bool = False,
    ) -> Mutated:
        async def use(handle: Handle) -> Mutated:
            register = _register(handle, where)
            return await self.registers.mutate(register, decide, needs_inline=needs_inline)

        return await self._containers.at_stage(where.account, where.container, use)

    def _retire(self, outcome: Mutated, new: ObjectRecord | None) -> None:
        """Queue the old version's blobs for removal, when it is certain that nothing names them."""
        if not outcome.certain or not outcome.before.exists:
            return
        old = names.decode_object(outcome.before.record)
        if new is None or not {e.blob for e in new.manifest} & {e.blob for e in old.manifest}:
            self.reaper.retire(old)

    async def update_object(self, where: ObjectName, change: Change) -> Found:
        """See the port."""
        names.check_names(where.account, where.container, where.name)
        now_us = self._env.wall_us()
        result: list[tuple[ObjectRecord, bytes]] = []

        def decide(current: Stored) -> NewRecord:
            old = self._current(current)
            if old is None:
                raise _no_object(where)
            draft = change(old)
            record = msgspec.structs.replace(
                old,
                modified_us=max(now_us, old.modified_us + 1),
                content_type=draft.content_type,
                attributes=draft.attributes,
                expires_s=draft.expires_s,
                etag=draft.etag or old.etag,
                size=old.size if draft.size is None else draft.size,
                parts=draft.parts or old.parts,
            )
            result.append((record, current.inline))
            return names.object_entry(record, current.inline)

        outcome = await self._mutate(where, decide, needs_inline=True)
        record, inline = result[-1]
        return Found(where, record, inline, outcome.ballot)

    async def delete_object(
        self, where: ObjectName, *, check: Check | None = None, keep_blobs: bool = False
    ) -> ObjectRecord:
        """See the port."""
        names.check_names(where.account, where.container, where.name)
        deleted: list[ObjectRecord] = []

        def decide(current: Stored) -> NewRecord:
            old = self._current(current)
            if check is not None:
                check(old)
            if old is None:
                raise _no_object(where)
            deleted.append(old)
            return NewRecord(envelope.NIL)

        outcome = await self._mutate(where, decide)
        if not keep_blobs:
            self._retire(outcome, None)
        return deleted[-1]

    # -- copies --------------------------------------------------------------------------------

    async def copy_object(
        self, source: Found, where: ObjectName, draft: Draft, *, check: Check | None = None
    ) -> Found:
        """See the port."""
        names.check_names(where.account, where.container, where.name)
        if source.record.manifest:
            source = await self._share(source)
        record = source.record
        stamp = await self.blobs.touch(record.manifest)
        stored = StoredBody(record.manifest, source.inline, record.body_size, record.etag, stamp)
        draft = draft._replace(size=record.size if draft.size is None else draft.size)
        make = self._maker(draft, stored, shared=bool(record.manifest))
        return await self._commit(where, make, stored, check)

    async def _share(self, found: Found) -> Found:
        """Mark a record as sharing its blobs, so that its end does not take them along.

        Raises Refused("SourceChanged") when the object is no longer what was found: its blobs may already
        be on their way out, so they must not be named again.
        """
        if found.record.shared:
            return found
        marked = msgspec.structs.replace(found.record, shared=True)

        def decide(current: Stored) -> NewRecord | None:
            now = self._current(current)
            if now is None or now.manifest != found.record.manifest:
                raise PreconditionFailed("SourceChanged", "the source changed while it was copied")
            if now.shared:
                return None
            return names.object_entry(msgspec.structs.replace(now, shared=True), current.inline)

        outcome = await self._mutate(found.where, decide)
        return found._replace(record=marked, version=outcome.ballot)

    async def compose_object(
        self,
        where: ObjectName,
        pieces: Sequence[tuple[Found, int, int]],
        draft: Draft,
        *,
        check: Check | None = None,
        adopt: bool = False,
    ) -> Found:
        """See the port."""
        names.check_names(where.account, where.container, where.name)
        if draft.etag is None:
            raise Refused("EtagRequired", "a composed object needs an ETag")
        if sum(length for _, _, length in pieces) <= INLINE_BYTES_MAX:
            return await self._compose_small(where, pieces, draft, check)
        if not adopt:
            pieces = [
                (await self._share(found) if found.record.manifest else found, start, length)
                for found, start, length in pieces
            ]
        manifest, stamp = await self._manifest_of(where, pieces)
        if len(manifest) > MANIFEST_ENTRIES_MAX:
            raise Refused("ManifestTooLong", "the object would consist of too many pieces")
        size = sum(extent.length for extent in manifest)
        stamp = min(stamp, await self.blobs.touch(manifest))
        stored = StoredBody(tuple(manifest), b"", size, draft.etag, stamp)
        shared = not adopt or any(found.record.shared for found, _, _ in pieces)
        return await self._commit(where, self._maker(draft, stored, shared=shared), stored, check)

    async def _compose_small(
        self,
        where: ObjectName,
        pieces: Sequence[tuple[Found, int, int]],
        draft: Draft,
        check: Check | None,
    ) -> Found:
        parts = [
            bytes(piece)
            for found, start, length in pieces
            async for piece in self.read(found, start, length)
        ]
        inline = b"".join(parts)
        stored = StoredBody((), inline, len(inline), draft.etag or "")
        return await self._commit(where, self._maker(draft, stored), stored, check)

    async def _manifest_of(
        self, where: ObjectName, pieces: Sequence[tuple[Found, int, int]]
    ) -> tuple[list[Extent], int]:
        """Extents of all pieces; inline bytes between them become blobs of their own, with this stamp."""
        handle = await self._containers.cached(where.account, where.container)
        policy = self._cluster.policies[handle.record.policy]
        owner = handle.range_id(where.space)
        manifest: list[Extent] = []
        stamp = wire.NOTHING_NEW
        for found, start, length in pieces:
            if not length:
                continue
            if found.record.manifest:
                manifest.extend(slice_extents(found.record.manifest, start, length))
            else:
                data = found.inline[start : start + length]
                written = await self.blobs.write(policy, owner, data)
                manifest.append(written.extent)
                stamp = min(stamp, written.stamp)
        return manifest, stamp


def _register(handle: Handle, where: ObjectName) -> Register:
    return Register(handle.range_id(where.space), where.name.encode(), handle.record.stage)


def _no_object(where: ObjectName) -> NotFound:
    return NotFound("NoSuchObject", f"there is no object {where.name!r}")
