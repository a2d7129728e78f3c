"""Container ACLs: cleaning what a client sends, and deciding who may pass. Pure.

Syntax (OpenStack docs, "Access Control Lists"): comma-separated items; `.r:*`, `.r:host`, `.r:.domain`
and `.r:-host` speak about the Referer header, `.rlistings` lets referrers list, everything else names a
user, account or `account:user`, with `*` for any. Referrers make no sense for writing and are refused.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from proxy.identity import Identity

DEFAULT_DOMAIN = "default"
# names that read like an id, a pair or a wildcard never grant: somebody could be named after another
PLAIN = re.compile(r"(?![0-9a-f]{32}$)[^:*,]+")
REFERRER_NAMES = frozenset({".r", ".ref", ".referer", ".referrer"})


def clean(value: str, *, write: bool) -> str:
    """Canonical form of an ACL header; raises ValueError with a message for the client."""
    items: list[str] = []
    for raw in value.split(","):
        item = raw.strip()
        if not item:
            continue
        designator, colon, rest = (part.strip() for part in item.partition(":"))
        if not colon or not designator.startswith("."):
            items.append(item)
        elif designator in REFERRER_NAMES:
            if write:
                raise ValueError(f"Referrers not allowed in write ACL: {item!r}")
            items.append(".r:" + _clean_host(rest, item))
        else:
            raise ValueError(f"Unknown designator {designator!r} in ACL: {item!r}")
    return ",".join(items)


def _clean_host(host: str, item: str) -> str:
    sign = ""
    if host.startswith("-"):
        sign, host = "-", host[1:].strip()
    if host != "*" and host.startswith("*"):
        host = host[1:].strip()
    if host in {"", "."}:
        raise ValueError(f"No host/domain value after referrer designation in ACL: {item!r}")
    return sign + host


def referrer_allowed(referer: str, items: list[str]) -> bool:
    """True when the last referrer item that matches the Referer's host grants access."""
    allowed = False
    try:
        host = urlsplit(referer).hostname or "unknown"
    except ValueError:
        host = "unknown"
    for item in items:
        if not item.startswith(".r:"):
            continue
        pattern = item[3:]
        deny = pattern.startswith("-")
        if deny:
            pattern = pattern[1:]
        if pattern in {"*", host} or (pattern.startswith(".") and host.endswith(pattern)):
            allowed = not deny
    return allowed


def groups_of(identity: Identity) -> frozenset[str]:
    """Names under which an ACL can grant to a caller.

    As Swift's keystoneauth: `project:user` by ids, with `*` for any of either, roles by name; names of projects
    and users only inside the default domain, because only there they name one thing.
    """
    verified = identity.verified
    if verified is None:
        return frozenset(
            {
                identity.user.partition(":")[0],
                identity.user,
                identity.account,
                f"{identity.account}:{identity.user}",
                f"{identity.account}:*",
                f"*:{identity.user}",
                "*:*",
            }
        )
    users, projects = {"*", verified.user_id}, {"*", verified.project_id}
    if verified.user_domain_id == verified.project_domain_id == DEFAULT_DOMAIN:
        users.update(filter(PLAIN.fullmatch, [verified.user_name]))
        projects.update(filter(PLAIN.fullmatch, [verified.project_name]))
    pairs = {f"{project}:{user}" for project in projects if project for user in users if user}
    return frozenset(pairs.union(verified.roles))


def permits(
    acl: str | None, identity: Identity | None, *, referer: str, listing: bool = False
) -> bool:
    """Whether an ACL lets a caller pass. `listing`: the request lists a container."""
    if not acl:
        return False
    items = acl.split(",")
    if (not listing or ".rlistings" in items) and referrer_allowed(referer, items):
        return True
    return identity is not None and not groups_of(identity).isdisjoint(items)
