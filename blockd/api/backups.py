"""`/backups`: create (full or on top of another), list, restore, export and import of records, delete."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from blockd import backups, making, quotas, snapshots, volumes, work
from blockd.api.paths import both, links
from blockd.api.shape import DESCRIPTION, NAME, flag, metadata, nothing, one, stripped, truth, uuid
from blockd.listing import Listing, Page, answer, owned, page
from blockd.service import ZONE, Service
from blockd.sight import about, allowed, own_project, row_of
from blockd.times import instant, instant_or_none
from core import rows
from core.api.action import Action, Actions
from core.api.call import Answer, Call
from core.api.fault import bad_request
from core.api.route import Route
from core.api.shape import Shape, nullable, text
from core.database import Connection
from core.rows import Row

TABLE = backups.TABLE
CONTAINER = nullable(text(0, 100, pattern=r"[A-Za-z0-9._-]*"))
CREATE = one(
    "backup",
    Shape(
        {
            "volume_id": uuid,
            "container": CONTAINER,
            "name": NAME,
            "description": DESCRIPTION,
            "incremental": nullable(flag),
            "force": nullable(flag),
            "snapshot_id": nullable(uuid),
            "metadata": nullable(metadata),
            "availability_zone": nullable(text(0, 255)),
        },
        ["volume_id"],
        more=False,
    ),
)
UPDATE = one(
    "backup",
    nullable(
        Shape(
            {"name": NAME, "description": DESCRIPTION, "metadata": nullable(metadata)}, more=False
        )
    ),
)
RESTORE = one("restore", nullable(Shape({"volume_id": nullable(uuid), "name": NAME}, more=False)))
RECORD = one(
    "backup-record",
    Shape(
        {"backup_service": text(1, 255), "backup_url": text(1, 4096)},
        ["backup_service", "backup_url"],
        more=False,
    ),
)
LISTING = Listing(
    TABLE,
    {"name": "name", "status": "status", "volume_id": "volume_id"},
    {
        "id": "id",
        "name": "name",
        "status": "status",
        "size": "size",
        "volume_id": "volume_id",
        "created_at": "created_us",
        "updated_at": "updated_us",
    },
)
SERVICE = "cinder.backup.drivers.ringstack.RingstackBackupDriver"  # clients expect such a path
ADMIN = "volume_extension:backup_admin_actions"
STATUS = Shape({"status": text(1, 255)}, ["status"], more=False)


class Record(msgspec.Struct, frozen=True):
    """What an exported record says: enough to restore from the objects alone."""

    id: str
    volume_id: str
    size: int
    container: str
    prefix: str
    object_count: int = 0
    display_name: str | None = None
    display_description: str | None = None
    manifest_digest: str | None = None
    created_us: int = 0
    data_us: int = 0


def brief(call: Call, row: Row) -> dict[str, Any]:
    """A backup in a list, and in answers to changes."""
    body = {
        "id": row["id"],
        "name": row["name"],
        "links": links(call, "backups", row["id"]),
    }
    if call.microversion >= (3, 43) and call.route.method in {"POST", "PUT"}:
        body["metadata"] = row["metadata"]
    return body


def shown(call: Call, row: Row, parents: set[str]) -> dict[str, Any]:
    """A backup with its details; `parents` are those that others build on."""
    body: dict[str, Any] = {
        "id": row["id"],
        "name": row["name"],
        "description": row["description"],
        "status": row["status"],
        "size": row["size"],
        "object_count": row["object_count"],
        "container": row["container"],
        "availability_zone": row["availability_zone"],
        "created_at": instant(row["created_us"]),
        "updated_at": instant_or_none(row["updated_us"]),
        "data_timestamp": instant_or_none(row["data_us"]),
        "fail_reason": row["fail_reason"],
        "volume_id": row["volume_id"],
        "snapshot_id": row["snapshot_id"],
        "is_incremental": row["parent_id"] is not None,
        "has_dependent_backups": row["id"] in parents,
        "links": links(call, "backups", row["id"]),
    }
    if call.microversion >= (3, 18) and call.may("backup:backup_project_attribute", of=about(row)):
        body["os-backup-project-attr:project_id"] = row["project_id"]
    if call.microversion >= (3, 43):
        body["metadata"] = row["metadata"]
    if call.microversion >= (3, 56):
        body["user_id"] = row["user_id"]
    if call.microversion >= (3, 64):
        body["encryption_key_id"] = None
    return body


class Backups:
    """Operations on backups."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, single = "/backups", "/backups/{backup_id}"
        actions = [
            Action("os-reset_status", f"{ADMIN}:reset_status", self.reset, 202, STATUS),
            Action("os-force_delete", f"{ADMIN}:force_delete", self.force_delete, 202, nothing),
        ]
        update = "backup:update"
        return both(
            [
                Route("GET", top, "backup:get_all", self.list),
                Route("GET", f"{top}/detail", "backup:get_all", self.detail),
                Route("POST", top, "backup:create", self.create, 202, CREATE),
                Route(
                    "POST", f"{top}/import_record", "backup:backup-import", self.load, 201, RECORD
                ),
                Route("GET", single, "backup:get", self.show),
                Route("PUT", single, update, self.update, 200, UPDATE, since=(3, 9)),
                Route("DELETE", single, "backup:delete", self.delete, 202),
                Route("POST", f"{single}/restore", "backup:restore", self.restore, 202, RESTORE),
                Route("GET", f"{single}/export_record", "backup:export-import", self.export),
                Actions("POST", f"{single}/action", actions).route,
            ]
        )

    async def _row(self, db: Connection, call: Call) -> Row:
        return await allowed(db, call, TABLE, call.variables["backup_id"], "Backup")

    async def _page(self, db: Connection, call: Call) -> Page:
        call.allow(of={"project_id": call.identity.project_id})
        return await page(db, call, LISTING, *owned(call, TABLE))

    async def list(self, call: Call) -> dict[str, Any]:
        """Names and links."""
        async with self._database.read() as db:
            found = await self._page(db, call)
        return answer(call, "backups", found, [brief(call, row) for row in found.rows])

    async def detail(self, call: Call) -> dict[str, Any]:
        """With everything."""
        async with self._database.read() as db:
            found = await self._page(db, call)
            parents = await backups.children_of(db, *(row["id"] for row in found.rows))
        return answer(call, "backups", found, [shown(call, row, parents) for row in found.rows])

    async def show(self, call: Call) -> dict[str, Any]:
        """Show a backup."""
        async with self._database.read() as db:
            row = await self._row(db, call)
            parents = await backups.children_of(db, row["id"])
        return {"backup": shown(call, row, parents)}

    async def create(self, call: Call) -> dict[str, Any]:
        """Accept a new backup of a volume or of a snapshot of it."""
        given = call.part("backup")
        project_id = own_project(call)
        call.allow(of={"project_id": project_id})
        async with self._database.write() as db:
            volume = await row_of(db, call, volumes.TABLE, given["volume_id"], "Volume")
            call.allow(of=about(volume))
            pin = await self._snapshot(db, call, given, volume)
            if pin is None:
                self._check_volume(given, volume)
            parent = await self._parent(db, call, given, volume)
            wanted = {"backups": 1, "backup_gigabytes": volume["size"]}
            await quotas.check(db, project_id, wanted)
            row = self._new_row(call, given, volume, parent)
            await rows.insert(db, TABLE, row)
            if pin is None:
                await volumes.change(
                    db,
                    self._service,
                    volume["id"],
                    status="backing-up",
                    previous_status=volume["status"],
                )
            else:
                await snapshots.change(db, self._service, pin["id"], status="backing-up")
            await work.add(
                db,
                self._service,
                call,
                "backup.create",
                row["id"],
                deadline_s=backups.DEADLINE_S,
                volume_id=volume["id"],
                snapshot_id=given.get("snapshot_id"),
                back_to=volume["status"],
            )
        self._service.wake()
        return {"backup": brief(call, row)}

    def _check_volume(self, given: Row, volume: Row) -> None:
        forced = truth(given.get("force", False))
        volumes.check_status(volume, "available", *(["in-use"] if forced else []))

    async def _snapshot(self, db: Connection, call: Call, given: Row, volume: Row) -> Row | None:
        if not given.get("snapshot_id"):
            return None
        row = await row_of(db, call, snapshots.TABLE, given["snapshot_id"], "Snapshot")
        if row["volume_id"] != volume["id"]:
            raise bad_request(f"Snapshot {row['id']} is not one of volume {volume['id']}.")
        if row["status"] != "available":
            raise bad_request(f"Invalid snapshot: {row['id']} is {row['status']}.")
        return row

    async def _parent(self, db: Connection, call: Call, given: Row, volume: Row) -> Row | None:
        if not truth(given.get("incremental", False)):
            return None
        parent = await backups.newest_of(db, volume["id"], own_project(call))
        if parent is None:
            raise bad_request("No backups available to do an incremental backup.")
        return parent

    def _new_row(self, call: Call, given: Row, volume: Row, parent: Row | None) -> Row:
        backup_id, now_us = self._service.new_id(), self._service.now_us()
        container = given.get("container") or backups.DEFAULT_CONTAINER
        if parent is not None:
            container = parent["container"]
        return {
            "id": backup_id,
            "project_id": own_project(call),
            "user_id": call.identity.user_id,
            "volume_id": volume["id"],
            "snapshot_id": given.get("snapshot_id"),
            "parent_id": None if parent is None else parent["id"],
            "name": stripped(given.get("name")),
            "description": stripped(given.get("description")),
            "status": "creating",
            "fail_reason": None,
            "size": volume["size"],
            "object_count": 0,
            "container": container,
            "prefix": f"{volume['id']}/{backup_id}",
            "manifest_digest": None,
            "availability_zone": ZONE,
            "engine_id": None,
            "engine_snapshot_id": None,
            "restore_volume_id": None,
            "metadata": given.get("metadata") or {},
            "created_us": now_us,
            "updated_us": None,
            "data_us": now_us,
        }

    async def update(self, call: Call) -> dict[str, Any]:
        """Change name, description, metadata."""
        given = call.body["backup"] or {}
        if not given:
            raise bad_request("Missing required argument in the request body.")
        changes: Row = {
            name: stripped(given[name]) for name in ("name", "description") if name in given
        }
        if given.get("metadata") is not None and call.microversion >= (3, 43):
            changes["metadata"] = given["metadata"]
        async with self._database.write() as db:
            row = await self._row(db, call)
            await backups.change(db, self._service, row["id"], **changes)
            row = await backups.get(db, row["id"])
        return {"backup": brief(call, row)}

    async def delete(self, call: Call) -> Answer:
        """Accept a removal."""
        async with self._database.write() as db:
            row = await self._row(db, call)
            if row["status"] not in {"available", "error", "error_deleting"}:
                raise bad_request(f"Invalid backup: {row['id']} is {row['status']}.")
            await self._begin_delete(db, call, row)
        self._service.wake()
        return Answer(None, 202)

    async def _begin_delete(self, db: Connection, call: Call, row: Row) -> None:
        if await backups.children_of(db, row["id"]):
            raise bad_request("Incremental backups exist for this backup.")
        await backups.change(db, self._service, row["id"], status="deleting")
        await work.add(
            db, self._service, call, "backup.delete", row["id"], deadline_s=backups.DEADLINE_S
        )

    async def force_delete(self, call: Call) -> None:
        """Whatever its status."""
        async with self._database.write() as db:
            await self._begin_delete(db, call, await self._row(db, call))
        self._service.wake()

    async def reset(self, call: Call) -> None:
        """Set the status by hand."""
        status = call.body["os-reset_status"]["status"]
        if status not in {"available", "error"}:
            raise bad_request("Must specify a valid status: available or error")
        async with self._database.write() as db:
            row = await self._row(db, call)
            await backups.change(db, self._service, row["id"], status=status)

    async def restore(self, call: Call) -> dict[str, Any]:
        """Into a volume that is there, or into a new one."""
        given = call.body["restore"] or {}
        async with self._database.write() as db:
            row = await self._row(db, call)
            if row["status"] != "available":
                raise bad_request(f"Invalid backup: {row['id']} is {row['status']}.")
            if given.get("volume_id"):
                volume = await self._target(db, call, given["volume_id"], row)
                await backups.begin_restore(db, self._service, call, row["id"], volume, fresh=False)
            else:
                call.allow("volume:create", of={"project_id": own_project(call)})
                name = given.get("name") or f"restore_backup_{row['id']}"
                wanted = {"name": name, "backup_id": row["id"], "size": row["size"]}
                volume = await making.begin(db, self._service, call, wanted, restore=True)
        self._service.wake()
        return {
            "restore": {
                "backup_id": row["id"],
                "volume_id": volume["id"],
                "volume_name": volume["name"] or "",
            }
        }

    async def _target(self, db: Connection, call: Call, volume_id: str, row: Row) -> Row:
        volume = await row_of(db, call, volumes.TABLE, volume_id, "Volume")
        call.allow(of=about(volume))
        volumes.check_status(volume, "available")
        if volume["size"] < row["size"]:
            raise bad_request(
                f"Volume size {volume['size']} is too small to restore backup of size {row['size']}."
            )
        return volume

    async def export(self, call: Call) -> dict[str, Any]:
        """A record that another service can import."""
        async with self._database.read() as db:
            row = await self._row(db, call)
        if row["status"] != "available":
            raise bad_request(f"Invalid backup: {row['id']} is {row['status']}.")
        record = Record(
            id=row["id"],
            volume_id=row["volume_id"],
            size=row["size"],
            container=row["container"],
            prefix=row["prefix"],
            object_count=row["object_count"],
            display_name=row["name"],
            display_description=row["description"],
            manifest_digest=row["manifest_digest"],
            created_us=row["created_us"],
            data_us=row["data_us"] or row["created_us"],
        )
        url = base64.b64encode(msgspec.json.encode(record)).decode()
        return {"backup-record": {"backup_service": SERVICE, "backup_url": url}}

    async def load(self, call: Call) -> dict[str, Any]:
        """Take an exported record."""
        project_id = own_project(call)
        call.allow(of={"project_id": project_id})
        given = call.part("backup-record")
        record = decoded(given["backup_url"])
        if given["backup_service"] != SERVICE:
            raise bad_request(f"Backup service {given['backup_service'][:80]} is not there.")
        uuid(record.id, "id")
        async with self._database.write() as db:
            if await rows.by_id(db, TABLE, record.id) is not None:
                raise bad_request(f"Backup {record.id} already exists.")
            wanted = {"backups": 1, "backup_gigabytes": record.size}
            await quotas.check(db, project_id, wanted)
            row = imported(self._service, call, record)
            await rows.insert(db, TABLE, row)
        return {"backup": brief(call, row)}


