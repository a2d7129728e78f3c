"""Who is asking: the identity that travels in-process from authentication to the handlers. Pure.

An identity is made only by opening a token or verifying a signature, never from a client's headers. It holds
what a policy needs, so that every service decides without asking the identity service.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A verified caller, and what it may act on.

    At most one of `project_id`, `domain_id` and `system` is set; with none the identity is unscoped. Times are
    microseconds since 1970 UTC; `expires_us` is exclusive. Names are those of when it was made. `audit_ids` are the token's own and, when it
    was made from another, that of the first of the chain.
    """

    user_id: str
    user_name: str = ""
    user_domain_id: str = ""
    project_id: str = ""
    project_name: str = ""
    project_domain_id: str = ""
    domain_id: str = ""
    system: bool = False
    roles: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    issued_us: int = 0
    expires_us: int = 0
    audit_ids: tuple[str, ...] = ()
    trust_id: str = ""
    trustor_id: str = ""  # whose roles a trust lends
    application_credential_id: str = ""
    access_limited: bool = False  # its application credential has access rules
    federation: tuple[str, str, tuple[str, ...]] | None = None  # provider, protocol, group ids
    access_key: str = ""  # the EC2 credential that signed the request; never in a token
    thumbprint: str = ""  # of the client's certificate (OAuth2 with mutual TLS)

    @property
    def unscoped(self) -> bool:
        """It acts on nothing but itself."""
        return not (self.project_id or self.domain_id or self.system)

    @property
    def audit_id(self) -> str:
        """The token's own audit id."""
        return self.audit_ids[0] if self.audit_ids else ""

    @property
    def chain_id(self) -> str:
        """Audit id of the first token of the chain."""
        return self.audit_ids[-1] if self.audit_ids else ""

    def credentials(self) -> dict[str, Any]:
        """The identity as oslo.policy's checks read it."""
        token: dict[str, Any] = {}
        if self.project_id:
            token["project"] = {"id": self.project_id, "domain": {"id": self.project_domain_id}}
        if self.domain_id:
            token["domain"] = {"id": self.domain_id}
        return {
            "user_id": self.user_id,
            "user_domain_id": self.user_domain_id,
            "project_id": self.project_id or None,
            "project_domain_id": self.project_domain_id or None,
            "domain_id": self.domain_id or None,
            "system_scope": "all" if self.system else None,
            "roles": list(self.roles),
            "trust_id": self.trust_id or None,
            "trustor_id": self.trustor_id or None,
            "token": token,
        }
