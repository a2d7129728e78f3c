"""Calls between services and the identity service, over the frames of `core.link`. Pure.

Heads are msgpack. EVENTS is a long poll: it is answered when there are revocations after a number, or after
a while with none; so a revocation is everywhere within a moment of its commit.
"""

from __future__ import annotations

import msgspec

from core.identity import Identity

# operations
EVENTS = 64
ACCESS_KEY = 65
LOGIN = 66
ACCESS_RULES = 67
OPERATIONS = frozenset(
    {EVENTS, ACCESS_KEY, LOGIN, ACCESS_RULES}
)  # no other daemon has these numbers

# statuses of replies
OK = 0
ABSENT = 3  # no such access key, or the log-in was refused
FAILED = 6  # the service could not look; ask again
BAD = 7  # the call is malformed

POLL_S = 20.0
REVOCATION_KEPT_US = 86_400_000_000  # no token lives longer than this


class EventsCall(msgspec.Struct, array_like=True, frozen=True):
    """Ask for the revocations after event `after`; `wait` until there is one."""

    after: int
    wait: bool


class EventsReply(msgspec.Struct, array_like=True, frozen=True):
    """Revocations: (number, kind, key, until in microseconds), oldest first. `synced`: these were the last."""

    events: tuple[tuple[int, str, str, int], ...]
    synced: bool


class KeyCall(msgspec.Struct, array_like=True, frozen=True):
    """Ask for the secret of an EC2 access key."""

    access_key: str


class KeyReply(msgspec.Struct, array_like=True, frozen=True):
    """A secret, and who signs with it (`expires_us` 0: no end of its own)."""

    secret: str
    identity: Identity


class LoginCall(msgspec.Struct, array_like=True, frozen=True):
    """Log in with `project:user` (or `user`) in the default domain, as Swift's /auth/v1.0 has it."""

    user: str
    key: str


class LoginReply(msgspec.Struct, array_like=True, frozen=True):
    """A project-scoped token and what is in it."""

    token: str
    identity: Identity


class RulesCall(msgspec.Struct, array_like=True, frozen=True):
    """Ask for the access rules of an application credential."""

    application_credential_id: str


class RulesReply(msgspec.Struct, array_like=True, frozen=True):
    """Its rules: (service type, method, path)."""

    rules: tuple[tuple[str, str, str], ...]
