"""All volumes of a cluster, on its object store (implements `volume.port.Volumes`).

Each verb reads top to bottom: what is known, what follows from it, one swap of the state. Whoever loses the swap begins
again. Nothing here holds a lock, so any number of processes may use the same volumes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from core.env import Env
from core.errors import Conflict, Corrupt, NotFound, PreconditionFailed, Refused, UnknownOutcome
from proxy.store.port import Store
from volume import removal
from volume.branch import BranchTable, Row
from volume.cipher import BlockCipher
from volume.cut import Member, cut
from volume.difference import differences
from volume.disk import LogDisk, ViewDisk, window_of
from volume.end import LogEnd, find_end
from volume.keys import KeyStore
from volume.naming import check_id, check_size
from volume.objects import StoreObjects
from volume.port import Extent, SnapshotInfo, VolumeInfo
from volume.recovery import Recovered
from volume.rewind import flatten, revert
from volume.site import Site, site_of
from volume.state import (
    CLONE,
    SNAPSHOT,
    VIEW,
    Checkpoint,
    Origin,
    Pin,
    State,
    changed,
    grown,
    snapshot_info,
    with_pin,
    without_pin,
)
from volume.states import Known
from volume.takeover import Closed, close_branch, new_branch
from volume.tuning import STANDARD, Tuning

TRIES = 40
KEY_ID_BYTES = 16


def volumes_on(env: Env, store: Store, keys: KeyStore, tuning: Tuning = STANDARD) -> StoreVolumes:
    """The library on a store."""
    return StoreVolumes(site_of(env, StoreObjects(store), keys, tuning))


class StoreVolumes:
    """Volumes on objects."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._env = site.env

    async def _load(self, volume_id: str) -> Known:
        """Raises NotFound("NoSuchVolume"), also while it is being deleted."""
        check_id(volume_id)
        known = await self._site.states.load(volume_id)
        if known.state.deleted:
            raise NotFound("NoSuchVolume", f"volume {volume_id} has been deleted")
        return known

    async def _same(self, volume_id: str) -> State | None:
        """A volume that is there already; what is left of a deleted one is cleared away.

        Raises Conflict("VolumeExists") while clones still need the deleted one.
        """
        try:
            state = (await self._site.states.load(volume_id)).state
        except NotFound:
            return None
        if not state.deleted:
            return state
        await removal.purge(self._site, volume_id)
        try:
            await self._site.states.load(volume_id)
        except NotFound:
            return None
        raise Conflict("VolumeExists", f"clones still need the deleted volume {volume_id}")

    async def _add(self, state: State) -> State:
        """Store the first state. Returns the one that is there, when somebody was quicker."""
        for _ in range(TRIES):
            try:
                await self._site.states.add(state)
                return state
            except PreconditionFailed:
                return (await self._load(state.id)).state
            except UnknownOutcome:
                continue
        raise UnknownOutcome("Contended", f"volume {state.id} cannot be stored")

    # -- making and removing -------------------------------------------------------------------

    async def create(
        self,
        volume_id: str,
        size: int,
        *,
        policy: str | None = None,
        encrypted: bool = False,
        retention_s: int = 0,
    ) -> VolumeInfo:
        """See the port."""
        check_id(volume_id)
        check_size(size)
        state = await self._same(volume_id)
        if state is None:
            name = await self._site.objects.make(volume_id, policy)
            key_id = ""
            if encrypted:
                key_id = self._env.random_bytes(KEY_ID_BYTES).hex()
                await self._site.keys.make(key_id, volume_id)
            now_us = self._env.wall_us()
            first = Row(1, volume_id, new_branch(self._site))
            wanted = State(
                volume_id,
                size,
                size,
                now_us,
                name,
                (first,),
                (Checkpoint(0, now_us),),
                key_id=key_id,
                retention_s=retention_s,
            )
            state = await self._add(wanted)
        kind = (state.first_size, bool(state.key_id), state.origin)
        if kind != (size, encrypted, None) or policy not in {None, state.policy}:
            raise Conflict("VolumeExists", f"volume {volume_id} exists and is another")
        return state.info()

    async def clone(
        self, volume_id: str, source_id: str, snapshot_id: str, *, size: int | None = None
    ) -> VolumeInfo:
        """See the port."""
        check_id(volume_id)
        check_id(snapshot_id)
        if size is not None:
            check_size(size)
        state = await self._same(volume_id)
        if state is None:
            state = await self._fork(volume_id, source_id, snapshot_id, size)
        origin = state.origin
        same = origin is not None and (origin.volume, origin.snapshot) == (source_id, snapshot_id)
        if not same or size not in {None, state.first_size}:
            raise Conflict("VolumeExists", f"volume {volume_id} exists and is another")
        return state.info()

    async def _fork(
        self, volume_id: str, source_id: str, snapshot_id: str, size: int | None
    ) -> State:
        """Pin the source's position, then begin a log of its own after it."""
        source = (await self._load(source_id)).state
        pin = source.snapshot(snapshot_id)
        if size is not None and size < pin.size:
            raise Conflict("Shrink", f"the snapshot has {pin.size} bytes")
        now_us = self._env.wall_us()

        def change(state: State) -> State:
            if state.deleted:
                raise NotFound("NoSuchVolume", f"volume {source_id} has been deleted")
            pin = state.snapshot(snapshot_id)
            kept = Pin(CLONE, volume_id, pin.position, pin.size, now_us, pin.checkpoint)
            return with_pin(state, kept)

        source = await self._site.states.change(source_id, change)
        name = await self._site.objects.make(volume_id, source.policy or None)
        if source.key_id:
            await self._site.keys.share(source.key_id, volume_id)
        own = Row(pin.position + 1, volume_id, new_branch(self._site))
        wanted = State(
            volume_id,
            size or pin.size,
            size or pin.size,
            now_us,
            name,
            (*BranchTable(source.rows).until(pin.position), own),
            (pin.checkpoint,),
            position=pin.position,
            origin=Origin(source_id, snapshot_id, pin.position),
            parent=source_id,
            horizon=pin.position,
            key_id=source.key_id,
        )
        return await self._add(wanted)

    async def describe(self, volume_id: str) -> VolumeInfo:
        """See the port."""
        return (await self._load(volume_id)).state.info()

    async def delete(self, volume_id: str) -> None:
        """See the port."""
        check_id(volume_id)
        await removal.delete(self._site, volume_id)

    async def resize(self, volume_id: str, size: int) -> VolumeInfo:
        """See the port."""
        check_size(size)
        await self._load(volume_id)
        state = await self._site.states.change(volume_id, lambda state: grown(state, size))
        return state.info()

    # -- snapshots -----------------------------------------------------------------------------

    async def snapshot(self, volume_id: str, snapshot_id: str) -> SnapshotInfo:
        """See the port."""
        check_id(snapshot_id)
        return snapshot_info(await self._pin_end(volume_id, SNAPSHOT, snapshot_id))

    async def _pin_end(self, volume_id: str, kind: str, pin_id: str, *, expires_us: int = 0) -> Pin:
        """Keep the end of the log. The end is true because the state has not changed since it was read."""
        for _ in range(TRIES):
            known = await self._load(volume_id)
            state = known.state
            there = state.pin(kind, pin_id)
            if there is not None:
                return there
            end = await find_end(self._site, state)
            now_us = self._env.wall_us()
            pin = Pin(kind, pin_id, end.position, state.size, now_us, state.newest, expires_us)
            wanted = changed(with_pin(state, pin), rows=end.table.rows)
            try:
                await self._site.states.swap(known, wanted)
                return pin
            except (PreconditionFailed, UnknownOutcome):
                continue
        raise UnknownOutcome("Contended", f"the state of volume {volume_id} keeps changing")

    async def snapshot_group(self, members: Sequence[tuple[str, str]]) -> list[SnapshotInfo]:
        """Snapshots (volume, snapshot) of one instant: no write that depends on another is in without it.

        Raises UnknownOutcome when writers leave no such instant: hold them (`LogDisk.hold`).
        """
        for _, snapshot_id in members:
            check_id(snapshot_id)

        async def load(volume_id: str) -> State:
            return (await self._load(volume_id)).state

        pins = await cut(self._site, [Member(*one) for one in members], load)
        return [snapshot_info(pin) for pin in pins]

    async def drop_snapshot(self, volume_id: str, snapshot_id: str) -> None:
        """See the port."""
        check_id(snapshot_id)
        await self._load(volume_id)
        await self._unpin(volume_id, SNAPSHOT, snapshot_id)
        await removal.release_parent(self._site, volume_id)

    async def _unpin(self, volume_id: str, kind: str, pin_id: str) -> None:
        await self._site.states.change(volume_id, lambda state: without_pin(state, kind, pin_id))

    async def revert(self, volume_id: str, snapshot_id: str) -> None:
        """See the port."""
        check_id(snapshot_id)
        for _ in range(TRIES):
            known = await self._load(volume_id)
            known.state.snapshot(snapshot_id)
            try:
                await revert(self._site, known, snapshot_id)
                return
            except (PreconditionFailed, UnknownOutcome):
                continue
        raise UnknownOutcome("Contended", f"the state of volume {volume_id} keeps changing")

    async def flatten(self, volume_id: str) -> None:
        """See the port. An attachment of it elsewhere is fenced."""
        if (await self._load(volume_id)).state.parent is None:
            return
        if not (await self._load(volume_id)).state.flattened:
            disk = await self.attach(volume_id, "flatten")
            try:
                await flatten(self._site, volume_id, disk)
            finally:
                disk.abandon()
        await removal.release_parent(self._site, volume_id)

    async def collect(self, volume_id: str) -> None:
        """Give back the space of a volume that is not attached; an attachment elsewhere is fenced."""
        disk = await self.attach(volume_id, "collect")
        try:
            await disk.upkeep.stop()
            await disk.upkeep.collect_all()
        finally:
            disk.abandon()

    # -- disks ---------------------------------------------------------------------------------

    async def attach(self, volume_id: str, owner: str) -> LogDisk:
        """See the port."""
        for _ in range(TRIES):
            known = await self._load(volume_id)
            recovered = await self._recover(known)
            if recovered is None:
                continue
            closed = await self._close(recovered, known.state.size)
            state = await self._claim(known, closed, owner)
            if state is None:
                continue
            recovered = recovered._replace(table=closed.end.table)
            row = closed.end.table.last
            disk = LogDisk(self._site, row, state, recovered, await self._cipher(state))
            if len(state.rows) > 1:
                disk.upkeep.start()
            return disk
        raise UnknownOutcome("Contended", f"volume {volume_id} is attached again and again")

    async def _recover(self, known: Known) -> Recovered | None:
        """The end of the log; None when the state has changed while it was read."""
        state = known.state
        try:
            return await self._site.recovery.at(state, state.newest, None)
        except (NotFound, Corrupt):
            if (await self._load(state.id)).tag == known.tag:
                raise
            return None

    async def _close(self, recovered: Recovered, size: int) -> Closed:
        """End the branch; what came in meanwhile is applied."""
        progress = recovered.progress
        progress.size = max(progress.size, size)
        known = LogEnd(progress.position, recovered.table)
        end = await close_branch(self._site, known, progress.size)
        for entry in end.entries:
            progress.apply(entry)
            recovered.fresh.append(entry)
        return end

    async def _claim(self, known: Known, closed: Closed, owner: str) -> State | None:
        """Name the new branch in the state; None when the take-over has to begin again."""
        for _ in range(TRIES):
            wanted = changed(
                known.state,
                rows=closed.end.table.rows,
                position=closed.end.position,
                owner=owner[:128],
            )
            try:
                return (await self._site.states.swap(known, wanted)).state
            except (PreconditionFailed, UnknownOutcome):
                now = await self._load(known.state.id)
            if now.state.rows == wanted.rows:
                return now.state
            passed = now.state.newest.position != known.state.newest.position
            if passed or now.state.rows != known.state.rows:
                return None
            known = now
        return None

    async def _cipher(self, state: State) -> BlockCipher | None:
        if not state.key_id:
            return None
        return BlockCipher(await self._site.keys.get(state.key_id))

    async def view(
        self, volume_id: str, *, snapshot_id: str | None = None, time_us: int | None = None
    ) -> ViewDisk:
        """See the port."""
        state = (await self._load(volume_id)).state
        if snapshot_id is not None:
            check_id(snapshot_id)
            return await self._view(state, state.snapshot(snapshot_id), None)
        pin_id = self._env.random_bytes(8).hex()
        lease_us = self._env.wall_us() + self._site.tuning.view_lease_s * 1_000_000
        if time_us is None:
            pin = await self._pin_end(volume_id, VIEW, pin_id, expires_us=lease_us)
        else:
            pin = await self._pin_time(volume_id, time_us, pin_id, lease_us)
        state = (await self._load(volume_id)).state
        return await self._view(state, pin, pin_id)

    async def _pin_time(self, volume_id: str, time_us: int, pin_id: str, lease_us: int) -> Pin:
        """Keep the last entry before a time. Raises Refused("OutOfRange")."""
        state = (await self._load(volume_id)).state
        begin_us = self._env.wall_us() - state.retention_s * 1_000_000
        known = [one for one in state.checkpoints if one.time_us <= time_us]
        if time_us < begin_us or not known:
            raise Refused("OutOfRange", "that time is not inside the retention window")
        recovered = await self._site.recovery.at(state, known[-1], None, time_us=time_us)
        progress = recovered.progress
        size = progress.size or state.size
        pin = Pin(VIEW, pin_id, progress.position, size, time_us, known[-1], lease_us)
        await self._site.states.change(volume_id, lambda state: with_pin(state, pin))
        return pin

    async def _view(self, state: State, pin: Pin, lease: str | None) -> ViewDisk:
        recovered = await self._site.recovery.at(state, pin.checkpoint, pin.position)
        window = window_of(self._site, recovered, await self._cipher(state))

        async def let_go() -> None:
            if lease is not None:
                await self._unpin(state.id, VIEW, lease)

        return ViewDisk(self._site, window, state, pin.size, let_go)

    async def changes(
        self, volume_id: str, from_snapshot: str | None, to_snapshot: str
    ) -> AsyncIterator[Extent]:
        """See the port."""
        state = (await self._load(volume_id)).state
        pins = [state.snapshot(to_snapshot)]
        if from_snapshot is not None:
            pins.append(state.snapshot(from_snapshot))
        logs = [await self._site.recovery.at(state, pin.checkpoint, pin.position) for pin in pins]
        older = logs[1] if len(logs) > 1 else None
        async for extent in differences(self._site, older, logs[0], pins[0].size):
            yield extent
