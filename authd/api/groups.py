"""`/v3/groups`, their members, and `/v3/users/{user_id}/groups`."""

from __future__ import annotations

from typing import Any

from authd import domains, groups, users
from authd.api import users as user_api
from authd.api.projects import own_domain
from authd.authority import Authority
from core import rows
from core.api.call import Call
from core.api.fault import bad_request, not_found
from core.api.listing import collection
from core.api.route import Route
from core.api.shape import DESCRIPTION, ID, NAME, SHORT_NAME, Attributes, Shape, nullable
from core.database import Connection
from core.rows import Row

ATTRIBUTES: Attributes = {
    "name": SHORT_NAME,
    "description": nullable(DESCRIPTION),
    "domain_id": ID,
}
CREATE = Shape({"group": Shape(ATTRIBUTES, ["name"])}, ["group"], more=False)
UPDATE = Shape({"group": Shape({**ATTRIBUTES, "name": NAME}, least=1)}, ["group"], more=False)
COLUMNS = frozenset({"name", "description"})
UNSETTABLE = frozenset({"id", "links", "domain_id"})


def shown(call: Call, row: Row) -> dict[str, Any]:
    """A group as clients see it."""
    return {
        **row["extra"],
        "id": row["id"],
        "name": row["name"],
        "domain_id": row["domain_id"],
        "description": row["description"],
        "links": {"self": call.url("v3", "groups", row["id"])},
    }


def membership_shown(call: Call, row: Row) -> dict[str, Any]:
    """A group in the list of a user's; memberships made through the API do not expire."""
    return {**shown(call, row), "membership_expires_at": None}


def policy_target(row: Row) -> dict[str, Any]:
    """A group as policy rules see it."""
    return {"id": row["id"], "name": row["name"], "domain_id": row["domain_id"]}


class Groups:
    """Operations on groups."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._database = authority.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, one = "/v3/groups", "/v3/groups/{group_id}"
        member, check = one + "/users/{user_id}", "identity:check_user_in_group"
        return [
            Route("GET", top, "identity:list_groups", self.list),
            Route("POST", top, "identity:create_group", self.create, 201, CREATE),
            Route("GET", one, "identity:get_group", self.show),
            Route("PATCH", one, "identity:update_group", self.update, 200, UPDATE),
            Route("DELETE", one, "identity:delete_group", self.delete, 204),
            Route("GET", f"{one}/users", "identity:list_users_in_group", self.members),
            Route("PUT", member, "identity:add_user_to_group", self.add, 204),
            Route("GET", member, check, self.check, 204),
            Route("HEAD", member, check, self.check, 204),
            Route("DELETE", member, "identity:remove_user_from_group", self.remove, 204),
            Route("GET", "/v3/users/{user_id}/groups", "identity:list_groups_for_user", self.of),
        ]

    async def list(self, call: Call) -> dict[str, Any]:
        """List groups; a domain's reader sees those of their domain."""
        own = call.identity.domain_id
        call.allow(group={"domain_id": own or None})
        wanted: Row = dict(call.query.exact("name", "domain_id"))
        if own:
            wanted["domain_id"] = own
        async with self._database.read() as db:
            found = await rows.matching(db, groups.TABLE, **wanted)
        return collection(call, "groups", found, shown, "name")

    async def create(self, call: Call) -> dict[str, Any]:
        """Add a group."""
        given = call.part("group")
        known, extra = rows.split_extra(given, COLUMNS)
        row: Row = {
            "id": self._authority.new_id(),
            "domain_id": given.get("domain_id") or own_domain(call.identity),
            "name": known["name"],
            "description": known.get("description") or "",
            "extra": {name: extra[name] for name in extra if name not in UNSETTABLE},
        }
        call.allow(group=policy_target(row))
        async with self._database.write() as db:
            await domains.get(db, row["domain_id"])
            await groups.create(db, row)
        return {"group": shown(call, row)}

    async def show(self, call: Call) -> dict[str, Any]:
        """Show a group."""
        async with self._database.read() as db:
            row = await groups.get(db, call.variables["group_id"])
        call.allow(group=policy_target(row))
        return {"group": shown(call, row)}

    async def update(self, call: Call) -> dict[str, Any]:
        """Change a group."""
        given = call.part("group")
        known, extra = rows.split_extra(given, COLUMNS)
        async with self._database.write() as db:
            row = await groups.get(db, call.variables["group_id"])
            call.allow(group=policy_target(row))
            if "domain_id" in given and given["domain_id"] != row["domain_id"]:
                raise bad_request("Cannot change Domain ID.")
            if "description" in known:
                known["description"] = known["description"] or ""
            more = {name: extra[name] for name in extra if name not in UNSETTABLE}
            known["extra"] = {**row["extra"], **more}
            await groups.update(db, row, known)
        return {"group": shown(call, {**row, **known})}

    async def delete(self, call: Call) -> None:
        """Remove a group."""
        call.absence_is_open = True  # this one operation tells everybody, in Keystone too
        async with self._database.write() as db:
            row = await groups.get(db, call.variables["group_id"])
            call.allow(group=policy_target(row))
            await groups.delete(db, row, self._authority.now_us())

    async def members(self, call: Call) -> dict[str, Any]:
        """List who is in a group; a domain's reader sees the users of their domain."""
        async with self._database.read() as db:
            row = await groups.get(db, call.variables["group_id"])
            call.allow(group=policy_target(row))
            wanted = call.query.exact("name")
            if call.identity.domain_id:
                wanted["domain_id"] = call.identity.domain_id
            expiry = user_api.expiry_filter(call.query)
            found = [
                user
                for user in await users.with_expiry(db, await groups.members(db, row["id"]))
                if all(user[name] == value for name, value in wanted.items())
                and expiry(user["expires_us"])
            ]
        return collection(call, "users", found, user_api.shown, "name")

    async def _both(self, db: Connection, call: Call) -> tuple[str, str]:
        """Group and user of a path, which must be there and pass the rule."""
        group = await groups.get(db, call.variables["group_id"])
        user = await users.get(db, call.variables["user_id"])
        call.allow(group=policy_target(group), user=user_api.policy_target(user))
        return group["id"], user["id"]

    async def add(self, call: Call) -> None:
        """Put a user into a group."""
        async with self._database.write() as db:
            await groups.add(db, *await self._both(db, call))

    async def check(self, call: Call) -> None:
        """Whether a user is in a group."""
        async with self._database.read() as db:
            group_id, user_id = await self._both(db, call)
            if not await groups.contains(db, group_id, user_id):
                raise not_found("user in group", user_id)

    async def remove(self, call: Call) -> None:
        """Take a user out of a group."""
        async with self._database.write() as db:
            group_id, user_id = await self._both(db, call)
            await groups.remove(db, group_id, user_id, self._authority.now_us())

    async def of(self, call: Call) -> dict[str, Any]:
        """List the groups of a user."""
        async with self._database.read() as db:
            user = await users.get(db, call.variables["user_id"])
            call.allow(user=user_api.policy_target(user))
            wanted, own = call.query.exact("name"), call.identity.domain_id
            found = [
                group
                for group in await groups.of_user(db, user["id"])
                if wanted.get("name", group["name"]) == group["name"]
                and (not own or group["domain_id"] == own)
            ]
        return collection(call, "groups", found, membership_shown, "name")