def decoded(url: str) -> Record:
    """The record in a `backup_url`. Raises Fault 400."""
    try:
        record = msgspec.json.decode(base64.b64decode(url, validate=True), type=Record)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        raise bad_request("The backup record cannot be read.") from None
    texts = (record.id, record.volume_id, record.container, record.prefix)
    sane = all(0 < len(one_of) <= 255 for one_of in texts) and 0 < record.size <= making.GIB_MAX
    limits = (record.object_count, record.created_us, record.data_us)
    told = (record.display_name, record.display_description, record.manifest_digest)
    everything = "".join((*texts, *(one_of or "" for one_of in told)))
    if not sane or not all(0 <= figure < 2**62 for figure in limits) or "\0" in everything:
        raise bad_request("The backup record makes no sense.")
    return record


def imported(service: Service, call: Call, record: Record) -> Row:
    """The row of an imported backup: it is whole by itself, its objects are read where they are."""
    return {
        "id": record.id,
        "project_id": own_project(call),
        "user_id": call.identity.user_id,
        "volume_id": record.volume_id[:64],
        "snapshot_id": None,
        "parent_id": None,
        "name": (record.display_name or "")[:255] or None,
        "description": (record.display_description or "")[:255] or None,
        "status": "available",
        "fail_reason": None,
        "size": record.size,
        "object_count": record.object_count,
        "container": record.container,
        "prefix": record.prefix,
        "manifest_digest": record.manifest_digest and record.manifest_digest[:128],
        "availability_zone": ZONE,
        "engine_id": None,
        "engine_snapshot_id": None,
        "restore_volume_id": None,
        "metadata": {},
        "created_us": service.now_us(),
        "updated_us": None,
        "data_us": record.data_us,
    }
