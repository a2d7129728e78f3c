"""Quotas of containers and accounts.

Containers: X-Container-Meta-Quota-Bytes and -Count. Accounts, set by administrators only:
X-Account-Quota-Bytes and -Count, each also `-Policy-<name>`, and the older X-Account-Meta-Quota-Bytes.
Sizes and counts come from fresh statistics whenever a quota is set. That none is set is remembered for
a second, so that the hot path of containers without quotas costs one look-up; a quota set through
another process therefore holds from a second later on.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.store.record import AccountInfo, ContainerInfo, ListQuery
from proxy.swift.call import Call, Site
from proxy.swift.errors import SwiftError

FREE_US = 1_000_000
REMEMBERED_MAX = 10_000
POLICY_SCAN_MAX = 10_000  # containers looked at for totals per policy
EXCEEDED = "Upload exceeds quota."
EXCEEDED_POLICY = "Upload exceeds policy quota."
BYTES = "swift:quota-bytes"
COUNT = "swift:quota-count"
POLICY = "-policy-"


class _Room:
    """How many bytes are left under every quota that was met."""

    def __init__(self, size: int | None) -> None:
        self._size = size or 0
        self.limited = False
        self.left: int | None = None

    def bytes(self, limit: int | None, used: int, message: str) -> None:
        """Apply a quota of bytes."""
        if limit is None:
            return
        self.limited = True
        left = limit - used
        if self._size > left:
            raise SwiftError(413, message, html=True)
        self.left = left if self.left is None else min(left, self.left)

    def count(self, limit: int | None, used: int, message: str) -> None:
        """Apply a quota of objects."""
        if limit is None:
            return
        self.limited = True
        if used + 1 > limit:
            raise SwiftError(413, message, html=True)


def limit_of(attributes: Mapping[str, str], key: str) -> int | None:
    """A quota in the attributes, None when it is not set."""
    text = attributes.get(key, "")
    return int(text) if text.isascii() and text.isdigit() else None


async def check_quota(call: Call, account: str, container: str, size: int | None) -> int | None:
    """Bytes that may still be stored, None when no quota limits them.

    `size` of the new object in bytes, None when unknown. Raises SwiftError 413, NotFound.
    """
    free = call.site.quota_free
    key = (account, container)
    if free.get(key, 0) > call.now_us:
        return None
    room = _Room(size)
    inside = await call.store.get_container(account, container)
    attributes = inside.record.attributes
    room.count(limit_of(attributes, "meta:quota-count"), inside.object_count, EXCEEDED)
    room.bytes(limit_of(attributes, "meta:quota-bytes"), inside.bytes_used, EXCEEDED)
    await _check_account(call, await call.store.get_account(account), inside, room)
    if not room.limited:
        if len(free) >= REMEMBERED_MAX:
            free.clear()
        free[key] = call.now_us + FREE_US
    return room.left


async def _check_account(
    call: Call, whole: AccountInfo, inside: ContainerInfo, room: _Room
) -> None:
    attributes = whole.record.attributes
    room.bytes(limit_of(attributes, "meta:quota-bytes"), whole.bytes_used, EXCEEDED)
    room.bytes(limit_of(attributes, BYTES), whole.bytes_used, EXCEEDED)
    room.count(limit_of(attributes, COUNT), whole.object_count, EXCEEDED)
    if not any(POLICY in key for key in attributes if key.startswith("swift:quota-")):
        return
    policy = inside.record.policy
    suffix = POLICY + call.site.policy_name(policy).lower()
    totals = (await policy_totals(call, whole)).get(policy, (0, 0, 0))
    room.bytes(limit_of(attributes, BYTES + suffix), totals[2], EXCEEDED_POLICY)
    room.count(limit_of(attributes, COUNT + suffix), totals[1], EXCEEDED_POLICY)


async def policy_totals(call: Call, whole: AccountInfo) -> dict[int, tuple[int, int, int]]:
    """Containers, objects and bytes of an account per policy id."""
    policies = call.store.policies
    if len(policies) == 1:
        return {policies[0].id: (whole.container_count, whole.object_count, whole.bytes_used)}
    page = await call.store.list_containers(whole.name, ListQuery(limit=POLICY_SCAN_MAX))
    totals: dict[int, tuple[int, int, int]] = {}
    for _, info in page.rows:
        if info is not None:
            containers, objects, size = totals.get(info.record.policy, (0, 0, 0))
            totals[info.record.policy] = (
                containers + 1,
                objects + info.object_count,
                size + info.bytes_used,
            )
    return totals


# -- setting -----------------------------------------------------------------------------------


def account_change(call: Call) -> dict[str, str | None]:
    """Quotas that the headers of an account POST set or remove; SwiftError 400 or 403."""
    change: dict[str, str | None] = {}
    for name, value in call.headers.items():
        for prefix, removal in ((b"x-account-quota-", False), (b"x-remove-account-quota-", True)):
            if not name.startswith(prefix):
                continue
            key = "swift:quota-" + name[len(prefix) :].decode("latin-1")
            if not _is_key(call.site, key):
                continue
            change[key] = None if removal else number(value) or None
    if change:
        require_setter(call)
    return change


def require_setter(call: Call) -> None:
    """Quotas of an account are set by an administrator, and never by its own users."""
    identity = call.identity
    if identity is None or not identity.admin or identity.account == call.account:
        raise SwiftError(403)


def _is_key(site: Site, key: str) -> bool:
    base, found, policy = key.partition(POLICY)
    if base not in {BYTES, COUNT}:
        return False
    if not found:
        return True
    names = {name.lower() for p in site.store.policies for name in (p.name, *p.aliases)}
    if policy not in names:
        raise SwiftError(400, f"No policy named {policy!r}", html=True)
    return True


def number(value: bytes, message: str = "Invalid bytes quota.") -> str:
    """A quota as text: empty for none, else a whole number; SwiftError 400."""
    text = value.decode("latin-1").strip()
    if text and not (text.isascii() and text.isdigit()):
        raise SwiftError(400, message, html=True)
    return text


def account_headers(attributes: Mapping[str, str]) -> list[tuple[str, str]]:
    """Quotas of an account as headers."""
    return [
        ("X-Account-" + key.removeprefix("swift:").title(), value)
        for key, value in attributes.items()
        if key.startswith("swift:quota-")
    ]


def forget(site: Site, account: str, container: str = "") -> None:
    """Metadata changed: look again. An account's change touches all its containers."""
    if container:
        site.quota_free.pop((account, container), None)
    else:
        site.quota_free.clear()
