"""`/v3/users/{user_id}/application_credentials` and `/v3/users/{user_id}/access_rules`."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from authd import application_credentials, grants, roles, users
from authd.authority import Authority
from authd.delegation import refuse_for_application_credentials
from authd.times import instant, parsed
from core import rows
from core.api.call import Call
from core.api.fault import Fault, bad_request, forbidden
from core.api.listing import collection
from core.api.route import Route
from core.api.shape import (
    ID,
    NAME,
    Attributes,
    Check,
    Shape,
    array,
    boolean,
    choice,
    nullable,
    text,
)
from core.database import Connection
from core.rows import Row

SECRET_BYTES = 64
METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
ROLE = Shape({"id": ID, "name": NAME}, more=False, least=1)
RULE_ATTRIBUTES: Attributes = {
    "id": ID,
    "path": text(0, 225, pattern=r"/[\s\S]*"),
    "method": choice(*METHODS),
    "service": text(1, 255),
}


def _rule(value: Any, where: str) -> None:
    """An access rule: an id of one that is there, or all of it."""
    Shape(RULE_ATTRIBUTES, more=False)(value, where)
    if "id" not in value:
        Shape(RULE_ATTRIBUTES, ["path", "method", "service"])(value, where)


RULE: Check = _rule
ATTRIBUTES: Attributes = {
    "id": ID,
    "name": NAME,
    "secret": nullable(text(0, 4096)),
    "description": nullable(text()),
    "expires_at": nullable(text()),
    "project_id": nullable(ID),
    "roles": array(ROLE, most=200),
    "unrestricted": nullable(boolean),
    "access_rules": array(RULE, most=1000),
    "system": nullable(text()),
}
CREATE = Shape(
    {"application_credential": Shape(ATTRIBUTES, ["name"], more=False)},
    ["application_credential"],
    more=False,
)


def rule_shown(call: Call, row: Row) -> dict[str, Any]:
    """An access rule as clients see it."""
    own = call.url("v3", "users", row["user_id"], "access_rules", row["id"])
    return {**_plain_rule(row), "links": {"self": own}}


def _plain_rule(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in ("id", "service", "path", "method")}


def time_of(text: str | None, now_us: int) -> int | None:
    """When something is to end. Raises Fault 400 for what is no time, or past."""
    if text is None:
        return None
    us = parsed(text)
    if us is None:
        raise bad_request(
            "Timestamp not in expected format. The server could not comply with the request since it is"
            " either malformed or otherwise incorrect."
        )
    if us <= now_us:
        raise bad_request("The 'expires_at' must not be before now.")
    return us


class ApplicationCredentials:
    """Operations on application credentials."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._database = authority.database

    def routes(self) -> list[Route]:
        """What is served."""
        top = "/v3/users/{user_id}/application_credentials"
        one = top + "/{application_credential_id}"
        what = "identity:{}_application_credential"
        return [
            Route("GET", top, what.format("list") + "s", self.list),
            Route("POST", top, what.format("create"), self.create, 201, CREATE),
            Route("GET", one, what.format("get"), self.show),
            Route("DELETE", one, what.format("delete"), self.delete, 204),
        ]

    async def _shown(self, db: Connection, call: Call, row: Row) -> dict[str, Any]:
        """As clients see it, without its secret."""
        own = call.url("v3", "users", row["user_id"], "application_credentials", row["id"])
        body = {
            "id": row["id"],
            "name": row["name"],
            "description": row["description"],
            "user_id": row["user_id"],
            "project_id": row["project_id"],
            "expires_at": ends_shown(row["expires_us"]),
            "unrestricted": row["unrestricted"],
            "system": None,
            "roles": [
                {"id": role["id"], "name": role["name"], "domain_id": role["domain_id"] or None}
                for role in await application_credentials.roles_of(db, row["id"])
            ],
            "links": {"self": own},
        }
        if row["limited"]:
            found = await application_credentials.rules_of(db, row["id"])
            body["access_rules"] = [_plain_rule(rule) for rule in found]
        return body

    async def _check_delegation(self, db: Connection, call: Call, *, change: bool) -> None:
        """Refuse delegated callers, but for unrestricted application credentials."""
        own_id = call.identity.application_credential_id
        if own_id and change:
            change = not (await application_credentials.get(db, own_id))["unrestricted"]
        refuse_for_application_credentials(call.identity, change=change)

    async def list(self, call: Call) -> dict[str, Any]:
        """List those of a user."""
        call.allow()
        async with self._database.read() as db:
            await self._check_delegation(db, call, change=False)
            found = await rows.matching(
                db,
                application_credentials.TABLE,
                user_id=call.variables["user_id"],
                **call.query.exact("name"),
            )
            whole = {row["id"]: await self._shown(db, call, row) for row in found}
        return collection(
            call, "application_credentials", found, lambda _, row: whole[row["id"]], "name"
        )

    async def create(self, call: Call) -> dict[str, Any]:
        """Make one for the caller in the project of their token; its secret is shown once."""
        call.allow()
        given, identity = call.part("application_credential"), call.identity
        if identity.user_id != call.variables["user_id"]:
            raise forbidden("Cannot create an application credential for another user.")
        if given.get("project_id") not in {None, identity.project_id}:
            raise forbidden("An application credential is for the project of the token.")
        now_us = self._authority.now_us()
        secret = given.get("secret") or base64.urlsafe_b64encode(
            self._authority.env.random_bytes(SECRET_BYTES)
        ).decode().rstrip("=")
        row: Row = {
            "id": self._authority.new_id(),
            "user_id": identity.user_id,
            "project_id": identity.project_id,
            "name": given["name"],
            "hash": await self._authority.hasher.hash(secret),
            "description": given.get("description"),
            "unrestricted": given.get("unrestricted") or False,
            "limited": bool(given.get("access_rules")),
            "created_us": now_us,
            "expires_us": time_of(given.get("expires_at"), now_us),
        }
        rules = [{"id": self._authority.new_id(), **rule} for rule in given.get("access_rules", [])]
        async with self._database.write() as db:
            await self._check_delegation(db, call, change=True)
            role_ids = await self._role_ids(db, call, given.get("roles", []))
            await application_credentials.create(db, row, role_ids, rules)
            body = await self._shown(db, call, row)
        return {"application_credential": {**body, "secret": secret}}

    async def _role_ids(
        self, db: Connection, call: Call, wanted: Sequence[dict[str, str]]
    ) -> Sequence[str]:
        """The roles asked for with all they imply, or all that the caller has. Raises Fault 400 or 404."""
        identity = call.identity
        held = await grants.effective(
            db,
            identity.user_id,
            "project",
            identity.project_id,
            group_ids=identity.federation[2] if identity.federation else (),
        )
        if identity.application_credential_id:
            held = [role for role in held if role["name"] in identity.roles]
        allowed = {role["id"] for role in held}
        if not wanted:
            return sorted(allowed)
        asked: set[str] = set()
        for one in wanted:
            asked |= await roles.closure(db, (await role_of(db, one))["id"])
        if not asked <= allowed:
            raise bad_request("Cannot create an application credential with unassigned role.")
        return sorted(asked)

    async def show(self, call: Call) -> dict[str, Any]:
        """Show one."""
        async with self._database.read() as db:
            row = await self._get(db, call)
            await self._check_delegation(db, call, change=False)
            return {"application_credential": await self._shown(db, call, row)}

    async def _get(self, db: Connection, call: Call) -> Row:
        """The one of a path, which counts as its owner's whatever user the path names."""
        try:
            row = await application_credentials.get(db, call.variables["application_credential_id"])
        except Fault:
            call.allow()
            raise
        call.variables["user_id"] = row["user_id"]
        call.allow()
        return row

    async def delete(self, call: Call) -> None:
        """Remove one."""
        async with self._database.write() as db:
            row = await self._get(db, call)
            await self._check_delegation(db, call, change=True)
            await application_credentials.delete(db, row, self._authority.now_us())


