"""The end of volumes: fenced, marked, emptied once no clone needs them, and then their parents likewise.

Every step can be repeated, in this order: nobody can write any more; the state says deleted; the objects go; the pin in
the parent goes; the state goes; the container goes. Whoever finds a volume half deleted can finish it.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial

from core.errors import Conflict, NotFound, PreconditionFailed, UnknownOutcome
from volume.end import find_end
from volume.site import Site
from volume.state import CLONE, SNAPSHOT, Pin, State, changed, needs_parent, without_pin
from volume.states import STATE
from volume.takeover import close_branch

PAGE = 1000
TRIES = 40
UNFINISHED_S = 3600  # after which a clone whose making was never finished is given up


async def delete(site: Site, volume_id: str) -> None:
    """Raises NotFound, Conflict("HasSnapshots")."""
    for _ in range(TRIES):
        known = await site.states.load(volume_id)
        if known.state.deleted:
            break
        _refuse_snapshots(known.state)
        closed = await close_branch(site, await find_end(site, known.state), known.state.size)
        wanted = changed(
            known.state, deleted=True, rows=closed.end.table.rows, position=closed.end.position
        )
        try:
            await site.states.swap(known, wanted)
            break
        except (PreconditionFailed, UnknownOutcome):
            continue
    else:
        raise UnknownOutcome("Contended", f"volume {volume_id} keeps changing")
    await purge(site, volume_id)


def _refuse_snapshots(state: State) -> None:
    if any(pin.kind == SNAPSHOT for pin in state.pins):
        raise Conflict("HasSnapshots", f"volume {state.id} has snapshots")


async def purge(site: Site, volume_id: str) -> None:
    """Empty a deleted volume that no clone needs, and let go of its parent."""
    try:
        state = (await site.states.load(volume_id)).state
    except NotFound:
        with contextlib.suppress(NotFound):
            await _drop(site, volume_id)
        return
    if not state.deleted or await _clones(site, state):
        return
    await _empty(site, volume_id, keep=STATE)
    if state.key_id:
        await site.keys.release(state.key_id, volume_id)
    if state.parent is not None:
        await _let_go(site, state.parent, volume_id)
    await site.states.remove(volume_id)
    await _drop(site, volume_id)


async def _clones(site: Site, state: State) -> list[Pin]:
    """Clones that need it; those whose making was never finished are given up."""
    needed = []
    overdue_us = site.env.wall_us() - UNFINISHED_S * 1_000_000
    for pin in state.pins:
        if pin.kind != CLONE:
            continue
        if pin.created_us < overdue_us and not await _is_clone(site, pin.id, state.id):
            await site.states.change(state.id, partial(without_pin, kind=CLONE, pin_id=pin.id))
            continue
        needed.append(pin)
    return needed


async def _is_clone(site: Site, volume_id: str, parent: str) -> bool:
    try:
        return (await site.states.load(volume_id)).state.parent == parent
    except NotFound:
        return False


async def _empty(site: Site, volume_id: str, *, keep: str = "") -> None:
    """Remove all objects but one."""
    limit = asyncio.Semaphore(site.tuning.remove_at_once)

    async def one(name: str) -> None:
        async with limit:
            await site.objects.remove(volume_id, name)

    after = ""
    while True:
        names = await site.objects.names(volume_id, "", after, PAGE)
        await asyncio.gather(*(one(name) for name in names if name != keep))
        if len(names) < PAGE:
            return
        after = names[-1]


async def _drop(site: Site, volume_id: str) -> None:
    """Remove the container; what a fenced writer had in flight may still have to go."""
    for turn in range(TRIES):
        try:
            await site.objects.drop(volume_id)
            return
        except Conflict:
            await _empty(site, volume_id)
            await asyncio.sleep(0.01 * turn)
    raise UnknownOutcome("NotEmpty", f"volume {volume_id} keeps getting objects")


async def _let_go(site: Site, parent: str, clone: str) -> None:
    """A clone needs its parent no more."""
    try:
        await site.states.change(parent, lambda state: without_pin(state, CLONE, clone))
    except NotFound:
        return
    await purge(site, parent)
    with contextlib.suppress(NotFound):
        await release_parent(site, parent)


async def release_parent(site: Site, volume_id: str) -> None:
    """Let go of the parent of a flattened volume, once no position from before needs it."""
    state = (await site.states.load(volume_id)).state
    if state.parent is None or needs_parent(state) or state.deleted:
        return
    await _let_go(site, state.parent, volume_id)
    await site.states.change(volume_id, _orphaned)


def _orphaned(state: State) -> State:
    return state if state.parent is None else changed(state, parent=None)
