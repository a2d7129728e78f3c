"""Snapshots of several volumes at one instant.

All ends are read, then all are read again: if none has moved, there was an instant between at which every volume was
there, and exactly these positions are pinned. So a member that has its pin has a right one; a set that is
not complete, because somebody died over it, is taken back and made anew.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from core.errors import Conflict, UnknownOutcome
from volume.end import LogEnd, find_end
from volume.site import Site
from volume.state import SNAPSHOT, Pin, State, changed, with_pin, without_pin

TRIES = 40

Load = Callable[[str], Awaitable[State]]


class Member(NamedTuple):
    """A volume, and what its snapshot shall be called."""

    volume: str
    snapshot: str


class _Seen(NamedTuple):
    state: State
    end: LogEnd


async def cut(site: Site, members: Sequence[Member], load: Load) -> list[Pin]:
    """The pins, in order. Raises UnknownOutcome when writers leave no such instant: hold them."""
    for _ in range(TRIES):
        pins = [(await load(one.volume)).pin(SNAPSHOT, one.snapshot) for one in members]
        if all(pins):
            return [pin for pin in pins if pin is not None]
        for one, pin in zip(members, pins, strict=True):
            if pin is not None:
                await _drop(site, one)
        before = [await _see(site, one, load) for one in members]
        after = [await _see(site, one, load) for one in members]
        if [one.end.position for one in before] != [one.end.position for one in after]:
            continue
        try:
            return [await _pin(site, one, seen) for one, seen in zip(members, after, strict=True)]
        except Conflict:
            continue
    raise UnknownOutcome("Contended", "the volumes of the group keep being written")


async def _see(site: Site, member: Member, load: Load) -> _Seen:
    state = await load(member.volume)
    return _Seen(state, await find_end(site, state))


async def _drop(site: Site, member: Member) -> None:
    await site.states.change(
        member.volume, lambda state: without_pin(state, SNAPSHOT, member.snapshot)
    )


async def _pin(site: Site, member: Member, seen: _Seen) -> Pin:
    """Keep exactly the end that was seen. Raises Conflict("Passed") when that is not certain any more."""
    old, end = seen
    now_us = site.env.wall_us()

    def change(state: State) -> State:
        there = state.pin(SNAPSHOT, member.snapshot)
        if there is not None and there.position == end.position:
            return state
        same = (state.newest, state.horizon, state.rows) == (old.newest, old.horizon, old.rows)
        if there is not None or not same or state.deleted:
            raise Conflict("Passed", f"volume {member.volume} has gone on")
        pin = Pin(SNAPSHOT, member.snapshot, end.position, state.size, now_us, state.newest)
        return changed(with_pin(state, pin), rows=end.table.rows)

    return (await site.states.change(member.volume, change)).snapshot(member.snapshot)
