"""Decisions about trusts that are passed on. Pure.

A trust made with another trust's token may be no longer, no broader and no deeper than that one (OpenStack Identity
API, "Trusts", redelegation).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from core.api.fault import bad_request, forbidden

REDELEGATION_MAX = 3


def depth_of(given: dict[str, Any]) -> int:
    """How often a new trust may be passed on. Raises Fault 400 or 403."""
    wanted = given.get("redelegation_count")
    if not given.get("allow_redelegation") or wanted == 0:
        return 0
    if wanted is not None and wanted > REDELEGATION_MAX:
        raise forbidden(
            f"Requested redelegation depth of {wanted} is greater than allowed {REDELEGATION_MAX}"
        )
    if given.get("remaining_uses") is not None:
        raise bad_request("remaining_uses must not be set if redelegation is allowed")
    return REDELEGATION_MAX if wanted is None else int(wanted)


def depth_below(parent_depth: int, given: dict[str, Any]) -> int:
    """The same for a trust made with another trust's token."""
    if not 0 < parent_depth <= REDELEGATION_MAX:
        raise forbidden(
            f"Remaining redelegation depth of {parent_depth} out of allowed range of"
            f" [0..{REDELEGATION_MAX}]"
        )
    if not depth_of(given):
        return 0
    wanted = given.get("redelegation_count")
    if wanted not in {None, parent_depth - 1}:
        raise forbidden(
            'Modifying "redelegation_count" upon redelegation is forbidden. Omitting this parameter is'
            " advised."
        )
    return parent_depth - 1


def end_below(parent_us: int | None, wanted_us: int | None) -> int | None:
    """When a passed-on trust ends: not after the one it comes from. Raises Fault 403."""
    if wanted_us is None or parent_us is None:
        return parent_us if wanted_us is None else wanted_us
    if wanted_us > parent_us:
        raise forbidden("Requested expiration time is more than redelegated trust can provide")
    return wanted_us


def check_below(
    parent: dict[str, Any],
    given: dict[str, Any],
    *,
    parent_roles: Collection[str],
    roles: Collection[str],
) -> None:
    """Refuse what the trust above does not hold. Raises Fault 403."""
    if given.get("remaining_uses") is not None:
        raise forbidden('Field "remaining_uses" must not be set in order to redelegate a trust')
    if not set(roles) <= set(parent_roles):
        raise forbidden("Some of requested roles are not in redelegated trust")
    if given.get("project_id") != parent["project_id"]:
        raise forbidden("A redelegated trust is for the same project")
    if given["impersonation"] and not parent["impersonation"]:
        raise forbidden(
            "Impersonation is not allowed because redelegated trust does not specify impersonation."
            f" Redelegated trust id: {parent['id']}"
        )
