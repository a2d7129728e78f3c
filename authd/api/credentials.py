"""`/v3/credentials` and `/v3/users/{user_id}/credentials/OS-EC2`."""

from __future__ import annotations

from typing import Any

import msgspec

from authd import credentials, projects, users
from authd.authority import Authority
from authd.delegation import refuse_any
from core import rows
from core.api.call import Call
from core.api.fault import bad_request, forbidden
from core.api.listing import collection
from core.api.route import Route
from core.api.shape import ID, Attributes, Shape, nullable, text
from core.rows import Row

ATTRIBUTES: Attributes = {
    "blob": text(most=65_536),
    "project_id": nullable(ID),
    "type": text(1, 255),
    "user_id": ID,
}
CREATE = Shape(
    {"credential": Shape(ATTRIBUTES, ["blob", "type", "user_id"])}, ["credential"], more=False
)
UPDATE = Shape({"credential": Shape(ATTRIBUTES, least=1)}, ["credential"], more=False)
EC2_CREATE = Shape({"tenant_id": ID}, ["tenant_id"])
COLUMNS = frozenset(ATTRIBUTES)
UNSETTABLE = frozenset({"id", "links"})
EC2 = credentials.EC2


def shown(call: Call, row: Row) -> dict[str, Any]:
    """A credential as clients see it."""
    return {
        **row["extra"],
        "id": row["id"],
        "user_id": row["user_id"],
        "project_id": row["project_id"],
        "type": row["type"],
        "blob": row["blob"],
        "links": {"self": call.url("v3", "credentials", row["id"])},
    }


def ec2_shown(call: Call, row: Row) -> dict[str, Any]:
    """An EC2 credential as the OS-EC2 operations show it."""
    blob = credentials.ec2_blob(row["blob"])
    access = blob["access"]
    return {
        "user_id": row["user_id"],
        "tenant_id": row["project_id"],
        "access": access,
        "secret": blob.get("secret"),
        "trust_id": blob.get("trust_id"),
        "links": {"self": call.url("v3", "users", row["user_id"], "credentials", "OS-EC2", access)},
    }


def check_project(call: Call, project_id: str | None) -> None:
    """A key is for the project that its maker is scoped to; only administrators choose. Raises Fault 403.

    Otherwise whoever holds a token for one project could make themselves a lasting key to another
    (CVE-2026-43001).
    """
    if project_id != call.identity.project_id and not call.may("admin_required"):
        raise forbidden("An EC2 credential is for the project that the token is scoped to.")


