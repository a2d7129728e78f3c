"""Volumes made over: taken back to a snapshot, or made independent of their parents.

Both end in a new base checkpoint that the state names in one swap; until then the volume is what it was.
"""

from __future__ import annotations

from core.errors import NotFound
from volume.checkpointer import Checkpointer
from volume.disk import LogDisk
from volume.end import LogEnd
from volume.progress import Progress
from volume.recovery import Recovered
from volume.site import Site
from volume.state import Checkpoint, Revert, State, changed, parts_of
from volume.states import Known
from volume.takeover import close_branch


async def revert(site: Site, known: Known, snapshot_id: str) -> None:
    """The end of the log becomes what a snapshot is. Attachments are fenced.

    Raises PreconditionFailed and UnknownOutcome when somebody else changed the state: begin again.
    """
    state = known.state
    pin = state.snapshot(snapshot_id)
    head = await site.recovery.at(state, state.newest, None)
    end = LogEnd(head.progress.position, head.table)
    closed = await close_branch(site, end, head.progress.size)
    for entry in closed.entries:
        head.progress.apply(entry)
    target = await site.recovery.at(state, pin.checkpoint, pin.position)
    position = closed.end.position
    ledger, extents = head.progress.ledger, target.progress.map
    ledger.rebase(extents.live(), position)
    extents.dirty = set(extents.leaves)
    progress = Progress(extents, ledger, position, pin.size)
    progress.time_us = site.env.wall_us()
    made = Recovered(progress, closed.end.table, {}, 0, [], [])
    base = await Checkpointer(site, state.id, made, state.newest).store([], base=True)
    kept = state.checkpoints if state.retention_s else ()
    wanted = changed(
        state,
        rows=closed.end.table.rows,
        checkpoints=(*kept, base),
        position=position,
        size=pin.size,
        reverts=(*state.reverts, Revert(pin.position, position)),
    )
    await site.states.swap(known, wanted)
    await drop_parts(site, state, wanted)


async def flatten(site: Site, volume_id: str, disk: LogDisk) -> None:
    """Copy what lies in objects of parents, and store a map that needs nothing of theirs."""
    await disk.upkeep.stop()
    position = await disk.upkeep.copy_foreign()
    before = await disk.upkeep.checkpoint(base=True)

    def change(state: State) -> State:
        if state.deleted:
            raise NotFound("NoSuchVolume", f"volume {volume_id} has been deleted")
        newest: Checkpoint = state.newest
        return changed(
            state,
            flattened=position,
            horizon=max(state.horizon, position),
            checkpoints=(newest,),
        )

    after = await site.states.change(volume_id, change)
    await drop_parts(site, before, after)


async def drop_parts(site: Site, before: State, after: State) -> None:
    """Remove checkpoint objects that a state needed and its successor does not."""
    for part in parts_of([before]) - parts_of([after]):
        if part.volume == after.id:
            await site.objects.remove(part.volume, part.name)
