"""`/v3/users`."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from authd import domains, logins, password_rules, projects, revocations, tags, users
from authd.api import projects as project_api
from authd.api.projects import own_domain
from authd.authority import Authority
from authd.reachable import reachable
from authd.times import instant_or_none, parsed
from core import rows
from core.api.call import Call
from core.api.fault import bad_request
from core.api.listing import collection
from core.api.query import Query
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
from core.revocation import USER
from core.rows import Row

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
            Route("DELETE", f"{one}/tokens", "identity:revoke_tokens_for_user", self.revoke, 204),
            Route("GET", f"{one}/projects", "identity:list_user_projects", self.projects),
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
            found = await users.with_expiry(db, found)
        expiry = expiry_filter(call.query)
        found = [row for row in found if expiry(row["expires_us"])]
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
        # by the rule a domain's manager says where: what is left out counts as no domain
        call.allow(user={"id": row["id"], "domain_id": given.get("domain_id")})
        hashed = await self._hash(given)
        async with self._database.write() as db:
            await domains.get(db, domain_id)
            await users.create(db, row)
            await check_default_project(db, row["default_project_id"])
            if hashed is not None:
                await self._set_password(db, row, hashed)
        return {"user": shown(call, row)}

    async def _hash(self, given: dict[str, Any]) -> str | None:
        password = given.get("password")
        if password is None:
            return None
        password_rules.check_strength(self._authority.settings, password)
        return await self._authority.hasher.hash(password)

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
            await check_default_project(db, known.get("default_project_id"))
            await users.update(db, row, known, self._authority.now_us())
            row |= known
            if hashed is not None:
                await self._set_password(db, row, hashed)
        return {"user": shown(call, row)}

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
            domain = await rows.by_id(db, domains.TABLE, row["domain_id"]) if row else None
        usable = row if row and row["enabled"] and domain and domain["enabled"] else None
        current = await logins.check(
            self._authority, usable, given["original_password"], expired_too=True
        )
        assert row is not None
        settings, now_us = self._authority.settings, self._authority.now_us()
        password_rules.check_changeable(row["options"])
        password_rules.check_age(settings, current, now_us)
        password_rules.check_strength(settings, given["password"])
        await self._check_history(user_id, given["password"])
        hashed = await self._authority.hasher.hash(given["password"])
        async with self._database.write() as db:
            await self._set_password(db, await users.get(db, user_id), hashed, self_service=True)

    async def _set_password(
        self, db: Connection, row: Row, hashed: str, *, self_service: bool = False
    ) -> None:
        """Store a new password by the rules; `row` learns when it expires."""
        settings, now_us = self._authority.settings, self._authority.now_us()
        row["expires_us"] = password_rules.expires_us(
            settings, row["options"], now_us, self_service=self_service
        )
        await users.set_password(
            db,
            row["id"],
            hashed,
            now_us=now_us,
            self_service=self_service,
            expires_us=row["expires_us"],
            kept=settings.unique_last_password_count,
        )

    async def _check_history(self, user_id: str, password: str) -> None:
        """Refuse one of the last passwords. Raises Fault 400."""
        settings = self._authority.settings
        async with self._database.read() as db:
            kept = await users.passwords(db, user_id)
        for old in kept[: settings.unique_last_password_count]:
            if await self._authority.hasher.verify(password, old["hash"]):
                raise password_rules.used_before(settings)

    async def revoke(self, call: Call) -> None:
        """Revoke every token of a user."""
        async with self._database.write() as db:
            row = await users.get(db, call.variables["user_id"])
            call.allow()
            await revocations.add(db, USER, row["id"], self._authority.now_us())

    async def projects(self, call: Call) -> dict[str, Any]:
        """List the projects on which a user has a role."""
        wanted: Row = dict(call.query.exact("name", "domain_id"))
        if "enabled" in call.query:
            wanted["enabled"] = call.query.flag("enabled")
        async with self._database.read() as db:
            row = await users.get(db, call.variables["user_id"])
            call.allow(user=policy_target(row))
            found = await tags.joined(db, await reachable(db, row["id"], "project"))
        found = [one for one in found if all(one[name] == wanted[name] for name in wanted)]
        return collection(call, "projects", found, project_api.shown, "name")


async def check_default_project(db: Connection, project_id: str | None) -> None:
    """Refuse a domain as somebody's default project. Raises Fault 400."""
    if project_id is None:
        return
    row = await rows.by_id(db, projects.TABLE, project_id)
    if row is not None and row["is_domain"]:
        raise bad_request("User's default project ID cannot be a domain ID.")


COMPARATORS: dict[str, Callable[[int, int], bool]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
    "eq": operator.eq,
    "neq": operator.ne,
}


def expiry_filter(query: Query) -> Callable[[int | None], bool]:
    """The filter `password_expires_at=lt:2026-01-31T12:00:00Z`. Raises Fault 400."""
    given = query.get("password_expires_at")
    if given is None:
        return lambda _: True
    name, _, text = given.partition(":")
    compare, wanted = COMPARATORS.get(name), parsed(text)
    if compare is None or wanted is None:
        raise bad_request(
            "Expecting password_expires_at as an operator (lt, lte, gt, gte, eq, neq), a colon and a time."
        )
    return lambda us: us is not None and compare(us, wanted)


def policy_target(row: Row) -> dict[str, Any]:
    """A user as policy rules see it."""
    return {"id": row["id"], "name": row["name"], "domain_id": row["domain_id"]}


def without_nulls(options: dict[str, Any]) -> dict[str, Any]:
    """Options after a change: null takes one away."""
    return {name: value for name, value in options.items() if value is not None}
