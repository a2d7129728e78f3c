"""`/v3/users`."""

from __future__ import annotations

from typing import Any

from authd import domains, rows, users
from authd.api.projects import own_domain
from authd.authority import Authority
from authd.rows import Row
from authd.times import instant_or_none
from core.api.call import Call
from core.api.fault import bad_request, forbidden, unauthorized
from core.api.listing import collection
from core.api.route import PUBLIC, Route
from core.api.shape import (
    ID,
    NAME,
    Attributes,
    Shape,
    array,
    boolean,
    nullable,
    plain_object,
    text,
)
from core.database import Connection

PASSWORD_CHARS_MAX = 4096
OPTIONS = Shape(
    {
        "ignore_change_password_upon_first_use": nullable(boolean),
        "ignore_password_expiry": nullable(boolean),
        "ignore_lockout_failure_attempts": nullable(boolean),
        "ignore_user_inactivity": nullable(boolean),
        "lock_password": nullable(boolean),
        "multi_factor_auth_enabled": nullable(boolean),
        "multi_factor_auth_rules": nullable(array(array(text(1, 64), least=1, unique=True))),
    },
    more=False,
)
ATTRIBUTES: Attributes = {
    "name": NAME,
    "domain_id": ID,
    "default_project_id": nullable(ID),
    "description": nullable(text()),
    "enabled": boolean,
    "password": nullable(text(0, PASSWORD_CHARS_MAX)),
    "federated": array(plain_object),
    "options": OPTIONS,
}
CREATE = Shape({"user": Shape(ATTRIBUTES, ["name"])}, ["user"], more=False)
UPDATE = Shape({"user": Shape(ATTRIBUTES, least=1)}, ["user"], more=False)
CHANGE = Shape(
    {
        "user": Shape(
            {
                "original_password": text(0, PASSWORD_CHARS_MAX),
                "password": text(0, PASSWORD_CHARS_MAX),
            },
            ["original_password", "password"],
        )
    },
    ["user"],
    more=False,
)
COLUMNS = frozenset({"name", "enabled", "default_project_id", "options"})
UNSETTABLE = frozenset({"id", "links", "password", "domain_id", "password_expires_at", "federated"})


def shown(call: Call, row: Row) -> dict[str, Any]:
    """A user as clients see it; never with anything of a password but its expiry."""
    body = {
        **row["extra"],
        "id": row["id"],
        "name": row["name"],
        "domain_id": row["domain_id"],
        "enabled": row["enabled"],
        "password_expires_at": instant_or_none(row.get("expires_us")),
        "options": row["options"],
        "links": {"self": call.url("v3", "users", row["id"])},
    }
    if row["default_project_id"]:
        body["default_project_id"] = row["default_project_id"]
    return body


