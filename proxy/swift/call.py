"""One request on its way through the dialect: who asks, for what, and what serves it.

`Site` is what all requests of a process share; `Call` is one request after its path and query were
parsed. Handlers take a `Call` and return a `Response`; nothing else is passed around.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.env import Env
from core.http import Request
from proxy.identity import Identity
from proxy.store.port import Store
from proxy.store.record import ObjectName
from proxy.swift.names import Target
from proxy.swift.query import is_true


class Site:
    """What every request shares: the store, the outside world, names of policies."""

    def __init__(self, store: Store, env: Env, *, scheme: str = "http") -> None:
        self.store = store
        self.env = env
        self.scheme = scheme
        self.quota_free: dict[
            tuple[str, str], int
        ] = {}  # until when no quota is known, see quota.py

    def policy_name(self, policy_id: int) -> str:
        """Name of a storage policy; its number when the ring no longer has it."""
        for policy in self.store.policies:
            if policy.id == policy_id:
                return policy.name
        return str(policy_id)


class Call:
    """A parsed request. `owner` is set once the caller proved to own the account."""

    __slots__ = (
        "account",
        "container",
        "env",
        "headers",
        "identity",
        "method",
        "name",
        "now_us",
        "owner",
        "params",
        "request",
        "scope",
        "site",
        "store",
    )

    def __init__(
        self, site: Site, request: Request, target: Target, params: Mapping[str, str]
    ) -> None:
        self.site = site
        self.store = site.store
        self.env = site.env
        self.request = request
        self.method = request.method
        self.headers = request.headers
        self.account, self.container, self.name = target
        self.params = params
        self.identity: Identity | None = None
        self.owner = False
        # What a temporary URL opens instead of a token: an account, and one container of it or all
        self.scope: tuple[str, str] | None = None
        self.now_us = site.env.wall_us()

    @property
    def where(self) -> ObjectName:
        """The object that the path names."""
        return ObjectName(self.account, self.container, self.name)

    def header(self, name: bytes) -> str | None:
        """A header as text; bytes that are no UTF-8 are read as Latin-1. None when absent."""
        value = self.headers.get(name)
        if value is None:
            return None
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.decode("latin-1")

    def flag(self, name: bytes) -> bool:
        """Truth of a header."""
        return is_true(self.header(name))

    @property
    def has_length(self) -> bool:
        """The request says how long its body is, or that it is chunked."""
        return b"content-length" in self.headers or b"transfer-encoding" in self.headers
