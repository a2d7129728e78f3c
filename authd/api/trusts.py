"""`/v3/OS-TRUST/trusts`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from authd import grants, projects, redelegation, trusts, users
from authd.api import roles as role_api
from authd.api.application_credentials import role_of, time_of
from authd.authority import Authority
from authd.delegation import refuse_for_trusts
from authd.times import instant_or_none
from core import rows
from core.api.call import Call
from core.api.fault import forbidden, not_found
from core.api.listing import collection
from core.api.route import Route
from core.api.shape import (
    ID,
    NAME,
    Attributes,
    Shape,
    array,
    boolean,
    integer,
    nullable,
    text,
)
from core.database import Connection
from core.rows import Row

ROLE = Shape({"id": ID, "name": NAME}, more=False, least=1)
ATTRIBUTES: Attributes = {
    "trustor_user_id": text(1, 64),
    "trustee_user_id": text(1, 64),
    "impersonation": boolean,
    "project_id": nullable(ID),
    "remaining_uses": nullable(integer(1, 2**31 - 1)),
    "expires_at": nullable(text()),
    "allow_redelegation": nullable(boolean),
    "redelegation_count": nullable(integer(0, 2**31 - 1)),
    "roles": array(ROLE, most=200),
}
CREATE = Shape(
    {"trust": Shape(ATTRIBUTES, ["trustor_user_id", "trustee_user_id", "impersonation"])},
    ["trust"],
    more=False,
)
COLUMNS = frozenset(ATTRIBUTES)
UNSETTABLE = frozenset(
    {"id", "links", "roles_links", "deleted_at", "redelegated_trust_id", "created_at"}
)


def shown(call: Call, row: Row) -> dict[str, Any]:
    """A trust as lists show it."""
    return {
        **row["extra"],
        "id": row["id"],
        "trustor_user_id": row["trustor_user_id"],
        "trustee_user_id": row["trustee_user_id"],
        "project_id": row["project_id"],
        "impersonation": row["impersonation"],
        "remaining_uses": row["remaining_uses"],
        "expires_at": instant_or_none(row["expires_us"]),
        "deleted_at": None,
        "redelegation_count": row["redelegation_count"],
        "redelegated_trust_id": row["redelegated_trust_id"],
        "links": {"self": call.url("v3", "OS-TRUST", "trusts", row["id"])},
    }


class Trusts:
    """Operations on trusts."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._database = authority.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, one = "/v3/OS-TRUST/trusts", "/v3/OS-TRUST/trusts/{trust_id}"
        return [
            Route("GET", top, "identity:list_trusts", self.list),
            Route("POST", top, "identity:create_trust", self.create, 201, CREATE),
            Route("GET", one, "identity:get_trust", self.show),
            Route("DELETE", one, "identity:delete_trust", self.delete, 204),
            Route("GET", f"{one}/roles", "identity:list_roles_for_trust", self.roles),
            Route("GET", f"{one}/roles/{{role_id}}", "identity:get_role_for_trust", self.role),
        ]

    async def list(self, call: Call) -> dict[str, Any]:
        """List trusts: all of them, or those of a trustor or trustee."""
        wanted = call.query.exact("trustor_user_id", "trustee_user_id")
        if "trustor_user_id" in wanted:
            call.allow("identity:list_trusts_for_trustor", trust=wanted)
        elif "trustee_user_id" in wanted:
            call.allow("identity:list_trusts_for_trustee", trust=wanted)
        else:
            call.allow()
        refuse_for_trusts(call.identity)
        async with self._database.read() as db:
            found = await rows.matching(db, trusts.TABLE, **wanted)
        return collection(call, "trusts", found, shown)

    async def create(self, call: Call) -> dict[str, Any]:
        """Make a trust: the caller lends some of their roles, or passes on a trust they act by."""
        given, identity = call.part("trust"), call.identity
        call.allow(trust={"trustor_user_id": given["trustor_user_id"]})
        refuse_for_trusts(identity)
        if identity.user_id != given["trustor_user_id"]:
            raise forbidden("The authenticated user should match the trustor")
        if given.get("project_id") and not given.get("roles"):
            raise forbidden("At least one role should be specified")
        now_us = self._authority.now_us()
        extra = {name: given[name] for name in given if name not in COLUMNS | UNSETTABLE}
        row: Row = {
            "id": self._authority.new_id(),
            "trustor_user_id": given["trustor_user_id"],
            "trustee_user_id": given["trustee_user_id"],
            "project_id": given.get("project_id"),
            "impersonation": given["impersonation"],
            "remaining_uses": given.get("remaining_uses"),
            "redelegation_count": redelegation.depth_of(given),
            "redelegated_trust_id": None,
            "created_us": now_us,
            "expires_us": time_of(given.get("expires_at"), now_us),
            "extra": extra,
        }
        async with self._database.write() as db:
            await users.get(db, row["trustee_user_id"])
            wanted = {(await role_of(db, one))["id"] for one in given.get("roles", [])}
            source = row
            if identity.trust_id:
                source = await self._below(db, identity.trust_id, given, row, wanted)
            await self._check_held(db, source, row["project_id"], wanted)
            await trusts.create(db, row, wanted)
            return {"trust": await self._whole(db, call, row)}

    async def _below(
        self, db: Connection, parent_id: str, given: Row, row: Row, wanted: Collection[str]
    ) -> Row:
        """Bind a new trust to the one it is passed on from; returns the first of the chain."""
        parent = await trusts.get(db, parent_id, self._authority.now_us())
        held = {role["id"] for role in await trusts.roles_of(db, parent_id)}
        redelegation.check_below(parent, given, parent_roles=held, roles=wanted)
        row["redelegated_trust_id"] = parent_id
        row["redelegation_count"] = redelegation.depth_below(parent["redelegation_count"], given)
        row["expires_us"] = redelegation.end_below(parent["expires_us"], row["expires_us"])
        while parent["redelegated_trust_id"]:
            parent = await trusts.get(db, parent["redelegated_trust_id"], self._authority.now_us())
        return parent

    async def _check_held(
        self, db: Connection, source: Row, project_id: str | None, wanted: Collection[str]
    ) -> None:
        """Refuse roles that the first trustor does not have on the project. Raises Fault 404."""
        if not project_id:
            return
        await projects.get(db, project_id)
        held = await grants.effective(db, source["trustor_user_id"], "project", project_id)
        missing = set(wanted) - {role["id"] for role in held}
        if missing:
            raise not_found("role", ", ".join(sorted(missing)))

    async def _whole(self, db: Connection, call: Call, row: Row) -> dict[str, Any]:
        """A trust with its roles."""
        found = await trusts.roles_of(db, row["id"])
        own = call.url("v3", "OS-TRUST", "trusts", row["id"], "roles")
        return {
            **shown(call, row),
            "roles": [role_api.shown(call, role) for role in found],
            "roles_links": {"self": own, "next": None, "previous": None},
        }

    async def _get(self, db: Connection, call: Call) -> Row:
        call.absence_is_open = True  # a trust that was used up answers 404 to its trustee
        row = await trusts.get(db, call.variables["trust_id"], self._authority.now_us())
        seen = {name: row[name] for name in ("trustor_user_id", "trustee_user_id")}
        call.allow(trust=seen)
        refuse_for_trusts(call.identity)
        return row

    async def show(self, call: Call) -> dict[str, Any]:
        """Show a trust."""
        async with self._database.read() as db:
            return {"trust": await self._whole(db, call, await self._get(db, call))}

    async def delete(self, call: Call) -> None:
        """Remove a trust and all that come from it."""
        async with self._database.write() as db:
            row = await self._get(db, call)
            await trusts.delete(db, row["id"], self._authority.now_us())

    async def roles(self, call: Call) -> dict[str, Any]:
        """List the roles that a trust lends."""
        async with self._database.read() as db:
            row = await self._get(db, call)
            found = await trusts.roles_of(db, row["id"])
        return collection(call, "roles", found, role_api.shown)

    async def role(self, call: Call) -> dict[str, Any]:
        """Show one of the roles that a trust lends."""
        role_id = call.variables["role_id"]
        async with self._database.read() as db:
            row = await self._get(db, call)
            found = [one for one in await trusts.roles_of(db, row["id"]) if one["id"] == role_id]
        if not found:
            raise not_found("role", role_id)
        return {"role": role_api.shown(call, found[0])}
