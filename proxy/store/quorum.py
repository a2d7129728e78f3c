"""Where a blob's copies go: the decisions of a blob write. Pure.

Each of `width` pieces (replicas, or fragments) starts at its primary; a piece whose device fails, is full
or is too slow moves on to the next hand-off. The write is done when `needed` pieces are durable.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

D = TypeVar("D")


class Send(NamedTuple, Generic[D]):
    """Send piece number `piece` to `device`."""

    piece: int
    device: D


class BlobWrite(Generic[D]):
    """One blob on its way to `needed` of its pieces' devices."""

    def __init__(self, primaries: tuple[D, ...], handoffs: Iterator[D], needed: int) -> None:
        self._primaries = primaries
        self._handoffs = handoffs
        self._needed = needed
        self._stored: set[int] = set()
        self._at_work: dict[int, int] = dict.fromkeys(range(len(primaries)), 1)
        self.full = False

    def start(self) -> list[Send[D]]:
        """First sends: every piece to its primary."""
        return [Send(piece, device) for piece, device in enumerate(self._primaries)]

    def stored(self, piece: int) -> None:
        """A device has the piece on stable storage."""
        self._at_work[piece] -= 1
        self._stored.add(piece)

    def failed(self, piece: int, *, full: bool = False) -> Send[D] | None:
        """A device could not take the piece: where to go next, or None."""
        self._at_work[piece] -= 1
        self.full = self.full or full
        return None if piece in self._stored else self._next(piece)

    def slow(self, piece: int) -> Send[D] | None:
        """A device has not answered for long: try another one beside it."""
        return None if piece in self._stored or self.done else self._next(piece)

    def instead(self, piece: int) -> Send[D] | None:
        """A device is not worth asking: the next one in its place, or None when there is no other."""
        device = next(self._handoffs, None)
        return None if device is None else Send(piece, device)

    def _next(self, piece: int) -> Send[D] | None:
        device = next(self._handoffs, None)
        if device is None:
            return None
        self._at_work[piece] += 1
        return Send(piece, device)

    @property
    def done(self) -> bool:
        """Enough pieces are durable."""
        return len(self._stored) >= self._needed

    @property
    def hopeless(self) -> bool:
        """Not done, and nothing that is still under way can change it."""
        possible = self._stored | {piece for piece, count in self._at_work.items() if count}
        return len(possible) < self._needed
