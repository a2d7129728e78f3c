"""What the methods of a log-in have shown together: who it is, and what that binds the new token to."""

from __future__ import annotations

from typing import NamedTuple

from core.api.fault import unauthorized
from core.rows import Row


class Proof(NamedTuple):
    """A user and the limits of how they were recognised.

    `expires_us` is the latest end of a token made from this (None: a full life from now). `chain_id` is the first
    token's audit id when another token was the proof.
    """

    user: Row
    methods: tuple[str, ...]
    expires_us: int | None = None
    chain_id: str = ""
    federation: tuple[str, str, tuple[str, ...]] | None = None
    application_credential: Row | None = None
    trust: Row | None = None
    thumbprint: str = ""


def joined(first: Proof, second: Proof) -> Proof:
    """Both proofs, which must be of the same user; the narrower limit counts. Raises Fault 401."""
    if first.user["id"] != second.user["id"]:
        raise unauthorized()
    ends = [one.expires_us for one in (first, second) if one.expires_us is not None]
    return Proof(
        first.user,
        tuple(dict.fromkeys(first.methods + second.methods)),
        min(ends) if ends else None,
        first.chain_id or second.chain_id,
        first.federation or second.federation,
        first.application_credential or second.application_credential,
        first.trust or second.trust,
        first.thumbprint or second.thumbprint,
    )
