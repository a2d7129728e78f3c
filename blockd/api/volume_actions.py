"""`POST /volumes/{id}/action`: extend, retype, revert, reimage, make bootable, upload, reset, force and the rest."""

from __future__ import annotations

from typing import Any

from blockd import (
    attachments,
    making,
    management,
    quotas,
    snapshots,
    uploads,
    volume_types,
    volumes,
    work,
)
from blockd.api.attach_actions import AttachActions
from blockd.api.image_metadata import ImageMetadata
from blockd.api.paths import both
from blockd.api.shape import flag, nothing, one, truth, uuid, whole
from blockd.api.volumes import begin_delete
from blockd.service import Service
from blockd.sight import about, allowed, row_of
from core.api.action import Action, Actions
from core.api.call import Call
from core.api.fault import Fault, bad_request
from core.api.route import Route
from core.api.shape import Shape, boolean, choice, nullable, text
from core.database import Connection
from core.rows import Row

ADMIN = "volume_extension:volume_admin_actions"
STATUSES = (
    "creating",
    "available",
    "deleting",
    "error",
    "error_deleting",
    "error_managing",
    "managing",
    "attaching",
    "detaching",
    "in-use",
    "maintenance",
    "reserved",
    "awaiting-transfer",
    "backing-up",
    "restoring-backup",
    "error_extending",
    "error_restoring",
    "extending",
    "retyping",
    "uploading",
    "downloading",
    "reverting",
)
RESET = Shape(
    {
        "status": nullable(text(0, 255)),
        "attach_status": nullable(choice("attached", "detached")),
        "migration_status": nullable(text(0, 255)),
    },
    least=1,
    more=False,
)
EXTEND = one("new_size", whole(1, making.GIB_MAX))
RETYPE = Shape(
    {
        "new_type": text(1, 255),
        "migration_policy": nullable(choice("never", "on-demand")),
    },
    ["new_type"],
    more=False,
)
UPLOAD = Shape(
    {
        "image_name": text(1, 255),
        "force": nullable(flag),
        "disk_format": nullable(choice(*uploads.DISK_FORMATS)),
        "container_format": nullable(choice(*uploads.CONTAINER_FORMATS)),
        "visibility": nullable(choice("community", "public", "private", "shared")),
        "protected": nullable(flag),
    },
    ["image_name"],
    more=False,
)
REIMAGE = Shape({"image_id": uuid, "reimage_reserved": flag}, ["image_id"], more=False)


