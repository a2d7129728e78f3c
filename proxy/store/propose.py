"""Decisions of a CASPaxos proposer and of a quorum reader. Pure.

Each function judges the answers of one round; `proxy/store/registers.py` performs the rounds. The rules,
and what breaks when one is left out, are in ARCHITECTURE.md and were checked by an executable model:
- only a majority of granted prepares may lead to an accept, built on the highest ballot among them;
- an answer that rests on a record (a failed condition, a read) needs that record on a majority;
- "I hold something newer" never counts as a yes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from core.errors import Moved
from core.frame import Frame
from core.stamp import ZERO, stage_of
from objectd import wire
from proxy.store.majority import Majority


class Seen(NamedTuple):
    """What a majority of replicas hold: the record of the highest ballot among their answers.

    `confirmed`: a majority hold exactly this record. `complete`: `body` has what was asked for. `floor`:
    the highest of the range: what was held at or below it may have been reclaimed. `generation`: the highest
    of the devices that hold the record.
    """

    held: wire.Held
    body: bytes | memoryview
    confirmed: bool
    complete: bool
    floor: bytes = b""
    generation: int = 0


class Blocked(NamedTuple):
    """No majority. `above`: the next ballot must be higher than this. `lost`: replicas that did not answer."""

    above: bytes
    lost: int
    full: bool


class Fenced(NamedTuple):
    """Some replica has seen a later stage of this range."""

    stage: int


def fenced(replies: Mapping[int, Frame]) -> Fenced | None:
    """The latest stage that refused us, or None."""
    stage = -1
    for frame in replies.values():
        if frame.status == wire.STALE:
            stage = max(stage, stage_of(wire.decode_refusal(frame.head).ballot))
    return Fenced(stage) if stage >= 0 else None


def check_placed(replies: Mapping[int, Frame]) -> None:
    """Raise Moved when a replica knows a newer ring by which the range has moved."""
    if misplaced(replies):
        raise Moved(max(frame.epoch for frame in replies.values() if frame.status == wire.OLD_RING))


def misplaced(replies: Mapping[int, Frame]) -> bool:
    """Some replica knows a newer ring by which the range has moved."""
    return any(frame.status == wire.OLD_RING for frame in replies.values())


def blocked(replies: Mapping[int, Frame], count: int) -> Blocked:
    """Why there was no majority."""
    above = ZERO
    lost = count - len(replies)
    full = False
    for frame in replies.values():
        if frame.status == wire.REFUSED:
            above = max(above, wire.decode_refusal(frame.head).ballot)
        elif frame.status == wire.FULL:
            full = True
        elif frame.status != wire.OK:
            lost += 1
    return Blocked(above, lost, full)


def judge_held(
    replies: Mapping[int, Frame], majority: Majority, wants: Mapping[int, int]
) -> Seen | Blocked | Fenced:
    """Judge the answers to prepares or reads, asked for `wants` each. Raises Moved."""
    check_placed(replies)
    stale = fenced(replies)
    if stale is not None:
        return stale
    if not majority.granted(replies):
        return blocked(replies, majority.total)
    best: wire.Held | None = None
    body: bytes | memoryview = b""
    complete = False
    same: list[int] = []
    floor, generation = b"", 0
    for position, frame in replies.items():
        if frame.status != wire.OK:
            continue
        held = wire.decode_held(frame.head)
        floor = max(floor, held.floor)
        if best is None or held.ballot > best.ballot:
            best, body, complete, same, generation = held, b"", False, [], 0
        if held.ballot == best.ballot:
            same.append(position)
            generation = max(generation, held.generation)
            if not complete and _carries(frame, held, wants.get(position, wire.WANT_BALLOT)):
                body, complete = frame.body, True
    assert best is not None
    return Seen(best, body, majority.of(same), complete, floor, generation)


def _carries(frame: Frame, held: wire.Held, want: int) -> bool:
    """The answer has everything that was asked for, and its bytes verify."""
    if held.ballot == ZERO:
        return True
    front = held.summary_bytes + held.meta_bytes
    whole = front + held.inline_bytes
    if want == wire.WANT_BALLOT or len(frame.body) not in {front, whole}:
        return False
    return len(frame.body) < whole or wire.digest_of(frame.body) == held.digest


class ReadJudge:
    """Judges the answers of a read as they come; `last` is the judgement of all of them so far."""

    __slots__ = ("_judged", "_majority", "_wants", "last")

    def __init__(self, majority: Majority, wants: Mapping[int, int]) -> None:
        self._majority = majority
        self._wants = wants
        self._judged = 0
        self.last: Seen | Blocked | Fenced | None = None

    def settled(self, replies: Mapping[int, Frame]) -> bool:
        """The read may stop: a majority hold the same highest record and its body has come."""
        if not self._majority.granted(replies) or misplaced(replies):
            return False
        judged = self.judge(replies)
        return isinstance(judged, Seen) and judged.confirmed and judged.complete

    def judge(self, replies: Mapping[int, Frame]) -> Seen | Blocked | Fenced:
        """The judgement of these answers. Raises Moved."""
        if self.last is None or self._judged != len(replies):
            self.last = judge_held(replies, self._majority, self._wants)
            self._judged = len(replies)
        return self.last