async def role_of(db: Connection, given: dict[str, str]) -> Row:
    """A role named by id, or by name among those of the whole cloud. Raises Fault 400 or 404."""
    if "id" in given:
        return await roles.get(db, given["id"])
    row = await roles.named(db, "", given["name"])
    if row is None:
        raise bad_request(f"Could not find a role named {given['name']}.")
    return row


def ends_shown(us: int | None) -> str | None:
    """When an application credential ends, as that API writes it: UTC without a zone."""
    return None if us is None else instant(us).removesuffix("Z")


class AccessRules:
    """Operations on the access rules of a user."""

    def __init__(self, authority: Authority) -> None:
        self._database = authority.database

    def routes(self) -> list[Route]:
        """What is served."""
        top = "/v3/users/{user_id}/access_rules"
        one = top + "/{access_rule_id}"
        return [
            Route("GET", top, "identity:list_access_rules", self.list),
            Route("GET", one, "identity:get_access_rule", self.show),
            Route("DELETE", one, "identity:delete_access_rule", self.delete, 204),
        ]

    async def _user_id(self, db: Connection, call: Call) -> str:
        user_id = call.variables["user_id"]
        call.allow(user={"id": user_id})
        refuse_for_application_credentials(call.identity, change=False)
        return str((await users.get(db, user_id))["id"])

    async def list(self, call: Call) -> dict[str, Any]:
        """List them."""
        async with self._database.read() as db:
            user_id = await self._user_id(db, call)
            wanted = call.query.exact("service", "path", "method")
            found = await rows.matching(
                db, application_credentials.RULES, user_id=user_id, **wanted
            )
        return collection(call, "access_rules", found, rule_shown, "service", "path", "method")

    async def show(self, call: Call) -> dict[str, Any]:
        """Show one."""
        async with self._database.read() as db:
            user_id = await self._user_id(db, call)
            row = await application_credentials.get_rule(
                db, user_id, call.variables["access_rule_id"]
            )
        return {"access_rule": rule_shown(call, row)}

    async def delete(self, call: Call) -> None:
        """Remove one that no application credential has."""
        async with self._database.write() as db:
            user_id = await self._user_id(db, call)
            row = await application_credentials.get_rule(
                db, user_id, call.variables["access_rule_id"]
            )
            await application_credentials.delete_rule(db, row)
