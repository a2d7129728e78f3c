"""What the identity service does beside answering: old revocations go when every token they concern has expired."""

from __future__ import annotations

import asyncio
import logging

import sqlalchemy as sa

from authd import revocations
from authd.authority import Authority
from core.identity_wire import REVOCATION_KEPT_US

log = logging.getLogger("ringstack.authd")

EVERY_S = 600.0


async def tidy(authority: Authority) -> int:
    """Forget what no longer matters; returns how many rows went."""
    before_us = authority.now_us() - REVOCATION_KEPT_US
    async with authority.database.write() as db:
        gone = await revocations.forget_before(db, before_us)
    authority.revoked.forget_before(before_us)
    return gone


async def run_for_ever(authority: Authority) -> None:
    """Tidy now and then; a failure is logged and tried again."""
    while True:
        await asyncio.sleep(EVERY_S)
        try:
            await tidy(authority)
        except sa.exc.SQLAlchemyError as error:
            log.warning("old revocations could not be removed: %s", error)
