"""`/os-keypairs`: SSH keys of a user, given or made here (until 2.91)."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from computed import hosts, keys, listing, quotas
from computed.api.paths import both
from computed.api.shape import name as name_shape
from computed.api.shape import one
from computed.fault import not_built
from computed.service import Service
from computed.tables import flavor as tables
from computed.times import precise
from core import rows
from core.api.call import Answer, Call
from core.api.fault import Fault, bad_request, conflict
from core.api.route import Route
from core.api.shape import Shape, choice, text
from core.database import Connection
from core.rows import Row

TABLE = tables.keypair
RULE = "os_compute_api:os-keypairs"
CREATE = one(
    "keypair",
    Shape(
        {
            "name": name_shape,
            "public_key": text(),
            "type": choice("ssh", "x509"),
            "user_id": text(1, 255),
        },
        ["name"],
        more=False,
    ),
)
OLD_NAME = text(1, 255, pattern=r"[a-zA-Z0-9 _-]*")
NEW_NAME = text(1, 255, pattern=r"[a-zA-Z0-9 _@.-]*")


def brief(call: Call, row: Row) -> dict[str, Any]:
    """A key pair without times."""
    body: dict[str, Any] = {
        "name": row["name"],
        "public_key": row["public_key"],
        "fingerprint": row["fingerprint"],
    }
    if call.microversion >= (2, 2):
        body["type"] = row["type"]
    return body


class Keypairs:
    """Operations on key pairs."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, single = "/os-keypairs", "/os-keypairs/{keypair_name}"
        return both(
            [
                Route("GET", top, f"{RULE}:index", self.list),
                Route("POST", top, f"{RULE}:create", self.create, 200, CREATE),
                Route("GET", single, f"{RULE}:show", self.show),
                Route("DELETE", single, f"{RULE}:delete", self.delete, 202),
            ]
        )

    def _user(self, call: Call, given: str | None) -> str:
        """Whose key pairs: an administrator may name a user (2.10)."""
        user_id = given if given and call.microversion >= (2, 10) else call.identity.user_id
        call.allow(of={"user_id": user_id, "project_id": call.identity.project_id})
        return user_id

    async def _row(self, db: Connection, call: Call) -> Row:
        user_id = self._user(call, call.query.get("user_id"))
        found = call.variables["keypair_name"]
        same = (TABLE.c.user_id == user_id, TABLE.c.name == found)
        row = await rows.first(db, sa.select(TABLE).where(*same))
        if row is None:
            raise Fault(404, f"Keypair {found[:80]} not found for user {user_id}")
        return row

    async def list(self, call: Call) -> dict[str, Any]:
        """All of a user."""
        user_id = self._user(call, call.query.get("user_id"))
        statement = sa.select(TABLE).where(TABLE.c.user_id == user_id).order_by(TABLE.c.name)
        async with self._database.read() as db:
            held = await rows.rows(db, statement)
        found = listing.Page(held, more=False)
        if call.microversion >= (2, 35):
            found = listing.cut(call, held, "name")
        shown = [{"keypair": brief(call, row)} for row in found.rows]
        body: dict[str, Any] = {"keypairs": shown}
        if call.microversion >= (2, 35):
            body |= listing.next_link(call, "keypairs", found, "name")
        return body

    async def create(self, call: Call) -> Answer:
        """Take a public key, or make a pair."""
        given = call.part("keypair")
        user_id = self._user(call, given.get("user_id"))
        self._check(call, given)
        private, public = "", given.get("public_key")
        if public is None:
            pair = await self._service.env.offload(keys.generate)
            public, private = pair.public, pair.private
        fingerprint = keys.fingerprint_of(public)
        async with self._database.write() as db:
            limits = await quotas.limits_of(db, call.identity.project_id)
            if 0 <= limits["key_pairs"] <= await quotas.keypairs_of(db, user_id):
                raise Fault(403, "Quota exceeded, too many key pairs.")
            same = (TABLE.c.user_id == user_id, TABLE.c.name == given["name"])
            if await rows.count(db, TABLE, *same):
                raise conflict(f"Key pair '{given['name']}' already exists.")
            row = {
                "id": self._service.new_id(),
                "number": await hosts.next_number(db, TABLE),
                "user_id": user_id,
                "name": given["name"],
                "type": "ssh",
                "public_key": public,
                "fingerprint": fingerprint,
                "created_us": self._service.now_us(),
            }
            await rows.insert(db, TABLE, row)
        body = {**brief(call, row), "user_id": user_id}
        if private:
            body["private_key"] = private
        return Answer({"keypair": body}, 201 if call.microversion >= (2, 2) else 200)

    def _check(self, call: Call, given: Row) -> None:
        version = call.microversion
        if "type" in given and version < (2, 2):
            raise bad_request("Additional properties are not allowed ('type' was unexpected)")
        if "user_id" in given and version < (2, 10):
            raise bad_request("Additional properties are not allowed ('user_id' was unexpected)")
        if given["name"] != given["name"].strip():
            raise bad_request("Invalid input for field 'name': it has blanks at its ends")
        (NEW_NAME if version >= (2, 92) else OLD_NAME)(given["name"], "name")
        if given.get("type") == "x509":
            raise not_built("The key pair type x509")
        if version >= (2, 92) and "public_key" not in given:
            raise bad_request("'public_key' is a required property")

    async def show(self, call: Call) -> dict[str, Any]:
        """Show one."""
        async with self._database.read() as db:
            row = await self._row(db, call)
        body = {
            **brief(call, row),
            "user_id": row["user_id"],
            "id": row["number"],
            "created_at": precise(row["created_us"]),
            "updated_at": None,
            "deleted": False,
            "deleted_at": None,
        }
        return {"keypair": body}

    async def delete(self, call: Call) -> Answer:
        """Remove one; servers keep the public key."""
        async with self._database.write() as db:
            row = await self._row(db, call)
            await rows.delete(db, TABLE, TABLE.c.id == row["id"])
        return Answer(None, 204 if call.microversion >= (2, 2) else 202)
