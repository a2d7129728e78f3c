"""Who is asking, as the object store sees it: an account, and what the caller may do in it and in others. Pure.

Made from a verified token or signature only. Accounts are projects (`AUTH_<project id>`). As Swift's documents
have it: operators own their project's account, readers may read it, ResellerAdmin owns every account, and
those who read the whole system may read every account.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from core.identity import Identity as Verified

ACCOUNT_PREFIX = "AUTH_"
OPERATOR_ROLES = frozenset({"admin", "manager", "member", "swiftoperator"})
READER_ROLES = frozenset({"reader"})
RESELLER_ROLE = "ResellerAdmin"
SYSTEM_OWNER_ROLES = frozenset({"admin"})
SYSTEM_READER_ROLES = frozenset({"admin", "manager", "member", "reader"})


class Identity(NamedTuple):
    """A verified caller. `account` is the storage account the caller works in ("" when they have none).

    `admin`: owns every account. `operator`: owns their own. `reader`: may read their own. `auditor`: may read
    every account. `verified` is what they proved, from which ACLs take names.
    """

    user: str
    account: str
    admin: bool = False
    operator: bool = True
    reader: bool = True
    auditor: bool = False
    verified: Verified | None = None


class AccessKey(NamedTuple):
    """The secret of an S3 access key, and who signs with it."""

    secret: str
    identity: Identity


KeyOf = Callable[[str], Awaitable[AccessKey | None]]


def caller_of(verified: Verified) -> Identity:
    """The caller that a verified identity is to the object store."""
    roles = verified.roles
    account = ACCOUNT_PREFIX + verified.project_id if verified.project_id else ""
    return Identity(
        verified.user_name or verified.user_id,
        account,
        RESELLER_ROLE in roles or (verified.system and not SYSTEM_OWNER_ROLES.isdisjoint(roles)),
        bool(account) and not OPERATOR_ROLES.isdisjoint(roles),
        bool(account) and not READER_ROLES.isdisjoint(roles),
        verified.system and not SYSTEM_READER_ROLES.isdisjoint(roles),
        verified,
    )
