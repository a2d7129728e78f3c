"""Checking a password: counts wrong ones, honours locks and expiry, and tells a stranger nothing.

Unknown user, wrong password, locked and disabled account take the same work and give the same 401.
"""

from __future__ import annotations

import sqlalchemy as sa

from authd import password_rules, users
from authd.authority import Authority
from authd.domains import DEFAULT
from authd.tables.project import project
from core import rows
from core.api.fault import unauthorized
from core.database import Connection
from core.rows import Row


async def check(
    authority: Authority, user: Row | None, password: str, *, expired_too: bool = False
) -> Row:
    """The user's current password row when the password is theirs. `user` is None for nobody or a disabled one.

    Raises Fault 401; with a message of its own only for an expired password, to whoever knows it.
    """
    stored = None
    if user is not None:
        async with authority.database.read() as db:
            stored = await users.current_password(db, user["id"])
    fits = await authority.hasher.verify(password, stored["hash"] if stored else None)
    fits = await _counted(authority, user if stored else None, fits=fits)
    if not fits or user is None or stored is None:
        raise unauthorized()
    now_us = authority.now_us()
    if not expired_too and password_rules.expired(user["options"], stored["expires_us"], now_us):
        raise unauthorized(
            f"The password is expired and needs to be changed for user: {user['id']}."
        )
    return stored


async def _counted(authority: Authority, user: Row | None, *, fits: bool) -> bool:
    """Count a failure or forget them; False when the account is locked, whatever the password was."""
    settings, now_us = authority.settings, authority.now_us()
    if user is not None and password_rules.inactive(settings, user, now_us):
        user, fits = None, False
    if settings.lockout_failure_attempts:
        async with authority.database.write() as db:
            # read again: others may have tried meanwhile
            current = await rows.by_id(db, users.TABLE, user["id"]) if user else None
            if current is None or password_rules.locked(settings, current, now_us):
                await _same_work(db)
                return False
            count = 0 if fits else password_rules.failures_after(settings, current, now_us)
            if count != current["failed_count"] or not fits:
                await rows.update(
                    db, users.TABLE, current["id"], {"failed_count": count, "failed_us": now_us}
                )
    if fits and user and settings.disable_user_account_days_inactive:
        await _seen(authority, user, now_us)
    return fits


async def _same_work(db: Connection) -> None:
    """Write as much as a counted failure does, to no effect."""
    same = sa.update(project).where(project.c.id == DEFAULT).values(enabled=project.c.enabled)
    await db.execute(same)


async def _seen(authority: Authority, user: Row, now_us: int) -> None:
    """Note that a user is active, once a day."""
    if user["active_us"] + password_rules.DAY_US <= now_us:
        async with authority.database.write() as db:
            await rows.update(db, users.TABLE, user["id"], {"active_us": now_us})
