"""Using a trust: who may, how often, and until when."""

from __future__ import annotations

import sqlalchemy as sa

from authd.authority import Authority
from authd.proof import Proof
from authd.tables.trust import trust
from core import rows
from core.api.fault import forbidden, not_found


async def with_trust(authority: Authority, proof: Proof, trust_id: str) -> Proof:
    """The proof of a trustee, bound to a trust; one of its uses is spent.

    Raises Fault 404 when there is no such trust (any more), 403 when it is another's or used up.
    """
    if proof.application_credential is not None or proof.trust is not None:
        raise forbidden("Delegated tokens cannot use a trust.")
    now_us = authority.now_us()
    async with authority.database.write() as db:
        row = await rows.by_id(db, trust, trust_id)
        if row is None or (row["expires_us"] is not None and now_us >= row["expires_us"]):
            raise not_found("trust", trust_id)
        if row["trustee_user_id"] != proof.user["id"]:
            raise forbidden("User is not a trustee.")
        left = row["remaining_uses"]
        if left is not None:
            if left <= 0:
                raise forbidden("The trust has been used as often as it may.")
            changes = {"remaining_uses": left - 1}
            await db.execute(sa.update(trust).where(trust.c.id == trust_id).values(changes))
    return proof._replace(trust=row)
