"""What is noted on a server: metadata, tags, the password that its guest set, and who may read them."""

from __future__ import annotations

from typing import Any

from computed import quotas, servers
from computed.api.paths import both
from computed.api.shape import TAG_CHARS, metadata, one, tag
from computed.service import Service
from computed.sight import allowed
from core.api.call import Answer, Call
from core.api.fault import Fault, bad_request
from core.api.route import Route
from core.api.shape import array
from core.database import Connection
from core.rows import Row

API = "os_compute_api:"
MANY, SINGLE = one("metadata", metadata), one("meta", metadata)
TAGS = one("tags", array(tag, most=50))
TAG_COUNT_MAX = 50


class Metadata:
    """Operations on the metadata of servers."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top = "/servers/{server_id}/metadata"
        single, rule = f"{top}/{{key}}", f"{API}server-metadata"
        return both(
            [
                Route("GET", top, f"{rule}:index", self.list),
                Route("POST", top, f"{rule}:create", self.add, 200, MANY),
                Route("PUT", top, f"{rule}:update_all", self.replace, 200, MANY),
                Route("GET", single, f"{rule}:show", self.show),
                Route("PUT", single, f"{rule}:update", self.set, 200, SINGLE),
                Route("DELETE", single, f"{rule}:delete", self.remove, 204),
            ]
        )

    async def _write(
        self, db: Connection, row: Row, new: dict[str, str], *, action: str = "update"
    ) -> None:
        servers.check(row, f"{action}_server_metadata")
        await quotas.check_items(db, row["project_id"], "metadata_items", len(new))
        await servers.change(db, self._service, row["id"], metadata=new)

    async def list(self, call: Call) -> dict[str, Any]:
        """All of it."""
        async with self._database.read() as db:
            return {"metadata": (await allowed(db, call))["metadata"]}

    async def add(self, call: Call) -> dict[str, Any]:
        """Add to it."""
        async with self._database.write() as db:
            row = await allowed(db, call)
            servers.check_unlocked(call, row)
            new = {**row["metadata"], **call.part("metadata")}
            await self._write(db, row, new)
        return {"metadata": new}

    async def replace(self, call: Call) -> dict[str, Any]:
        """Put something else in its place."""
        async with self._database.write() as db:
            row = await allowed(db, call)
            servers.check_unlocked(call, row)
            await self._write(db, row, call.part("metadata"))
        return {"metadata": call.part("metadata")}

    async def show(self, call: Call) -> dict[str, Any]:
        """One item."""
        key = call.variables["key"]
        async with self._database.read() as db:
            row = await allowed(db, call)
        if key not in row["metadata"]:
            raise Fault(404, "Metadata item was not found")
        return {"meta": {key: row["metadata"][key]}}

    async def set(self, call: Call) -> dict[str, Any]:
        """Set one item."""
        given, key = call.part("meta"), call.variables["key"]
        if list(given) != [key]:
            raise bad_request("Request body and URI mismatch")
        async with self._database.write() as db:
            row = await allowed(db, call)
            servers.check_unlocked(call, row)
            await self._write(db, row, {**row["metadata"], **given})
        return {"meta": given}

    async def remove(self, call: Call) -> None:
        """Remove one item."""
        key = call.variables["key"]
        async with self._database.write() as db:
            row = await allowed(db, call)
            servers.check_unlocked(call, row)
            if key not in row["metadata"]:
                raise Fault(404, "Metadata item was not found")
            left = {name: value for name, value in row["metadata"].items() if name != key}
            await self._write(db, row, left, action="delete")


class Tags:
    """Operations on the tags of servers (2.26)."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, single = "/servers/{server_id}/tags", "/servers/{server_id}/tags/{tag}"
        rule, since = f"{API}os-server-tags", (2, 26)
        return both(
            [
                Route("GET", top, f"{rule}:index", self.list, since=since),
                Route("PUT", top, f"{rule}:update_all", self.replace, 200, TAGS, since=since),
                Route("DELETE", top, f"{rule}:delete_all", self.clear, 204, since=since),
                Route("GET", single, f"{rule}:show", self.show, 204, since=since),
                Route("PUT", single, f"{rule}:update", self.add, 204, since=since),
                Route("DELETE", single, f"{rule}:delete", self.remove, 204, since=since),
            ]
        )

    async def list(self, call: Call) -> dict[str, Any]:
        """All."""
        async with self._database.read() as db:
            return {"tags": (await allowed(db, call))["tags"]}

    async def _write(self, db: Connection, call: Call, tags: set[str]) -> None:
        if len(tags) > TAG_COUNT_MAX:
            raise bad_request(f"The number of tags exceeded the per-server limit {TAG_COUNT_MAX}")
        await servers.change(db, self._service, call.variables["server_id"], tags=sorted(tags))

    async def replace(self, call: Call) -> dict[str, Any]:
        """Others in their place."""
        async with self._database.write() as db:
            await allowed(db, call)
            await self._write(db, call, set(call.body["tags"]))
        return {"tags": sorted(set(call.body["tags"]))}

    async def clear(self, call: Call) -> None:
        """None."""
        async with self._database.write() as db:
            await allowed(db, call)
            await self._write(db, call, set())

    async def show(self, call: Call) -> None:
        """Whether a tag is there."""
        async with self._database.read() as db:
            row = await allowed(db, call)
        self._held(call, row)

    def _held(self, call: Call, row: Row) -> str:
        wanted = call.variables["tag"]
        if wanted not in row["tags"]:
            raise Fault(404, f"Server {row['id']} has no tag '{wanted[:TAG_CHARS]}'")
        return wanted

    async def add(self, call: Call) -> Answer:
        """Add one."""
        wanted = call.variables["tag"]
        tag(wanted, "tag")
        async with self._database.write() as db:
            row = await allowed(db, call)
            if wanted in row["tags"]:
                return Answer(None, 204)
            await self._write(db, call, {*row["tags"], wanted})
        where = call.url("v2.1", "servers", row["id"], "tags", wanted)
        return Answer(None, 201, (("Location", where),))

    async def remove(self, call: Call) -> None:
        """Remove one."""
        async with self._database.write() as db:
            row = await allowed(db, call)
            wanted = self._held(call, row)
            await self._write(db, call, set(row["tags"]) - {wanted})


class Password:
    """The password that a guest has set and encrypted with its user's key."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, rule = "/servers/{server_id}/os-server-password", f"{API}os-server-password"
        return both(
            [
                Route("GET", top, f"{rule}:show", self.show),
                Route("DELETE", top, f"{rule}:clear", self.clear, 204),
            ]
        )

    async def show(self, call: Call) -> dict[str, Any]:
        """Show it, as the guest encrypted it."""
        async with self._database.read() as db:
            return {"password": (await allowed(db, call))["password"] or ""}

    async def clear(self, call: Call) -> None:
        """Forget it."""
        async with self._database.write() as db:
            row = await allowed(db, call)
            await servers.change(db, self._service, row["id"], password=None)
