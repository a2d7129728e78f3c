"""The ring that the operator has applied and the cluster is on its way to. Pure.

It is kept beside the draft, which may be edited meanwhile without effect. What it says of the plan was true
when it was applied; how far the change has come is measured, never written down.
"""

from __future__ import annotations

from typing import Any

import msgspec

from core.errors import Corrupt
from ring.draft import Draft, decode_draft, encode_draft


class Throttle(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """How fast data may move, on every node: `rate_bytes_s` for each node, 0 is as fast as is kind to clients.

    A higher version replaces a lower one.
    """

    version: int = 0
    paused: bool = False
    rate_bytes_s: int = 0


class Goal(msgspec.Struct, frozen=True):
    """Where to, since when (µs since 1970), from which epoch, and how much the plan said would move."""

    draft: Draft
    began_us: int
    from_epoch: int
    planned_parts: int
    planned_bytes: int
    back: bool = False  # it was aborted: what has not moved yet need not


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    draft: dict[str, Any]
    began_us: int
    from_epoch: int
    planned_parts: int
    planned_bytes: int
    back: bool = False


def encode_goal(goal: Goal) -> bytes:
    """The goal as indented JSON."""
    document = _Document(
        msgspec.json.decode(encode_draft(goal.draft)),
        goal.began_us,
        goal.from_epoch,
        goal.planned_parts,
        goal.planned_bytes,
        goal.back,
    )
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def decode_goal(data: bytes, name: str) -> Goal:
    """Read a goal; raises Corrupt naming the file when it is not one."""
    try:
        document = msgspec.json.decode(data, type=_Document)
    except msgspec.MsgspecError as error:
        raise Corrupt("CorruptGoal", f"{name}: {error}") from error
    return Goal(
        decode_draft(msgspec.json.encode(document.draft), name),
        document.began_us,
        document.from_epoch,
        document.planned_parts,
        document.planned_bytes,
        document.back,
    )


def encode_throttle(throttle: Throttle) -> bytes:
    """The throttle as JSON."""
    return msgspec.json.encode(throttle) + b"\n"


def decode_throttle(data: bytes, name: str) -> Throttle:
    """Read a throttle; raises Corrupt naming the file when it is not one."""
    try:
        return msgspec.json.decode(data, type=Throttle)
    except msgspec.MsgspecError as error:
        raise Corrupt("CorruptThrottle", f"{name}: {error}") from error
