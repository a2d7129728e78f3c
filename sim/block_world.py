"""Objects of volumes in memory, with every moment at which everything may stop.

Every change is begun, takes effect, and is answered, at three different moments of virtual time; now and then its
outcome stays unknown. `points` remembers the world at each of them together with what was in flight, so that
a crash can be tried afterwards at any point, with any subset of what was in flight having landed.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
from collections.abc import Callable
from typing import Any, NamedTuple

from core.errors import Conflict, NotFound, PreconditionFailed, UnknownOutcome
from volume.objects import Piece

UNKNOWN = 0.02  # of the changes
DELAY_S = 0.002
LATE_S = 0.2  # after which what somebody gave up may still take effect
SUBSETS_MAX = 8


class Stored(NamedTuple):
    """An object."""

    body: bytes
    mark: str
    tag: str


World = dict[str, dict[str, Stored]]


class Change(NamedTuple):
    """A change that was asked for. `kind`: make, drop, add, swap, remove."""

    kind: str
    volume: str
    name: str = ""
    body: bytes = b""
    mark: str = ""
    tag: str = ""

    def apply(self, world: World) -> None:
        """Take effect. Raises what the store would."""
        room = world.get(self.volume)
        if self.kind == "make":
            world.setdefault(self.volume, {})
            return
        if room is None:
            raise NotFound("NoSuchContainer", f"there is no volume {self.volume}")
        if self.kind == "drop":
            if room:
                raise Conflict("ContainerNotEmpty", f"volume {self.volume} is not empty")
            del world[self.volume]
            return
        self._apply_in(world, room)

    def _apply_in(self, world: World, room: dict[str, Stored]) -> None:
        there = room.get(self.name)
        if self.kind == "remove":
            if there is None:
                raise NotFound("NoSuchObject", f"there is no {self.name}")
            world[self.volume] = {k: v for k, v in room.items() if k != self.name}
            return
        if self.kind == "add" and there is not None:
            raise PreconditionFailed("Exists", f"{self.name} exists")
        if self.kind == "swap" and (there is None or there.tag != self.tag):
            raise PreconditionFailed("Changed", f"{self.name} has changed")
        tag = hashlib.md5(self.body, usedforsecurity=False).hexdigest()
        world[self.volume] = {**room, self.name: Stored(self.body, self.mark, tag)}


class Point(NamedTuple):
    """A moment: what was stored, what was in flight, and what the model expects."""

    world: World
    flying: tuple[Change, ...]
    expected: Any

    def crashes(self, chance: random.Random) -> list[World]:
        """What may be stored after a crash here: any of what was in flight has landed, in any order."""
        number = len(self.flying)
        picks = list(itertools.product((False, True), repeat=number)) if number < 6 else []
        if not picks or len(picks) > SUBSETS_MAX:
            some = [
                tuple(chance.random() < 0.5 for _ in range(number)) for _ in range(SUBSETS_MAX - 2)
            ]
            picks = [(False,) * number, (True,) * number, *some]
        return [self._landed(pick, chance) for pick in picks]

    def _landed(self, pick: tuple[bool, ...], chance: random.Random) -> World:
        world = dict(self.world)
        landed = [change for change, lands in zip(self.flying, pick, strict=True) if lands]
        chance.shuffle(landed)
        for change in landed:
            try:
                change.apply(world)
            except (NotFound, PreconditionFailed, Conflict):
                continue
        return world


class CrashObjects:
    """Implements `volume.objects.Objects`. `expected` is asked at every point; without it none is kept."""

    def __init__(
        self,
        world: World,
        chance: random.Random,
        expected: Callable[[], Any] | None = None,
    ) -> None:
        self.world = world
        self.points: list[Point] = []
        self._chance = chance
        self._expected = expected
        self._flying: dict[int, Change] = {}
        self._count = itertools.count()

    def point(self) -> None:
        """Everything may stop here."""
        if self._expected is not None:
            flying = tuple(self._flying.values())
            self.points.append(Point(dict(self.world), flying, self._expected()))

    async def _wait(self) -> None:
        await asyncio.sleep(self._chance.random() * DELAY_S if self._expected else 0)

    async def _do(self, change: Change) -> None:
        if self._expected is None:
            await asyncio.sleep(0)
            change.apply(self.world)
            return
        number = next(self._count)
        self._flying[number] = change
        self.point()
        lost = self._chance.random() < UNKNOWN
        try:
            await self._wait()
            if lost and self._chance.random() < 0.5:
                self._land_late(number, change)
                raise UnknownOutcome("UnknownOutcome", "nobody knows whether it took effect")
            self._flying.pop(number)
            change.apply(self.world)
        except asyncio.CancelledError:
            self._land_late(number, change)
            raise
        self.point()
        await self._wait()
        if lost:
            raise UnknownOutcome("UnknownOutcome", "nobody knows whether it took effect")

    def _land_late(self, number: int, change: Change) -> None:
        """Nobody waits for it any more; it takes effect later, or never."""
        if number not in self._flying:
            return
        if change.kind == "drop" or self._chance.random() < 0.3:
            del self._flying[number]
            return
        wait_s = self._chance.random() * LATE_S
        asyncio.get_running_loop().call_later(wait_s, self._land, number)

    def _land(self, number: int) -> None:
        try:
            self._flying.pop(number).apply(self.world)
        except (NotFound, PreconditionFailed, Conflict):
            return
        self.point()

    def _room(self, volume: str) -> dict[str, Stored]:
        room = self.world.get(volume)
        if room is None:
            raise NotFound("NoSuchContainer", f"there is no volume {volume}")
        return room

    # -- the protocol --------------------------------------------------------------------------

    async def make(self, volume: str, policy: str | None) -> str:
        """See the protocol."""
        while True:
            try:
                await self._do(Change("make", volume))
                return policy or "memory"
            except UnknownOutcome:
                continue

    async def drop(self, volume: str) -> None:
        """See the protocol."""
        await self._certain(Change("drop", volume))

    async def _certain(self, change: Change) -> None:
        """What may be repeated is repeated; what is not there is fine."""
        while True:
            try:
                await self._do(change)
                return
            except UnknownOutcome:
                continue
            except NotFound:
                return

    async def add(self, volume: str, name: str, body: bytes, mark: str) -> None:
        """See the protocol."""
        await self._do(Change("add", volume, name, body, mark))

    async def swap(self, volume: str, name: str, body: bytes, tag: str) -> None:
        """See the protocol."""
        await self._do(Change("swap", volume, name, body, "state", tag))

    async def find(self, volume: str, name: str) -> Piece:
        """See the protocol."""
        await self._wait()
        stored = self._room(volume).get(name)
        if stored is None:
            raise NotFound("NoSuchObject", f"there is no {name}")
        body = stored.body
        inline = body if len(body) <= 8192 else None
        return Piece(volume, name, len(body), stored.mark, stored.tag, inline)

    async def read(self, piece: Piece, start: int, length: int) -> bytes | memoryview:
        """See the protocol."""
        await self._wait()
        stored = self._room(piece.volume).get(piece.name)
        if stored is None:
            raise NotFound("NoSuchObject", f"there is no {piece.name}")
        return memoryview(stored.body)[start : start + length]

    async def remove(self, volume: str, name: str) -> None:
        """See the protocol."""
        await self._certain(Change("remove", volume, name))

    async def names(self, volume: str, prefix: str, after: str, limit: int) -> list[str]:
        """See the protocol."""
        await self._wait()
        room = sorted(name for name in self._room(volume) if name.startswith(prefix))
        return [name for name in room if name > after][:limit]
