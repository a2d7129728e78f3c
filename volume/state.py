"""The state record of a volume: what it is, where its log is, and what must be kept. Pure.

One object, replaced only by compare-and-swap. Every change is a function from one state to the next that does nothing
when it has been made already, so that it can be repeated when its outcome is unknown. The log is the truth about
content; the state names checkpoints of it, and positions (pins) that others rely on.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from core.errors import Conflict, Corrupt, NotFound
from volume.branch import Row
from volume.ledger import Held
from volume.port import SnapshotInfo, VolumeInfo

SNAPSHOT, CLONE, VIEW = "snapshot", "clone", "view"
VERSION = 1


class Part(msgspec.Struct, array_like=True, frozen=True):
    """An object of a checkpoint."""

    volume: str
    name: str


class Checkpoint(msgspec.Struct, array_like=True, frozen=True):
    """The map at `position` can be had from a base and the deltas after it, in order.

    `parts`: every object that is needed for it, leaves of earlier bases too. Without a base the map is empty.
    """

    position: int
    time_us: int
    base: Part | None = None
    deltas: tuple[Part, ...] = ()
    parts: tuple[Part, ...] = ()


class Pin(msgspec.Struct, array_like=True, frozen=True):
    """A position that must stay readable: of a snapshot, for a clone (its id), or for a view (until `expires_us`)."""

    kind: str
    id: str
    position: int
    size: int
    created_us: int
    checkpoint: Checkpoint
    expires_us: int = 0


class Origin(msgspec.Struct, array_like=True, frozen=True):
    """What a clone was made of, and of what size."""

    volume: str
    snapshot: str
    position: int


class Revert(msgspec.Struct, array_like=True, frozen=True):
    """The entries after `target` up to `end` were taken back."""

    target: int
    end: int


class State(msgspec.Struct, array_like=True, frozen=True):
    """Everything. `horizon`: log objects that died up to here may have gone, unless a pin keeps them.

    `checkpoints`: oldest first, the newest last; more than one only inside a retention window. `parent`: the volume
    whose objects this one still reads (None once flattened). `turn` counts the changes.
    """

    id: str
    first_size: int
    size: int
    created_us: int
    policy: str
    rows: tuple[Row, ...]
    checkpoints: tuple[Checkpoint, ...]
    turn: int = 0
    position: int = 0
    stored_bytes: int = 0
    pins: tuple[Pin, ...] = ()
    origin: Origin | None = None
    parent: str | None = None
    horizon: int = 0
    retention_s: int = 0
    key_id: str = ""
    deleted: bool = False
    flattened: int = 0  # positions before it still need the parent
    reverts: tuple[Revert, ...] = ()
    owner: str = ""
    version: int = VERSION

    @property
    def newest(self) -> Checkpoint:
        """The checkpoint that recovery of the end begins with."""
        return self.checkpoints[-1]

    @property
    def first(self) -> int:
        """Number of the first entry that is in this volume itself."""
        return min(row.first for row in self.rows if row.volume == self.id)

    def pin(self, kind: str, pin_id: str) -> Pin | None:
        """A pin by its name."""
        return next((pin for pin in self.pins if (pin.kind, pin.id) == (kind, pin_id)), None)

    def snapshot(self, snapshot_id: str) -> Pin:
        """Raises NotFound("NoSuchSnapshot")."""
        found = self.pin(SNAPSHOT, snapshot_id)
        if found is None:
            raise NotFound("NoSuchSnapshot", f"volume {self.id} has no snapshot {snapshot_id}")
        return found

    def checkpoint_at(self, position: int) -> Checkpoint | None:
        """The newest one that is not after a position."""
        known = [*self.checkpoints, *(pin.checkpoint for pin in self.pins)]
        fitting = [one for one in known if one.position <= position]
        return max(fitting, key=lambda one: one.position, default=None)

    def info(self) -> VolumeInfo:
        """As the port shows it."""
        return VolumeInfo(
            self.id,
            self.size,
            self.created_us,
            self.position,
            self.stored_bytes,
            self.policy,
            self.parent,
            bool(self.key_id),
            self.retention_s,
            tuple(snapshot_info(pin) for pin in self.pins if pin.kind == SNAPSHOT),
            self.owner,
        )


def snapshot_info(pin: Pin) -> SnapshotInfo:
    """As the port shows it."""
    return SnapshotInfo(pin.id, pin.position, pin.size, pin.created_us)


def encode_state(state: State) -> bytes:
    """Msgpack."""
    return msgspec.msgpack.encode(state)


_decoder = msgspec.msgpack.Decoder(State)


def decode_state(raw: bytes | memoryview) -> State:
    """Raises Corrupt("BadState")."""
    try:
        state = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Corrupt("BadState", f"the state of a volume does not decode: {error}") from None
    firsts = [row.first for row in state.rows]
    own = any(row.volume == state.id for row in state.rows)
    if state.version != VERSION or not state.checkpoints or not own:
        raise Corrupt("BadState", "the state of a volume contradicts itself")
    if firsts != sorted(set(firsts)) or not firsts or firsts[0] < 1:
        raise Corrupt("BadState", "the branches of a volume are not in order")
    return state


# -- changes -----------------------------------------------------------------------------------


def changed(state: State, **fields: object) -> State:
    """The next state."""
    return msgspec.structs.replace(state, turn=state.turn + 1, **fields)


def with_pin(state: State, pin: Pin) -> State:
    """Keep a position. The same name again changes nothing.

    Raises Conflict("Passed") when the position cannot be kept any more.
    """
    if state.pin(pin.kind, pin.id) is not None:
        return state
    kept = any(one.position == pin.position for one in state.pins)
    if pin.position < state.horizon and not kept:
        raise Conflict("Passed", f"position {pin.position} of volume {state.id} has gone")
    return changed(state, pins=(*state.pins, pin), position=max(state.position, pin.position))


def without_pin(state: State, kind: str, pin_id: str) -> State:
    """Give a position up."""
    kept = tuple(pin for pin in state.pins if (pin.kind, pin.id) != (kind, pin_id))
    return state if len(kept) == len(state.pins) else changed(state, pins=kept)


def without_expired(state: State, now_us: int) -> State:
    """Views that nobody closed in time are over."""
    kept = tuple(pin for pin in state.pins if not pin.expires_us or pin.expires_us > now_us)
    return state if len(kept) == len(state.pins) else changed(state, pins=kept)


def grown(state: State, size: int) -> State:
    """Raises Conflict("Shrink")."""
    if size < state.size:
        raise Conflict("Shrink", f"volume {state.id} has {state.size} bytes already")
    return state if size == state.size else changed(state, size=size)


def held(state: State) -> list[Held]:
    """Positions before the oldest checkpoint that the removal of objects must respect."""
    return [Held(pin.position, pin.checkpoint.position) for pin in state.pins]


def needs_parent(state: State) -> bool:
    """Some position of it, or what was cloned from it, still reads objects of the parent."""
    if state.parent is None:
        return False
    return not state.flattened or any(pin.position < state.flattened for pin in state.pins)


def parts_of(states: Iterable[State]) -> set[Part]:
    """Every checkpoint object that is needed."""
    needed: set[Part] = set()
    for state in states:
        for one in [*state.checkpoints, *(pin.checkpoint for pin in state.pins)]:
            needed.update(one.parts)
    return needed
