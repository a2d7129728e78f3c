"""State records in the store: read, and changed by compare-and-swap until it succeeds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from core.errors import NotFound, PreconditionFailed, UnknownOutcome
from volume.objects import Objects, Piece
from volume.state import State, decode_state, encode_state

STATE = "state"
TRIES = 40
PAUSE_S = 0.05

Change = Callable[[State], State]


class Known(NamedTuple):
    """A state and the tag that it can be swapped by."""

    state: State
    tag: str


class States:
    """The state of every volume."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def load(self, volume_id: str) -> Known:
        """Raises NotFound("NoSuchVolume"), Corrupt."""
        try:
            piece = await self._objects.find(volume_id, STATE)
            raw = await _body(self._objects, piece)
        except NotFound:
            raise NotFound("NoSuchVolume", f"there is no volume {volume_id}") from None
        return Known(decode_state(raw), piece.tag)

    async def add(self, state: State) -> None:
        """The first state of a volume. Raises PreconditionFailed when there is one."""
        await self._objects.add(state.id, STATE, encode_state(state), STATE)

    async def swap(self, known: Known, state: State) -> Known:
        """Replace exactly what is known. Raises PreconditionFailed, UnknownOutcome, NotFound."""
        try:
            await self._objects.swap(state.id, STATE, encode_state(state), known.tag)
        except UnknownOutcome:
            now = await self.load(state.id)
            if now.state != state:
                raise
            return now
        return await self.load(state.id)

    async def change(self, volume_id: str, change: Change) -> State:
        """Apply a change that may be applied twice; raises what it raises."""
        for turn in range(TRIES):
            known = await self.load(volume_id)
            wanted = change(known.state)
            if wanted is known.state:
                return wanted
            try:
                await self._objects.swap(volume_id, STATE, encode_state(wanted), known.tag)
                return wanted
            except (PreconditionFailed, UnknownOutcome):
                await asyncio.sleep(PAUSE_S * min(turn, 10))
            except NotFound:
                raise NotFound("NoSuchVolume", f"there is no volume {volume_id}") from None
        raise UnknownOutcome("Contended", f"the state of volume {volume_id} keeps changing")

    async def remove(self, volume_id: str) -> None:
        """The last thing to go."""
        await self._objects.remove(volume_id, STATE)


async def _body(objects: Objects, piece: Piece) -> bytes | memoryview:
    if piece.inline is not None:
        return piece.inline
    return await objects.read(piece, 0, piece.size)
