"""What an attachment does beside writing: checkpoints, giving back space, copying live blocks together.

One task at a time, woken by what was committed. The order of things is what makes it safe: entries are durable before a
checkpoint names them, the checkpoint is durable before the state names it, and the state says how far the dead may go
(`horizon`), in the same swap that looked at every pin, before the first of them goes.
"""

from __future__ import annotations

import asyncio
import logging
from itertools import pairwise

from core.errors import NotFound, RingstackError
from volume.branch import Row, branch_prefix, entry_name
from volume.checkpointer import MAP_PREFIX, Checkpointer
from volume.entry import Entry
from volume.log import Log
from volume.mover import Mover
from volume.port import BLOCK_BYTES, Fenced
from volume.recovery import Recovered
from volume.site import Site
from volume.state import Checkpoint, Part, State, changed, held, parts_of, without_expired

log = logging.getLogger("ringstack.volume")
NAMES_AT_ONCE = 1000


class Upkeep:
    """Of one attachment."""

    def __init__(
        self, site: Site, row: Row, recovered: Recovered, state: State, queue: Log
    ) -> None:
        self._site = site
        self._row = row
        self._progress = recovered.progress
        self._table = recovered.table
        self._queue = queue
        self._mover = Mover(site, recovered.table, recovered.progress)
        self._checkpointer = Checkpointer(site, row.volume, recovered, state.newest)
        self._fresh = list(recovered.fresh)
        self._fresh_blocks = sum(entry.blocks for entry in recovered.fresh)
        self._highest_pin = max((pin.position for pin in state.pins), default=0)
        self._retention_s = state.retention_s
        self._task: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._seen = 0
        self._stuck_at = 0  # garbage that could not be collected, in blocks
        self.moved_blocks = 0

    # -- when ----------------------------------------------------------------------------------

    def noted(self, entry: Entry) -> None:
        """An entry was committed."""
        self._fresh.append(entry)
        self._fresh_blocks += entry.blocks
        look = self._looks(entry) and self._collection_due()
        if self._task is None and (look or self._checkpoint_due()):
            self._task = asyncio.get_running_loop().create_task(self._work())

    def _looks(self, entry: Entry) -> bool:
        """Every so many entries; a full one counts for a quarter of that."""
        tuning = self._site.tuning
        self._seen += 1 + entry.blocks * tuning.look_every // (4 * tuning.batch_blocks)
        if self._seen < tuning.look_every:
            return False
        self._seen = 0
        return True

    def start(self) -> None:
        """Begin with what an earlier attachment left undone."""
        self._task = asyncio.get_running_loop().create_task(self._work(sweep=True))

    def _checkpoint_due(self) -> bool:
        tuning = self._site.tuning
        return (
            len(self._fresh) >= tuning.checkpoint_entries
            or self._fresh_blocks >= tuning.checkpoint_blocks
        )

    def _small(self) -> list[int]:
        """Objects to be merged: the oldest small ones, when there are many."""
        tuning, ledger = self._site.tuning, self._progress.ledger
        below = self._progress.position - tuning.window
        found = ledger.small(tuning.small_blocks, above=self._highest_pin, below=below)
        if len(found) < tuning.small_count:
            return []
        numbers, blocks = [], 0
        for number in found.tolist():
            blocks += ledger.live_of(number)
            if blocks > tuning.batch_blocks:
                break
            numbers.append(number)
        return numbers

    def _collection_due(self) -> bool:
        return self._garbage_due() or bool(self._small())

    def _garbage_due(self) -> bool:
        tuning = self._site.tuning
        garbage = self._progress.ledger.garbage(self._highest_pin)
        used = self._progress.ledger.live_blocks
        wanted = max(tuning.collect_min_blocks, int(used * (1 / tuning.full_ratio - 1)))
        return garbage >= wanted and garbage != self._stuck_at

    async def _work(self, *, sweep: bool = False) -> None:
        """Until nothing is due; trouble is left to the next time."""
        try:
            if sweep:
                await self.sweep()
            while self._queue.failure is None:
                if self._checkpoint_due():
                    await self.checkpoint()
                elif self._collection_due():
                    await self._collect()
                else:
                    return
        except RingstackError as error:
            log.warning("upkeep of volume %s waits: %s", self._row.volume, error)
        finally:
            self._task = None

    async def idle(self) -> None:
        """Until nothing is under way."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def stop(self) -> None:
        """Leave off."""
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def cancel(self) -> None:
        """Leave off at once."""
        if self._task is not None:
            self._task.cancel()

    # -- checkpoints ---------------------------------------------------------------------------

    async def checkpoint(self, *, base: bool = False) -> State:
        """Store where everything is, name it in the state, then give back what is dead. Raises Fenced."""
        async with self._lock:
            fresh, self._fresh = self._fresh, []
            blocks, self._fresh_blocks = self._fresh_blocks, 0
            try:
                new = await self._checkpointer.store(fresh, base=base)
            except BaseException:
                self._fresh = fresh + self._fresh
                self._fresh_blocks += blocks
                raise
            state, free, parts = await self._name(new)
            self._highest_pin = max((pin.position for pin in state.pins), default=0)
            self._stuck_at = 0
            await self._remove(free)
            for part in parts:
                if part.volume == self._row.volume:
                    await self._site.objects.remove(part.volume, part.name)
            return state

    # -- naming it, and what may go then -------------------------------------------------------

    async def _name(self, new: Checkpoint) -> tuple[State, list[int], set[Part]]:
        """Swap the state; says which entries and parts are of no use from then on."""
        now_us = self._site.env.wall_us()
        ledger, size = self._progress.ledger, self._progress.size
        free: list[int] = []
        parts: set[Part] = set()

        def change(state: State) -> State:
            self._check(state)
            state = without_expired(state, now_us)
            checkpoints = self._kept(state, new, now_us)
            limit = checkpoints[0].position
            pins = [] if "no-pins" in self._site.tuning.broken else held(state)
            free[:] = ledger.removable(pins, limit)
            deaths = [ledger.deaths[number] for number in free]
            wanted = changed(
                state,
                rows=self._rows(state, limit),
                checkpoints=checkpoints,
                position=max(state.position, new.position),
                size=max(state.size, size),
                stored_bytes=(ledger.blocks - ledger.size_of(free)) * BLOCK_BYTES,
                horizon=max([state.horizon, *deaths]),
            )
            parts.clear()
            parts.update(parts_of([state]) - parts_of([wanted]))
            return wanted

        if "early-removal" in self._site.tuning.broken:
            change((await self._site.states.load(self._row.volume)).state)
            await self._remove(list(free))
        state = await self._site.states.change(self._row.volume, change)
        return state, free, parts

    def _check(self, state: State) -> None:
        """Only the attachment that the state names may change it."""
        if state.rows[-1].branch != self._row.branch or state.deleted:
            raise Fenced(self._row.volume)

    def _rows(self, state: State, limit: int) -> tuple[Row, ...]:
        """Branches without those of which nothing is left, nor is ever replayed."""
        rows = state.rows
        if len(rows) <= self._site.tuning.rows_kept:
            return rows
        begin = min([limit, *(pin.checkpoint.position for pin in state.pins)])
        kept = []
        for row, following in pairwise(rows):
            own = row.volume == state.id and row.first != state.first
            past = own and following.first - 1 <= begin
            if not past or self._progress.ledger.any_in(row.first, following.first):
                kept.append(row)
        return (*kept, rows[-1])

    def _kept(self, state: State, new: Checkpoint, now_us: int) -> tuple[Checkpoint, ...]:
        """The new one, and before it what a retention window needs, thinned out."""
        if not state.retention_s:
            return (new,)
        begin = now_us - state.retention_s * 1_000_000
        older = [one for one in state.checkpoints if one.position < new.position]
        inside = next((i for i, one in enumerate(older) if one.time_us > begin), len(older))
        kept = older[max(0, inside - 1) :]
        if len(kept) > self._site.tuning.kept_checkpoints:
            kept = [kept[0], *kept[1:-1:2], kept[-1]]
        return (*kept, new)

    async def _remove(self, numbers: list[int]) -> None:
        limit = asyncio.Semaphore(self._site.tuning.remove_at_once)

        async def one(number: int) -> None:
            async with limit:
                row = self._table.row(number)
                await self._site.objects.remove(row.volume, entry_name(row, number))
            self._progress.ledger.removed(number)

        await asyncio.gather(*(one(number) for number in numbers))

    # -- collecting ----------------------------------------------------------------------------

    async def _collect(self) -> None:
        """Copy what lives in the emptiest objects; they are dead once the copy is committed."""
        ledger, tuning = self._progress.ledger, self._site.tuning
        before = ledger.garbage(self._highest_pin)
        numbers = self._small()
        if self._garbage_due():
            numbers = ledger.victims(
                tuning.batch_blocks,
                above=self._highest_pin,
                below=self._progress.position - tuning.window,
                overhead=tuning.collect_overhead,
            )
        if not numbers:
            self._stuck_at = before
            return
        try:
            cargo = await self._mover.live(numbers)
        except NotFound:
            return
        if not cargo.blocks:
            self._stuck_at = before
            return
        await self._queue.room(tuning.flush_timeout_s)
        self.moved_blocks += cargo.blocks
        await self._queue.wait(self._queue.send(cargo), tuning.flush_timeout_s)

    async def collect_all(self) -> None:
        """Until the log is as full as it shall be, and nothing dead is left."""
        while self._collection_due() and self._queue.failure is None:
            await self._collect()
        await self.checkpoint()

    async def copy_foreign(self) -> int:
        """Copy everything that lies in objects of a parent; the position after it."""
        extents, first = self._progress.map, self._progress.ledger.first
        step = self._site.tuning.batch_blocks
        for number in sorted(extents.leaves):
            start = number * extents.leaf_blocks
            for low in range(start, start + extents.leaf_blocks, step):
                count = min(step, start + extents.leaf_blocks - low)
                runs = [
                    run
                    for run in extents.runs(low, count)
                    if run.data and run.object_number < first
                ]
                if runs:
                    cargo = await self._mover.foreign(runs)
                    await self._queue.room(self._site.tuning.flush_timeout_s)
                    ticket = self._queue.send(cargo)
                    await self._queue.wait(ticket, self._site.tuning.flush_timeout_s)
        return self._progress.position

    # -- what crashes left ---------------------------------------------------------------------

    async def sweep(self) -> int:
        """Remove objects that nothing names: checkpoints older than the newest, entries beyond an END."""
        objects, volume = self._site.objects, self._row.volume
        known = (await self._site.states.load(volume)).state
        self._check(known)
        needed = {part.name for part in parts_of([known]) if part.volume == volume}
        newest = f"{MAP_PREFIX}{known.newest.position:012x}"
        names = await objects.names(volume, MAP_PREFIX, "", NAMES_AT_ONCE)
        gone = [name for name in names if name < newest and name not in needed]
        own = [row for row in known.rows if row.volume == volume]
        for row, following in pairwise(own):
            last = entry_name(row, following.first - 1)
            gone += await objects.names(volume, branch_prefix(row.branch), last, NAMES_AT_ONCE)
        for name in gone:
            await objects.remove(volume, name)
        return len(gone)
