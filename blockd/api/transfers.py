"""`/os-volume-transfer` and `/volume-transfers` (3.55): a volume offered to whoever has the key.

Only a salted digest of the key is kept; keys are compared in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from blockd import quotas, snapshots, volumes
from blockd.api.paths import both, links
from blockd.api.shape import NAME, flag, one, stripped, truth, uuid
from blockd.fault import absent
from blockd.listing import Listing, Page, answer, owned, page
from blockd.service import Service
from blockd.sight import allowed, own_project
from blockd.tables import transfer
from blockd.times import instant
from core import rows
from core.api.call import Answer, Call
from core.api.fault import bad_request
from core.api.route import Route
from core.api.shape import Shape, text
from core.database import Connection
from core.rows import Row

TABLE = transfer.transfer
OLD, NEW = "os-volume-transfer", "volume-transfers"
KEY_BYTES = 16
OFFER = {"volume_id": uuid, "name": NAME}
CREATE_OLD = one("transfer", Shape(OFFER, ["volume_id"], more=False))
CREATE_NEW = one("transfer", Shape({**OFFER, "no_snapshots": flag}, ["volume_id"], more=False))
ACCEPT = one("accept", Shape({"auth_key": text(1, 255)}, ["auth_key"], more=False))
LISTING = Listing(
    TABLE,
    {"volume_id": "volume_id", "name": "name"},
    {"id": "id", "created_at": "created_us", "name": "name"},
)


def digest(salt: str, key: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(f"{salt}/{key}".encode()).hexdigest()


def brief(call: Call, row: Row, path: str) -> dict[str, Any]:
    """A transfer in a list, and once it is accepted."""
    return {
        "id": row["id"],
        "volume_id": row["volume_id"],
        "name": row["name"],
        "links": links(call, path, row["id"]),
    }


def shown(call: Call, row: Row, path: str) -> dict[str, Any]:
    """A transfer with its details."""
    body = {**brief(call, row, path), "created_at": instant(row["created_us"])}
    if path == NEW and call.microversion >= (3, 55):
        body["no_snapshots"] = row["no_snapshots"]
    if call.microversion >= (3, 57):
        body["source_project_id"] = row["project_id"]
        body["destination_project_id"] = row["destination_project_id"]
        body["accepted"] = row["accepted"]
    return body


class Transfers:
    """Operations on transfers, at one of the two addresses."""

    def __init__(self, service: Service, path: str) -> None:
        self._service = service
        self._database = service.database
        self._path = path

    def routes(self) -> list[Route]:
        """What is served."""
        top = f"/{self._path}"
        single = f"{top}/{{transfer_id}}"
        since = (3, 55) if self._path == NEW else (3, 0)
        body = CREATE_NEW if self._path == NEW else CREATE_OLD
        accept = "volume:accept_transfer"
        return both(
            [
                Route("GET", top, "volume:get_all_transfers", self.list, since=since),
                Route("GET", f"{top}/detail", "volume:get_all_transfers", self.detail, since=since),
                Route("POST", top, "volume:create_transfer", self.create, 202, body, since=since),
                Route("GET", single, "volume:get_transfer", self.show, since=since),
                Route("DELETE", single, "volume:delete_transfer", self.delete, 202, since=since),
                Route("POST", f"{single}/accept", accept, self.accept, 202, ACCEPT, since=since),
            ]
        )

    async def _page(self, db: Connection, call: Call) -> Page:
        call.allow(of={"project_id": call.identity.project_id})
        where = owned(call, TABLE, TABLE.c.accepted.is_(False))
        return await page(db, call, LISTING, *where)

    async def list(self, call: Call) -> dict[str, Any]:
        """The offers of a project."""
        async with self._database.read() as db:
            found = await self._page(db, call)
        return answer(
            call, "transfers", found, [brief(call, row, self._path) for row in found.rows]
        )

    async def detail(self, call: Call) -> dict[str, Any]:
        """With details."""
        async with self._database.read() as db:
            found = await self._page(db, call)
        return answer(
            call, "transfers", found, [shown(call, row, self._path) for row in found.rows]
        )

    async def show(self, call: Call) -> dict[str, Any]:
        """Show an offer."""
        async with self._database.read() as db:
            row = await allowed(db, call, TABLE, call.variables["transfer_id"], "Transfer")
        return {"transfer": shown(call, row, self._path)}

    async def create(self, call: Call) -> dict[str, Any]:
        """Offer a volume; the key is told this once."""
        given = call.part("transfer")
        key = self._service.env.random_bytes(KEY_BYTES).hex()
        salt = self._service.env.random_bytes(8).hex()
        async with self._database.write() as db:
            volume = await allowed(db, call, volumes.TABLE, given["volume_id"], "Volume")
            volumes.check_status(volume, "available")
            if volume["encrypted"] and call.microversion < (3, 70):
                raise bad_request("Encrypted volumes are transferred from version 3.70 on.")
            if volume["group_id"] is not None:
                raise bad_request("A volume in a group cannot be transferred.")
            alone = truth(given.get("no_snapshots", False)) or call.microversion < (3, 55)
            for pin in await volumes.snapshots_of(db, volume["id"]):
                if not alone and pin["status"] != "available":
                    raise bad_request(f"Snapshot {pin['id']} is {pin['status']}.")
            row: Row = {
                "id": self._service.new_id(),
                "volume_id": volume["id"],
                "project_id": volume["project_id"],
                "name": stripped(given.get("name")),
                "salt": salt,
                "key_digest": digest(salt, key),
                "no_snapshots": alone,
                "destination_project_id": None,
                "accepted": False,
                "created_us": self._service.now_us(),
            }
            await rows.insert(db, TABLE, row)
            await volumes.change(db, self._service, volume["id"], status="awaiting-transfer")
        return {"transfer": {**shown(call, row, self._path), "auth_key": key}}

    async def delete(self, call: Call) -> Answer:
        """Take an offer back."""
        async with self._database.write() as db:
            row = await allowed(db, call, TABLE, call.variables["transfer_id"], "Transfer")
            volume = await volumes.get(db, row["volume_id"])
            if volume["status"] == "awaiting-transfer":
                await volumes.change(db, self._service, volume["id"], status="available")
            await rows.delete(db, TABLE, TABLE.c.id == row["id"])
        return Answer(None, 202)

    async def accept(self, call: Call) -> dict[str, Any]:
        """Take a volume over, within one's own quota."""
        project_id = own_project(call)
        call.allow(of={"project_id": project_id})
        call.absence_is_open = True
        name, key = call.variables["transfer_id"], call.part("accept")["auth_key"]
        async with self._database.write() as db:
            row = await rows.by_id(db, TABLE, name)
            if row is None or row["accepted"]:
                raise absent("Transfer", name[:80])
            if not hmac.compare_digest(digest(row["salt"], key), row["key_digest"]):
                raise bad_request(f"Attempt to transfer {row['id']} with invalid auth key.")
            volume = await volumes.get(db, row["volume_id"])
            volumes.check_status(volume, "awaiting-transfer")
            await self._hand_over(db, call, volume, row)
            taken = {"accepted": True, "destination_project_id": project_id}
            await rows.update(db, TABLE, row["id"], taken)
        return {"transfer": brief(call, row, self._path)}

    async def _hand_over(self, db: Connection, call: Call, volume: Row, row: Row) -> None:
        project_id, user_id = own_project(call), call.identity.user_id
        pins = await volumes.snapshots_of(db, volume["id"])
        if row["no_snapshots"] and pins:
            raise bad_request("The volume has snapshots, which are not part of the offer.")
        names = await quotas.type_names(db)
        size = volume["size"] + sum(pin["size"] for pin in pins)
        wanted = {"volumes": 1, "gigabytes": size, "snapshots": len(pins)}
        if project_id != volume["project_id"]:
            await quotas.check(db, project_id, wanted, names.get(volume["volume_type_id"], ""))
        owner = {"project_id": project_id, "user_id": user_id}
        await volumes.change(db, self._service, volume["id"], status="available", **owner)
        for pin in pins:
            await snapshots.change(db, self._service, pin["id"], **owner)


def old_transfers(service: Service) -> Transfers:
    """At the old address."""
    return Transfers(service, OLD)


def new_transfers(service: Service) -> Transfers:
    """At the new one."""
    return Transfers(service, NEW)
