"""How one blob is cut into pieces, and which device of its partition holds which. Pure.

Replicated: a whole copy, piece 0, on each device. Erasure-coded: fragment n on the n-th device. A stripe so
short that its fragments would have less than FRAGMENT_BYTES_MIN is not worth its k reads and k+m records:
it is kept as m+1 whole copies (piece WHOLE) on the first devices of its partition, which bears the loss of as
many devices. The length of the stripe tells which it is, so it never changes for a blob.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from core.limits import KIB
from ring.policy import Policy

WHOLE = 64  # number of a whole copy under an erasure-coded policy; fragments have numbers below
FRAGMENT_BYTES_MIN = 8 * KIB


class Layout(NamedTuple):
    """`pieces`: the number held by each device of the partition, in order, as far as there are any.

    `needed`: durable pieces before a write is acknowledged; `enough`: pieces of different devices that give the
    blob back.
    """

    pieces: tuple[int, ...]
    needed: int
    enough: int

    @property
    def coded(self) -> bool:
        """Pieces are fragments."""
        return self.enough > 1 or self.pieces[0] != self.pieces[-1]


def layout_of(policy: Policy, total: int) -> Layout:
    """Layout of a stripe of `total` bytes."""
    return layout_for(policy, whole=total <= whole_bytes_max(policy))


def whole_bytes_max(policy: Policy) -> int:
    """Stripes up to this length are kept as whole copies."""
    return policy.data * FRAGMENT_BYTES_MIN if policy.kind == "erasure" else 0


@lru_cache(maxsize=256)
def layout_for(policy: Policy, *, whole: bool) -> Layout:
    """The layout of stripes that are kept whole under a policy, or of the others."""
    if policy.kind == "replicated":
        return Layout((0,) * policy.replicas, policy.replicas // 2 + 1, 1)
    if whole:
        copies = policy.parity + 1
        return Layout((WHOLE,) * copies, copies // 2 + 1, 1)
    needed = policy.data + (1 if policy.parity > 1 else 0)
    return Layout(tuple(range(policy.width)), needed, policy.data)


def layouts_of(policy: Policy) -> tuple[Layout, ...]:
    """Every layout that blobs of a policy have."""
    if policy.kind == "replicated":
        return (layout_for(policy, whole=False),)
    return layout_for(policy, whole=False), layout_for(policy, whole=True)


def layout_with(policy: Policy, piece: int) -> Layout:
    """The layout to which a piece of this number belongs."""
    return layout_for(policy, whole=piece == WHOLE)
