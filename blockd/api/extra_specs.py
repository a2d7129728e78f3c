"""`/types/{id}/extra_specs` and `/types/{id}/encryption`: what a type asks for, and how its volumes are encrypted."""

from __future__ import annotations

from typing import Any

from blockd import volume_types
from blockd.api.paths import both
from blockd.api.shape import one, specs, whole
from blockd.api.volume_types import readable
from blockd.service import Service
from core import rows
from core.api.call import Answer, Call
from core.api.fault import Fault, bad_request
from core.api.route import Route
from core.api.shape import Shape, choice, nullable, text
from core.database import Connection
from core.rows import Row

MANY = one("extra_specs", specs)
RULE = "volume_extension:types_extra_specs"
ENCRYPTION = {
    "provider": text(0, 255),
    "control_location": choice("front-end", "back-end"),
    "cipher": nullable(text(0, 255)),
    "key_size": nullable(whole(0, 2**31 - 1)),
}
CREATE = one("encryption", Shape(ENCRYPTION, ["provider", "control_location"], more=False))
UPDATE = one("encryption", Shape(ENCRYPTION, more=False))
SEALED = "volume_extension:volume_type_encryption"


class ExtraSpecs:
    """Operations on the extra specs of a type."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top = "/types/{type_id}/extra_specs"
        single = f"{top}/{{key}}"
        single_body = Shape({}, least=1)
        return both(
            [
                Route("GET", top, f"{RULE}:index", self.list),
                Route("POST", top, f"{RULE}:create", self.add, 200, MANY),
                Route("GET", single, f"{RULE}:show", self.show),
                Route("PUT", single, f"{RULE}:update", self.set, 200, single_body),
                Route("DELETE", single, f"{RULE}:delete", self.remove, 202),
            ]
        )

    async def _get(self, db: Connection, call: Call) -> Row:
        call.allow(of={"project_id": call.identity.project_id})
        return await volume_types.get(db, call, call.variables["type_id"])

    async def _write(self, db: Connection, row: Row, new: dict[str, str]) -> None:
        if row["extra_specs"].get("multiattach") != new.get(
            "multiattach"
        ) and await volume_types.in_use(db, row["id"]):
            raise bad_request("A type that volumes have cannot change whether it is multiattach.")
        changes = {"extra_specs": new, "updated_us": self._service.now_us()}
        await rows.update(db, volume_types.TABLE, row["id"], changes)

    async def list(self, call: Call) -> dict[str, Any]:
        """All of them."""
        async with self._database.read() as db:
            row = await self._get(db, call)
        return {"extra_specs": readable(call, row["extra_specs"])}

    async def add(self, call: Call) -> dict[str, Any]:
        """Add some."""
        given = call.part("extra_specs")
        async with self._database.write() as db:
            row = await self._get(db, call)
            await self._write(db, row, {**row["extra_specs"], **given})
        return {"extra_specs": given}

    async def show(self, call: Call) -> dict[str, Any]:
        """One."""
        key = call.variables["key"]
        async with self._database.read() as db:
            row = await self._get(db, call)
        found = readable(call, row["extra_specs"])
        if key not in found:
            raise Fault(404, f"Volume Type {row['id']} has no extra spec {key[:80]}.")
        return {key: found[key]}

    async def set(self, call: Call) -> dict[str, Any]:
        """Set one."""
        key = call.variables["key"]
        specs(call.body, "extra_specs")
        if list(call.body) != [key]:
            raise bad_request("Request body and URI mismatch")
        async with self._database.write() as db:
            row = await self._get(db, call)
            await self._write(db, row, {**row["extra_specs"], **call.body})
        return call.body

    async def remove(self, call: Call) -> Answer:
        """Remove one."""
        key = call.variables["key"]
        async with self._database.write() as db:
            row = await self._get(db, call)
            if key not in row["extra_specs"]:
                raise Fault(404, f"Volume Type {row['id']} has no extra spec {key[:80]}.")
            left = {name: value for name, value in row["extra_specs"].items() if name != key}
            await self._write(db, row, left)
        return Answer(None, 202)


class EncryptionTypes:
    """Operations on how a type's volumes are encrypted: always by the library, with AES-256-XTS."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top = "/types/{type_id}/encryption"
        single = f"{top}/{{name}}"
        return both(
            [
                Route("GET", top, f"{SEALED}:get", self.show),
                Route("POST", top, f"{SEALED}:create", self.create, 200, CREATE),
                Route("GET", single, f"{SEALED}:get", self.item),
                Route("PUT", single, f"{SEALED}:update", self.update, 200, UPDATE),
                Route("DELETE", single, f"{SEALED}:delete", self.delete, 202),
            ]
        )

    async def _get(self, db: Connection, call: Call) -> Row:
        call.allow(of={"project_id": call.identity.project_id})
        return await volume_types.get(db, call, call.variables["type_id"])

    async def show(self, call: Call) -> dict[str, Any]:
        """All of it; nothing for a type that is not encrypted."""
        async with self._database.read() as db:
            row = await self._get(db, call)
        if row["encryption"] is None:
            return {}
        return {"volume_type_id": row["id"], **row["encryption"]}

    async def item(self, call: Call) -> dict[str, Any]:
        """One value."""
        name = call.variables["name"]
        async with self._database.read() as db:
            row = await self._get(db, call)
        if row["encryption"] is None or name not in row["encryption"]:
            raise Fault(404, f"Volume Type {row['id']} has no encryption spec {name[:80]}.")
        return {name: row["encryption"][name]}

    async def create(self, call: Call) -> dict[str, Any]:
        """Encrypt the volumes of a type that nobody has yet."""
        given = call.part("encryption")
        async with self._database.write() as db:
            row = await self._get(db, call)
            if row["encryption"] is not None:
                raise bad_request(f"Volume type encryption for type {row['id']} already exists.")
            encryption = {
                "encryption_id": self._service.new_id(),
                "provider": given["provider"],
                "control_location": given["control_location"],
                "cipher": given.get("cipher"),
                "key_size": None if given.get("key_size") is None else int(given["key_size"]),
            }
            await self._write(db, row, encryption)
        return {"encryption": {"volume_type_id": row["id"], **encryption}}

    async def _write(self, db: Connection, row: Row, encryption: Row | None) -> None:
        if await volume_types.in_use(db, row["id"]):
            raise bad_request(
                "Cannot create, update or delete encryption specs. Volume type in use."
            )
        changes = {"encryption": encryption, "updated_us": self._service.now_us()}
        await rows.update(db, volume_types.TABLE, row["id"], changes)

    async def _existing(self, db: Connection, call: Call) -> Row:
        row = await self._get(db, call)
        encryption = row["encryption"]
        wanted = call.variables["name"]
        if encryption is None or wanted not in {encryption["encryption_id"], "provider"}:
            raise Fault(404, f"Volume type encryption for type {row['id']} does not exist.")
        return row

    async def update(self, call: Call) -> dict[str, Any]:
        """Change it while no volume has the type."""
        given = dict(call.part("encryption"))
        if given.get("key_size") is not None:
            given["key_size"] = int(given["key_size"])
        async with self._database.write() as db:
            row = await self._existing(db, call)
            await self._write(db, row, {**row["encryption"], **given})
        return {"encryption": given}

    async def delete(self, call: Call) -> Answer:
        """Do not encrypt new volumes of the type."""
        async with self._database.write() as db:
            row = await self._existing(db, call)
            await self._write(db, row, None)
        return Answer(None, 202)
