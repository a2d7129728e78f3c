"""Which tokens no longer count: a short list of events that every service keeps and checks by itself. Pure.

An event says "tokens with this mark, issued up to then, are revoked". A token bears a handful of marks (its
audit ids, its user, its project, …), so checking one is a few dictionary look-ups, however long the list.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from core.identity import Identity

# What a mark may be about. `grant` marks join two ids by "/": a user, and a project, domain or "system".
AUDIT = "audit"  # one token
CHAIN = "chain"  # a token and all that were made from it
USER = "user"
PROJECT = "project"  # tokens scoped to it
DOMAIN = "domain"  # its users' tokens, and tokens scoped to it or to a project of it
GRANT = "grant"  # a user's tokens for one target
TRUST = "trust"
APPLICATION_CREDENTIAL = "application_credential"
PROVIDER = "provider"  # tokens that an identity provider vouched for
CREDENTIAL = "credential"  # an EC2 credential, by access key
ROLE = "role"  # tokens that carry a role of this name
KINDS = (
    AUDIT,
    CHAIN,
    USER,
    PROJECT,
    DOMAIN,
    GRANT,
    TRUST,
    APPLICATION_CREDENTIAL,
    PROVIDER,
    CREDENTIAL,
    ROLE,
)


class Revocation(NamedTuple):
    """Tokens with mark (kind, key) issued at or before `until_us` are revoked."""

    number: int
    kind: str
    key: str
    until_us: int


def marks_of(identity: Identity) -> Iterator[tuple[str, str]]:
    """Marks of a token."""
    yield AUDIT, identity.audit_id
    yield CHAIN, identity.chain_id
    yield USER, identity.user_id
    yield DOMAIN, identity.user_domain_id
    if identity.project_id:
        yield PROJECT, identity.project_id
        yield DOMAIN, identity.project_domain_id
        yield GRANT, f"{identity.user_id}/{identity.project_id}"
    elif identity.domain_id:
        yield DOMAIN, identity.domain_id
        yield GRANT, f"{identity.user_id}/{identity.domain_id}"
    elif identity.system:
        yield GRANT, f"{identity.user_id}/system"
    if identity.trust_id:
        yield TRUST, identity.trust_id
        yield USER, identity.trustor_id
        yield GRANT, f"{identity.trustor_id}/{identity.project_id}"
    if identity.application_credential_id:
        yield APPLICATION_CREDENTIAL, identity.application_credential_id
    if identity.federation is not None:
        yield PROVIDER, identity.federation[0]
    if identity.access_key:
        yield CREDENTIAL, identity.access_key
    for role in identity.roles:
        yield ROLE, role


class RevocationList:
    """All revocations that can still matter."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str], int] = {}
        self.last = 0  # number of the newest event applied

    def __len__(self) -> int:
        return len(self._until)

    def add(self, event: Revocation) -> None:
        """Apply an event; any order and repetition give the same list."""
        mark = (event.kind, event.key)
        self._until[mark] = max(event.until_us, self._until.get(mark, 0))
        self.last = max(self.last, event.number)

    def revoked(self, identity: Identity) -> bool:
        """Whether a token has been revoked."""
        until = self._until
        if not until:
            return False
        issued_us = identity.issued_us
        return any(until.get(mark, -1) >= issued_us for mark in marks_of(identity))

    def forget_before(self, us: int) -> None:
        """Drop events that only concern tokens which have expired by now."""
        self._until = {mark: until for mark, until in self._until.items() if until >= us}
