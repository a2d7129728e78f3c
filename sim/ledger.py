"""What one writer knows of its own objects: which contents a read may show. Pure.

A name has one writer, which never has two operations on it at once. An acknowledged write is what reads must
show from then on. A write without an answer stays open: it may take effect at any time until the cloud
has certainly given it up, so reads may show it or not. Whatever else a read shows is a broken promise.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

ABSENT = 0  # the version of an object that is not there

# (share of objects, least bytes, most bytes): most are small, few are larger than a stripe
SIZES = (
    (0.60, 0, 8_000),
    (0.25, 8_000, 40_000),
    (0.13, 40_000, 200_000),
    (0.017, 200_000, 1_500_000),
    (0.003, 4_200_000, 9_000_000),
)


@dataclass(slots=True)
class _Open:
    """A write whose outcome nobody knows, until the time given."""

    version: int
    until: float


@dataclass(slots=True)
class Entry:
    """One name: the versions that were known to be possible, and writes that are open."""

    last: int = 0  # the highest version ever tried
    known: set[int] = field(default_factory=lambda: {ABSENT})
    open: list[_Open] = field(default_factory=list)

    def next_version(self) -> int:
        """The version of a write that begins now."""
        self.last += 1
        return self.last

    def acknowledged(self, version: int, now: float) -> None:
        """A write was answered; ABSENT for a deletion."""
        self._forget(now)
        self.known = {version}

    def unanswered(self, version: int, until: float) -> None:
        """A write was not answered; it may take effect until then, or never."""
        self.open.append(_Open(version, until))

    def possible(self) -> set[int]:
        """The versions that a read which begins now may show."""
        return self.known | {one.version for one in self.open}

    def trouble_ends(self, until: float) -> None:
        """Writes that were open for as long as the trouble lasted are open until then."""
        for one in self.open:
            one.until = min(one.until, until)

    def saw(self, version: int, now: float) -> None:
        """A read showed this version, one of the possible ones."""
        self._forget(now)
        self.known = {version}

    def _forget(self, now: float) -> None:
        """Writes too old to take effect any more either have, or never will."""
        self.open = [one for one in self.open if one.until > now]


def content(name: str, version: int) -> bytes:
    """The bytes of one version of one object."""
    tag = f"{name}/{version};".encode()
    chance = hashlib.sha256(tag).digest()
    drawn = int.from_bytes(chance[:7], "big") / 2**56
    least, most = 0, 0
    for share, lower, upper in SIZES:
        least, most = lower, upper
        if drawn < share:
            break
        drawn -= share
    size = least + int.from_bytes(chance[7:14], "big") % (most - least + 1)
    return tag + hashlib.shake_128(tag).digest(size)


def version_of(name: str, body: bytes) -> int | None:
    """The version that a body is, or None when it is no version of this object."""
    tag, separator, _ = body.partition(b";")
    prefix = f"{name}/".encode()
    if not separator or not tag.startswith(prefix) or not tag[len(prefix) :].isdigit():
        return None
    version = int(tag[len(prefix) :])
    return version if body == content(name, version) else None