class Users:
    """Operations on users."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._database = authority.database

    def routes(self) -> list[Route]:
        """What is served."""
        one = "/v3/users/{user_id}"
        return [
            Route("GET", "/v3/users", "identity:list_users", self.list),
            Route("POST", "/v3/users", "identity:create_user", self.create, 201, CREATE),
            Route("GET", one, "identity:get_user", self.show),
            Route("PATCH", one, "identity:update_user", self.update, 200, UPDATE),
            Route("DELETE", one, "identity:delete_user", self.delete, 204),
            Route("POST", f"{one}/password", PUBLIC, self.change_password, 204, CHANGE),
        ]

    async def list(self, call: Call) -> dict[str, Any]:
        """List users; a domain's reader sees those of their domain."""
        own = call.identity.domain_id
        call.allow(domain_id=own or None)
        wanted: Row = dict(call.query.exact("name", "domain_id"))
        if "enabled" in call.query:
            wanted["enabled"] = call.query.flag("enabled")
        if own:
            wanted["domain_id"] = own
        async with self._database.read() as db:
            found = await rows.matching(db, users.TABLE, **wanted)
        return collection(call, "users", found, shown, "name")

    async def create(self, call: Call) -> dict[str, Any]:
        """Add a user."""
        given = call.part("user")
        domain_id = given.get("domain_id") or own_domain(call.identity)
        known, extra = rows.split_extra(given, COLUMNS)
        now_us = self._authority.now_us()
        row: Row = {
            "id": self._authority.new_id(),
            "domain_id": domain_id,
            "name": known["name"],
            "enabled": known.get("enabled", True),
            "default_project_id": known.get("default_project_id"),
            "options": without_nulls(known.get("options", {})),
            "extra": {name: extra[name] for name in extra if name not in UNSETTABLE},
            "created_us": now_us,
            "active_us": now_us,
            "failed_count": 0,
            "failed_us": 0,
        }
        call.allow(user={"id": row["id"], "domain_id": domain_id})
        hashed = await self._hash(given)
        async with self._database.write() as db:
            await domains.get(db, domain_id)
            await users.create(db, row)
            if hashed is not None:
                await users.set_password(db, row["id"], hashed, now_us=now_us, self_service=False)
        return {"user": shown(call, row)}

    async def _hash(self, given: dict[str, Any]) -> str | None:
        password = given.get("password")
        return None if password is None else await self._authority.hasher.hash(password)

    async def show(self, call: Call) -> dict[str, Any]:
        """Show a user."""
        async with self._database.read() as db:
            row = await self._get(db, call)
        call.allow(user=policy_target(row))
        return {"user": shown(call, row)}

    async def _get(self, db: Connection, call: Call) -> Row:
        row = await users.get(db, call.variables["user_id"])
        password = await users.current_password(db, row["id"])
        return {**row, "expires_us": password["expires_us"] if password else None}

    async def update(self, call: Call) -> dict[str, Any]:
        """Change a user."""
        given = call.part("user")
        known, extra = rows.split_extra(given, COLUMNS)
        async with self._database.read() as db:
            call.allow(user=policy_target(await self._get(db, call)))
        hashed = await self._hash(given)
        async with self._database.write() as db:
            row = await self._get(db, call)
            if "domain_id" in given and given["domain_id"] != row["domain_id"]:
                raise bad_request("Cannot change Domain ID.")
            if "options" in known:
                known["options"] = without_nulls({**row["options"], **known["options"]})
            more = {name: extra[name] for name in extra if name not in UNSETTABLE}
            known["extra"] = {**row["extra"], **more}
            now_us = self._authority.now_us()
            await users.update(db, row, known, now_us)
            if hashed is not None:
                await users.set_password(db, row["id"], hashed, now_us=now_us, self_service=False)
        return {"user": shown(call, {**row, **known})}

    async def delete(self, call: Call) -> None:
        """Remove a user."""
        async with self._database.write() as db:
            row = await self._get(db, call)
            call.allow(user=policy_target(row))
            await users.delete(db, row, self._authority.now_us())

    async def change_password(self, call: Call) -> None:
        """A user's own change of password, with the old one as proof; no token is needed."""
        given = call.part("user")
        user_id = call.variables["user_id"]
        async with self._database.read() as db:
            row = await rows.by_id(db, users.TABLE, user_id)
            password = await users.current_password(db, user_id)
        stored = password["hash"] if password and row and row["enabled"] else None
        if not await self._authority.hasher.verify(given["original_password"], stored):
            raise unauthorized()
        assert row is not None
        if row["options"].get("lock_password"):
            raise forbidden("The password of this user is locked.")
        hashed = await self._authority.hasher.hash(given["password"])
        async with self._database.write() as db:
            now_us = self._authority.now_us()
            await users.set_password(db, user_id, hashed, now_us=now_us, self_service=True)


def policy_target(row: Row) -> dict[str, Any]:
    """A user as policy rules see it."""
    return {"id": row["id"], "name": row["name"], "domain_id": row["domain_id"]}


def without_nulls(options: dict[str, Any]) -> dict[str, Any]:
    """Options after a change: null takes one away."""
    return {name: value for name, value in options.items() if value is not None}
