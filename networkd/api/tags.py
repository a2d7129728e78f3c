"""Tags of everything that can be named: `/{collection}/{id}/tags` and `/tags/{tag}`."""

from __future__ import annotations

from typing import Any

from core import rows
from core.api.call import Call
from core.api.route import Route
from core.database import Connection
from core.rows import Row
from networkd.api.resource import TAG, Resource, check_revision, target_of, touch
from networkd.fault import NetworkFault, bad, malformed
from networkd.service import Service
from networkd.values import array

TAGS_MAX = 50
TAGS = array(TAG, most=TAGS_MAX)


class Tags:
    """The tags of one kind of thing. Some clients spell its path with an underscore."""

    def __init__(self, service: Service, kind: Resource) -> None:
        self._service = service
        self._kind = kind

    def routes(self) -> list[Route]:
        """What is served."""
        about = self._kind.about
        found = []
        for path in dict.fromkeys((self._kind.path, self._kind.path.replace("-", "_"))):
            many, single = f"{path}/{{id}}/tags", f"{path}/{{id}}/tags/{{tag}}"
            found += [
                Route("GET", many, f"get_{about}:tags", self.list),
                Route("PUT", many, f"update_{about}:tags", self.replace, 200, _any),
                Route("POST", many, f"create_{about}:tags", self.extend, 200, _any),
                Route("DELETE", many, f"delete_{about}:tags", self.clear, 204),
                Route("GET", single, f"get_{about}:tags", self.check, 204),
                Route("PUT", single, f"create_{about}:tags", self.add, 201),
                Route("DELETE", single, f"delete_{about}:tags", self.remove, 204),
            ]
        return found

    async def _row(self, db: Connection, call: Call) -> Row:
        row, view = await self._kind.seen(db, call, call.variables["id"])
        self._kind.permit(call, call.route.rule, target_of(view))
        return row

    async def _put(self, db: Connection, call: Call, row: Row, tags: list[str]) -> None:
        check_revision(call, row)
        if len(tags) > TAGS_MAX:
            raise bad(f"The number of tags exceeds the maximum of {TAGS_MAX}.")
        await rows.update(db, self._kind.table, row["id"], {"tags": tags})
        await touch(db, self._service, self._kind.table, row["id"])

    def _given(self, call: Call) -> list[str]:
        if set(call.body) != {"tags"}:
            raise malformed("Invalid tags body")
        found: list[str] = TAGS(call.body["tags"], "tags")
        return found

    def _named(self, call: Call) -> str:
        return str(TAG(call.variables["tag"], "tag"))

    def _absent(self, tag: str) -> NetworkFault:
        return NetworkFault(404, "TagNotFound", f"Tag {tag[:80]} could not be found.")

    async def list(self, call: Call) -> dict[str, Any]:
        """All."""
        async with self._service.database.read() as db:
            return {"tags": (await self._row(db, call))["tags"]}

    async def replace(self, call: Call) -> dict[str, Any]:
        """These and no others."""
        tags = self._given(call)
        async with self._service.write() as db:
            await self._put(db, call, await self._row(db, call), tags)
        return {"tags": tags}

    async def extend(self, call: Call) -> dict[str, Any]:
        """These as well."""
        tags = self._given(call)
        async with self._service.write() as db:
            row = await self._row(db, call)
            every = list(dict.fromkeys([*row["tags"], *tags]))
            await self._put(db, call, row, every)
        return {"tags": every}

    async def clear(self, call: Call) -> None:
        """None."""
        async with self._service.write() as db:
            await self._put(db, call, await self._row(db, call), [])

    async def check(self, call: Call) -> None:
        """Whether it has one."""
        async with self._service.database.read() as db:
            row = await self._row(db, call)
        if call.variables["tag"] not in row["tags"]:
            raise self._absent(call.variables["tag"])

    async def add(self, call: Call) -> None:
        """One more."""
        tag = self._named(call)
        async with self._service.write() as db:
            row = await self._row(db, call)
            if tag not in row["tags"]:
                await self._put(db, call, row, [*row["tags"], tag])

    async def remove(self, call: Call) -> None:
        """One less."""
        tag = call.variables["tag"]
        async with self._service.write() as db:
            row = await self._row(db, call)
            if tag not in row["tags"]:
                raise self._absent(tag)
            await self._put(db, call, row, [one for one in row["tags"] if one != tag])


def _any(value: Any, where: str) -> None:
    del value, where