class Credentials:
    """Operations on credentials."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._database = authority.database
        self._vault = authority.vault

    def routes(self) -> list[Route]:
        """What is served."""
        top, one = "/v3/credentials", "/v3/credentials/{credential_id}"
        return [
            Route("GET", top, "identity:list_credentials", self.list),
            Route("POST", top, "identity:create_credential", self.create, 201, CREATE),
            Route("GET", one, "identity:get_credential", self.show),
            Route("PATCH", one, "identity:update_credential", self.update, 200, UPDATE),
            Route("DELETE", one, "identity:delete_credential", self.delete, 204),
        ]

    async def list(self, call: Call) -> dict[str, Any]:
        """List the credentials that the caller may see."""
        call.allow(credential={"user_id": call.identity.user_id})
        refuse_any(call.identity)
        async with self._database.read() as db:
            found = await rows.matching(
                db, credentials.TABLE, **call.query.exact("user_id", "type")
            )
        visible = [
            credentials.opened(self._vault, row)
            for row in found
            if call.may("identity:get_credential", credential={"user_id": row["user_id"]})
        ]
        return collection(call, "credentials", visible, shown)

    async def create(self, call: Call) -> dict[str, Any]:
        """Add a credential; the id of an EC2 credential follows from its access key."""
        given = call.part("credential")
        call.allow(credential={"user_id": given["user_id"]})
        refuse_any(call.identity)
        known, extra = rows.split_extra(given, COLUMNS)
        row: Row = {
            "id": self._authority.new_id(),
            "project_id": None,
            **known,
            "extra": {name: extra[name] for name in extra if name not in UNSETTABLE},
        }
        if row["type"].lower() == EC2:
            if row["project_id"] is None:
                raise bad_request("Expecting to find project_id in an EC2 credential.")
            check_project(call, row["project_id"])
            blob = credentials.ec2_blob(row["blob"])
            row["id"] = credentials.ec2_id(blob["access"])
            if any(blob.get(name) for name in credentials.BOUND):
                raise bad_request("An EC2 credential cannot name a delegation by itself.")
        async with self._database.write() as db:
            await users.get(db, row["user_id"])
            await credentials.create(db, self._vault, row)
        return {"credential": shown(call, row)}

    async def show(self, call: Call) -> dict[str, Any]:
        """Show a credential."""
        async with self._database.read() as db:
            row = await credentials.get(db, self._vault, call.variables["credential_id"])
        call.allow(credential={"user_id": row["user_id"]})
        refuse_any(call.identity)
        return {"credential": shown(call, row)}

    async def update(self, call: Call) -> dict[str, Any]:
        """Change a credential; its owner may not become somebody whom the caller could not act for."""
        given = call.part("credential")
        known, extra = rows.split_extra(given, COLUMNS)
        async with self._database.write() as db:
            row = await credentials.get(db, self._vault, call.variables["credential_id"])
            call.allow(credential={"user_id": row["user_id"]})
            refuse_any(call.identity)
            if "user_id" in known:
                call.allow(credential={"user_id": known["user_id"]})
                await users.get(db, known["user_id"])
            self._check_ec2(row, known)
            if row["type"].lower() == EC2 and "project_id" in known:
                check_project(call, known["project_id"])
            more = {name: extra[name] for name in extra if name not in UNSETTABLE}
            known["extra"] = {**row["extra"], **more}
            await credentials.update(db, self._vault, row, known, self._authority.now_us())
        return {"credential": shown(call, {**row, **known})}

    def _check_ec2(self, row: Row, known: Row) -> None:
        """What an EC2 credential is bound to stays as it is; its keys may change."""
        was, becomes = (
            row["type"].lower() == EC2,
            str(known.get("type", row["type"])).lower() == EC2,
        )
        if was != becomes:
            raise bad_request("A credential cannot become or cease to be an EC2 credential.")
        if not was or "blob" not in known:
            return
        old, new = credentials.ec2_blob(row["blob"]), credentials.ec2_blob(known["blob"])
        for name in credentials.BOUND:
            if old.get(name) != new.get(name):
                raise bad_request(f"{name} can not be updated for credential")

    async def delete(self, call: Call) -> None:
        """Remove a credential."""
        async with self._database.write() as db:
            row = await credentials.get(db, self._vault, call.variables["credential_id"])
            call.allow(credential={"user_id": row["user_id"]})
            refuse_any(call.identity)
            await credentials.delete(db, row, self._authority.now_us())


class Ec2Credentials:
    """EC2 credentials of one user."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._database = authority.database
        self._vault = authority.vault

    def routes(self) -> list[Route]:
        """What is served."""
        top = "/v3/users/{user_id}/credentials/OS-EC2"
        one = top + "/{credential_id}"
        return [
            Route("GET", top, "identity:ec2_list_credentials", self.list),
            Route("POST", top, "identity:ec2_create_credential", self.create, 201, EC2_CREATE),
            Route("GET", one, "identity:ec2_get_credential", self.show),
            Route("DELETE", one, "identity:ec2_delete_credential", self.delete, 204),
        ]

    async def list(self, call: Call) -> dict[str, Any]:
        """List them."""
        call.allow()
        refuse_any(call.identity)
        user_id = call.variables["user_id"]
        async with self._database.read() as db:
            await users.get(db, user_id)
            found = await credentials.of_user(db, self._vault, user_id, EC2)
        return collection(call, "credentials", found, ec2_shown)

    async def create(self, call: Call) -> dict[str, Any]:
        """Make an access key and a secret for the user in a project."""
        user_id, project_id = call.variables["user_id"], call.body["tenant_id"]
        call.allow(credential={"user_id": user_id})
        refuse_any(call.identity)
        check_project(call, project_id)
        blob = {
            "access": self._authority.new_id(),
            "secret": self._authority.new_id(),
            "trust_id": None,
        }
        row: Row = {
            "id": credentials.ec2_id(blob["access"] or ""),
            "user_id": user_id,
            "project_id": project_id,
            "type": EC2,
            "blob": msgspec.json.encode(blob).decode(),
            "extra": {},
        }
        async with self._database.write() as db:
            await users.get(db, user_id)
            await projects.get(db, project_id)
            await credentials.create(db, self._vault, row)
        return {"credential": ec2_shown(call, row)}

    async def show(self, call: Call) -> dict[str, Any]:
        """Show one, by its access key."""
        call.absence_is_open = True  # access keys are made at random, so nobody can probe them
        async with self._database.read() as db:
            row = await credentials.get_by_access(db, self._vault, call.variables["credential_id"])
        self._check(call, row)
        return {"credential": ec2_shown(call, row)}

    def _check(self, call: Call, row: Row) -> None:
        call.allow(credential={"user_id": row["user_id"]})
        refuse_any(call.identity)

    async def delete(self, call: Call) -> None:
        """Remove one, by its access key."""
        call.absence_is_open = True  # access keys are made at random, so nobody can probe them
        async with self._database.write() as db:
            row = await credentials.get_by_access(db, self._vault, call.variables["credential_id"])
            self._check(call, row)
            await credentials.delete(db, row, self._authority.now_us())
