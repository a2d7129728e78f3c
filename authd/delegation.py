"""What a caller that acts by delegation (trust, application credential, EC2 key) must not do. Pure.

Whoever got less than a user has must not make of it what outlives or exceeds the delegation.
"""

from __future__ import annotations

from core.api.fault import forbidden
from core.identity import Identity

DELEGATED = frozenset({"application_credential", "ec2credential", "oauth1", "s3"})


def delegated(identity: Identity) -> bool:
    """The log-in was by something that the user handed out."""
    return bool(identity.application_credential_id) or bool(DELEGATED & set(identity.methods))


def refuse_any(identity: Identity) -> None:
    """For secrets of a user: neither trusts nor other delegations. Raises Fault 403."""
    if identity.trust_id or delegated(identity):
        raise forbidden("Delegated tokens cannot access credentials directly.")


def refuse_for_application_credentials(identity: Identity, *, change: bool) -> None:
    """For application credentials: only another one may, to change things an unrestricted one. Raises Fault 403.

    Whether it is unrestricted is asked of the database by the caller; `change` is False when it is.
    """
    if identity.application_credential_id:
        if change:
            raise forbidden(
                "Using method 'application_credential' is not allowed for managing additional"
                " application credentials."
            )
    elif identity.trust_id or delegated(identity):
        raise forbidden("Application credentials cannot be managed by delegation.")


def refuse_for_trusts(identity: Identity) -> None:
    """For trusts: only a trust itself may be passed on. Raises Fault 403."""
    if delegated(identity):
        raise forbidden("Delegated tokens cannot manage trusts.")
