"""The old way to attach, as actions of a volume: reserve, initialise, attach, begin to detach, terminate, detach.

It ends in the same rows as the attachments API, and in the same exports.
"""

from __future__ import annotations

from typing import Any

from blockd import attachments, volumes, work
from blockd.api.shape import CONNECTOR, nothing
from blockd.service import Service
from blockd.sight import allowed
from core import rows
from core.api.action import Action
from core.api.call import Call
from core.api.fault import bad_request
from core.api.shape import Shape, choice, nullable, text
from core.database import Connection
from core.rows import Row

RULE = "volume_extension:volume_actions"
SHORT = nullable(text(0, 255))
ATTACH = Shape(
    {
        "instance_uuid": SHORT,
        "mountpoint": text(1, 255),
        "host_name": SHORT,
        "mode": nullable(choice("rw", "ro")),
    },
    ["mountpoint"],
    more=False,
)
DETACH = nullable(Shape({"attachment_id": SHORT}))
CONNECTION = Shape({"connector": CONNECTOR}, ["connector"])
FORCE_DETACH = Shape({"attachment_id": SHORT, "connector": nullable(CONNECTOR)}, [], more=False)


class AttachActions:
    """The actions."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def actions(self) -> list[Action]:
        """What is served."""
        admin = "volume_extension:volume_admin_actions"
        return [
            Action("os-reserve", f"{RULE}:reserve", self.reserve, 202, nothing),
            Action("os-unreserve", f"{RULE}:unreserve", self.unreserve, 202, nothing),
            Action("os-begin_detaching", f"{RULE}:begin_detaching", self.begin_detaching, 202),
            Action("os-roll_detaching", f"{RULE}:roll_detaching", self.roll_detaching, 202),
            Action("os-attach", f"{RULE}:attach", self.attach, 202, ATTACH),
            Action("os-detach", f"{RULE}:detach", self.detach, 202, DETACH),
            Action(
                "os-force_detach", f"{admin}:force_detach", self.force_detach, 202, FORCE_DETACH
            ),
            Action(
                "os-initialize_connection",
                f"{RULE}:initialize_connection",
                self.initialize,
                200,
                CONNECTION,
            ),
            Action(
                "os-terminate_connection",
                f"{RULE}:terminate_connection",
                self.terminate,
                202,
                CONNECTION,
            ),
        ]

    async def _row(self, db: Connection, call: Call) -> Row:
        return await allowed(db, call, volumes.TABLE, call.variables["volume_id"], "Volume")

    async def _await_client(self, db: Connection, call: Call, row: Row, status: str) -> None:
        """Into a status that a client ends; should it never come back, the volume leaves it by itself."""
        await volumes.change(db, self._service, row["id"], status=status)
        await work.add(
            db,
            self._service,
            call,
            "volume.unstick",
            row["id"],
            delay_s=attachments.ATTACH_S,
            status=status,
            back_to=row["status"],
        )

    async def reserve(self, call: Call) -> None:
        """Somebody will attach it."""
        async with self._database.write() as db:
            row = await self._row(db, call)
            if not (row["multiattach"] and row["status"] == "in-use"):
                volumes.check_status(row, "available")
            await self._await_client(db, call, row, "attaching")

    async def unreserve(self, call: Call) -> None:
        """Nobody will."""
        async with self._database.write() as db:
            row = await self._row(db, call)
            if row["status"] == "attaching":
                await attachments.settle_status(db, self._service, row["id"])

    async def begin_detaching(self, call: Call) -> None:
        """Somebody will detach it."""
        async with self._database.write() as db:
            row = await self._row(db, call)
            volumes.check_status(row, "in-use")
            if not await volumes.attachments_of(db, row["id"]):
                raise bad_request(f"Volume {row['id']} is not attached.")
            await self._await_client(db, call, row, "detaching")

    async def roll_detaching(self, call: Call) -> None:
        """It stays attached."""
        async with self._database.write() as db:
            row = await self._row(db, call)
            if row["status"] == "detaching":
                await attachments.settle_status(db, self._service, row["id"])

    async def attach(self, call: Call) -> None:
        """It is attached to an instance or a host."""
        given = call.body["os-attach"]
        instance, host = given.get("instance_uuid"), given.get("host_name")
        if not instance and not host:
            raise bad_request("Invalid request to attach volume to an invalid target")
        mode = given.get("mode") or "rw"
        async with self._database.write() as db:
            row = await self._row(db, call)
            if mode == "rw" and row["read_only"]:
                raise bad_request(f"Volume {row['id']} is read-only.")
            waiting = [
                one
                for one in await volumes.attachments_of(db, row["id"])
                if one["status"] in {"reserved", "attaching"}
            ]
            shared = row["multiattach"] and row["status"] == "in-use"
            if not shared:
                volumes.check_status(row, "available", "attaching", "reserved")
            one = waiting[0] if waiting else await self._fresh(db, row)
            await attachments.complete(
                db,
                self._service,
                one,
                instance_id=instance,
                host=host,
                mountpoint=given["mountpoint"],
                mode=mode,
            )

    async def _fresh(self, db: Connection, row: Row) -> Row:
        made = attachments.new_row(self._service, row, status="attaching")
        await rows.insert(db, attachments.TABLE, made)
        return made

    async def detach(self, call: Call) -> None:
        """It is not any more."""
        given = call.body["os-detach"] or {}
        async with self._database.read() as db:
            row = await self._row(db, call)
            volumes.check_status(row, "in-use", "detaching")
            found = await attachments.of_volume(db, row["id"])
            one = attachments.named(found, given.get("attachment_id"))
        await attachments.check_let_go(self._service, call, one)
        await self._drop(row, one)

    async def _drop(self, row: Row, one: Row | None) -> None:
        if one is not None:
            await self._service.exports.close(one["id"])
        async with self._database.write() as db:
            if one is not None:
                await attachments.remove(db, self._service, one)
            else:
                await attachments.settle_status(db, self._service, row["id"])

    async def force_detach(self, call: Call) -> None:
        """Whatever its status: the export is closed, and what wrote there is fenced at the next attachment."""
        given = call.body["os-force_detach"]
        async with self._database.read() as db:
            row = await self._row(db, call)
            found = await attachments.of_volume(db, row["id"])
            one = attachments.named(found, given.get("attachment_id"))
        if one is None:
            raise bad_request(f"Volume {row['id']} is not attached.")
        await attachments.check_let_go(self._service, call, one)
        await self._drop(row, one)

    async def initialize(self, call: Call) -> dict[str, Any]:
        """How to reach it."""
        connector = call.body["os-initialize_connection"]["connector"]
        async with self._database.write() as db:
            row = await self._row(db, call)
            volumes.check_status(row, "available", "attaching", "reserved", "in-use", "detaching")
            found = await attachments.of_volume(db, row["id"])
            host = connector.get("host")
            same = [one for one in found if one["host"] == host or one["connector"] is None]
            one = same[0] if same else await self._fresh(db, row)
        connection = await attachments.connect(self._service, row, one)
        async with self._database.write() as db:
            if one["status"] == "attached":
                changes = {"connector": connector, "connection": connection}
                await rows.update(db, attachments.TABLE, one["id"], changes)
            else:
                await attachments.connected(db, self._service, one, connector, connection)
        return {"connection_info": connection}

    async def terminate(self, call: Call) -> None:
        """Nobody reaches it that way any more."""
        connector = call.body["os-terminate_connection"]["connector"]
        async with self._database.read() as db:
            row = await self._row(db, call)
            found = await attachments.of_volume(db, row["id"])
        host = connector.get("host")
        mine = [one for one in found if host is None or one["host"] == host]
        for one in mine:
            await attachments.check_let_go(self._service, call, one)
        for one in mine:
            await self._service.exports.close(one["id"])
            if one["status"] != "attached":
                async with self._database.write() as db:
                    await attachments.remove(db, self._service, one)