class VolumeActions:
    """All actions of a volume."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """One route; the body names the action."""
        found = [
            *self._own(),
            *AttachActions(self._service).actions(),
            *ImageMetadata(self._service).actions(),
        ]
        return both([Actions("POST", "/volumes/{volume_id}/action", found).route])

    def _own(self) -> list[Action]:
        upload = "volume_extension:volume_actions:upload_image"
        revert = one("snapshot_id", text(1, 255))
        bootable, readonly = one("bootable", flag), one("readonly", flag)
        done = Shape({"error": boolean}, ["error"], more=False)
        return [
            Action("os-extend", "volume:extend", self.extend, 202, EXTEND),
            Action("os-retype", "volume:retype", self.retype, 202, RETYPE),
            Action("revert", "volume:revert_to_snapshot", self.revert, 202, revert, since=(3, 40)),
            Action("os-reimage", "volume:reimage", self.reimage, 202, REIMAGE, since=(3, 68)),
            Action("os-set_bootable", "volume:update", self.set_bootable, 200, bootable),
            Action(
                "os-update_readonly_flag",
                "volume:update_readonly_flag",
                self.set_readonly,
                202,
                readonly,
            ),
            Action("os-volume_upload_image", upload, self.upload, 202, UPLOAD),
            Action("os-reset_status", f"{ADMIN}:reset_status", self.reset, 202, RESET),
            Action("os-force_delete", f"{ADMIN}:force_delete", self.force_delete, 202, nothing),
            Action("os-unmanage", "volume_extension:volume_unmanage", self.unmanage, 202, nothing),
            Action("os-migrate_volume", f"{ADMIN}:migrate_volume", self.migrate, 202, nothing),
            Action(
                "os-migrate_volume_completion",
                f"{ADMIN}:migrate_volume_completion",
                self.migrate,
                202,
                nothing,
            ),
            Action(
                "os-extend_volume_completion",
                f"{ADMIN}:extend_volume_completion",
                self.extended,
                202,
                done,
                since=(3, 71),
            ),
        ]

    async def _row(self, db: Connection, call: Call) -> Row:
        return await allowed(db, call, volumes.TABLE, call.variables["volume_id"], "Volume")

    async def extend(self, call: Call) -> None:
        """Grow it; attached as well from 3.42 on."""
        size = int(call.body["os-extend"]["new_size"])
        async with self._database.write() as db:
            row = await self._row(db, call)
            attached = call.microversion >= (3, 42)
            volumes.check_status(row, "available", *(["in-use"] if attached else []))
            if row["status"] == "in-use":
                call.allow("volume:extend_attached_volume", of=about(row))
            if size <= row["size"]:
                raise bad_request(
                    f"New size for extend must be greater than current size. (current: {row['size']},"
                    f" extended: {size})."
                )
            names = await quotas.type_names(db)
            project_id = row["project_id"]
            await quotas.check_size(db, project_id, size)
            wanted = {"gigabytes": size - row["size"]}
            await quotas.check(db, project_id, wanted, names.get(row["volume_type_id"], ""))
            await volumes.change(
                db, self._service, row["id"], status="extending", previous_status=row["status"]
            )
            await work.add(
                db,
                self._service,
                call,
                "volume.extend",
                row["id"],
                size=size,
                back_to=row["status"],
            )
        self._service.wake()

    async def extended(self, call: Call) -> None:
        """What the compute service says of an extension; it was complete before it was told."""
        async with self._database.write() as db:
            row = await self._row(db, call)
            volumes.check_status(row, "extending")
            raise bad_request(f"Volume {row['id']} is not waiting for anybody.")

    async def retype(self, call: Call) -> None:
        """Another type. Data stays where it is, so what only new data could have is refused."""
        given = call.body["os-retype"]
        async with self._database.write() as db:
            row = await self._row(db, call)
            volumes.check_status(row, "available", "in-use")
            kind = await volume_types.for_use(db, call, given["new_type"])
            if kind["id"] == row["volume_type_id"]:
                raise bad_request(f"The volume has the type {kind['name']} already.")
            unmet = volume_types.unmet(kind)
            if unmet is not None:
                raise bad_request(f"No backend fits the volume type: {unmet}.")
            if (kind["encryption"] is not None) != row["encrypted"]:
                raise bad_request(
                    "Retype between encrypted and unencrypted types is not possible: copy the volume."
                )
            shareable = volume_types.shareable(kind)
            if row["status"] == "in-use" and shareable != row["multiattach"]:
                raise bad_request("An attached volume cannot change whether it is multiattach.")
            project_id = row["project_id"]
            moved = {f"volumes_{kind['name']}": 1, f"gigabytes_{kind['name']}": row["size"]}
            await quotas.check(db, project_id, moved)
            changes = {"volume_type_id": kind["id"], "multiattach": shareable}
            await volumes.change(db, self._service, row["id"], **changes)

    async def revert(self, call: Call) -> None:
        """Back to its newest snapshot."""
        wanted = call.body["revert"]["snapshot_id"]
        async with self._database.write() as db:
            row = await self._row(db, call)
            found = await volumes.snapshots_of(db, row["id"])
            newest = found[-1] if found else None
            if newest is None or newest["id"] != wanted:
                raise bad_request(
                    f"Specified snapshot {wanted[:80]} is not the latest one of volume {row['id']}."
                )
            if newest["size"] != row["size"]:
                raise bad_request("The volume size must be equal to the snapshot size.")
            if row["status"] != "available" or newest["status"] != "available":
                raise Fault(409, "Volume and snapshot must be available to be reverted.")
            if newest["engine_id"] != row["engine_id"]:
                raise bad_request("The volume has had another image since that snapshot.")
            await volumes.change(db, self._service, row["id"], status="reverting")
            await snapshots.change(db, self._service, newest["id"], status="restoring")
            await work.add(
                db,
                self._service,
                call,
                "volume.revert",
                row["id"],
                snapshot_id=newest["id"],
                engine_snapshot_id=newest["engine_snapshot_id"],
            )
        self._service.wake()

    async def reimage(self, call: Call) -> None:
        """Begin again with an image."""
        given = call.body["os-reimage"]
        image = await making.image_of(self._service, call, given["image_id"])
        async with self._database.write() as db:
            row = await self._row(db, call)
            allowed_ones = ["available", "error"]
            if truth(given.get("reimage_reserved", False)):
                call.allow("volume:reimage_reserved", of=about(row))
                allowed_ones.append("reserved")
            volumes.check_status(row, *allowed_ones)
            if making.image_gib(image) > row["size"]:
                raise bad_request(f"Image {image.id} is larger than the volume.")
            fresh = self._service.new_id()
            back_to = "reserved" if row["status"] == "reserved" else "available"
            await volumes.change(
                db, self._service, row["id"], status="downloading", previous_status=row["status"]
            )
            await work.add(
                db,
                self._service,
                call,
                "volume.reimage",
                row["id"],
                deadline_s=7200,
                image_id=image.id,
                image_metadata=making.image_metadata(image),
                engine_id=fresh,
                back_to=back_to,
            )
            # what it held goes once the image is there
            await work.add(db, self._service, call, "volume.tidy", row["engine_id"], delay_s=7200)
        self._service.wake()

    async def set_bootable(self, call: Call) -> None:
        """Whether instances may start from it."""
        wanted = truth(call.body["os-set_bootable"]["bootable"])
        async with self._database.write() as db:
            row = await self._row(db, call)
            await volumes.change(db, self._service, row["id"], bootable=wanted)

    async def set_readonly(self, call: Call) -> None:
        """Whether attachments may write."""
        wanted = truth(call.body["os-update_readonly_flag"]["readonly"])
        async with self._database.write() as db:
            row = await self._row(db, call)
            volumes.check_status(row, "available")
            await volumes.change(db, self._service, row["id"], read_only=wanted)

    async def upload(self, call: Call) -> dict[str, Any]:
        """Make an image of it."""
        async with self._database.read() as db:
            row = await self._row(db, call)
        return await uploads.begin(self._service, call, row, call.body["os-volume_upload_image"])

    async def reset(self, call: Call) -> None:
        """Set a status by hand."""
        given = call.body["os-reset_status"]
        changes: Row = {}
        if given.get("status") is not None:
            if given["status"].lower() not in STATUSES:
                raise bad_request(f"Must specify a valid status: {given['status'][:80]}")
            changes["status"] = given["status"].lower()
        if "migration_status" in given:
            moved = given["migration_status"]
            changes["migration_status"] = None if moved in {None, "none"} else moved[:64]
        detached = given.get("attach_status") == "detached"
        async with self._database.read() as db:
            row = await self._row(db, call)
            found = await attachments.of_volume(db, row["id"]) if detached else []
        for one_of in found:  # nobody may go on writing through what is forgotten
            await self._service.exports.close(one_of["id"])
        async with self._database.write() as db:
            for one_of in found:
                await attachments.remove(db, self._service, one_of)
            await volumes.change(db, self._service, row["id"], **changes)

    async def force_delete(self, call: Call) -> None:
        """Remove it whatever its status."""
        async with self._database.write() as db:
            row = await row_of(db, call, volumes.TABLE, call.variables["volume_id"], "Volume")
            call.allow(of=about(row))
            await begin_delete(db, self._service, call, row, cascade=True, force=True)
        self._service.wake()

    async def unmanage(self, call: Call) -> None:
        """Forget it here and leave it in the library, where it can be managed again."""
        async with self._database.write() as db:
            row = await self._row(db, call)
            await management.forget_volume(db, row)

    async def migrate(self, call: Call) -> None:
        """There is one backend, and the ring moves data by itself."""
        async with self._database.read() as db:
            await self._row(db, call)
        raise Fault(
            501, "There is one backend: volumes are not migrated, the ring moves their data."
        )
