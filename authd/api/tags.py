"""`/v3/projects/{project_id}/tags`."""

from __future__ import annotations

import re
from typing import Any

from authd import projects, tags
from authd.api import immutable
from authd.api.projects import policy_target
from authd.authority import Authority
from core.api.call import Answer, Call
from core.api.fault import bad_request, not_found
from core.api.route import Route
from core.api.shape import Shape, array, text
from core.database import Connection
from core.rows import Row

NAME = re.compile(r"[^,/]{1,255}")
TAG = text(1, 255, pattern=r"[^,/]*")
REPLACE = Shape({"tags": array(TAG, most=tags.COUNT_MAX, unique=True)}, ["tags"], more=False)


class Tags:
    """Operations on the tags of projects."""

    def __init__(self, authority: Authority) -> None:
        self._database = authority.database

    def routes(self) -> list[Route]:
        """What is served."""
        top = "/v3/projects/{project_id}/tags"
        one = top + "/{value}"
        return [
            Route("GET", top, "identity:list_project_tags", self.list),
            Route("PUT", top, "identity:update_project_tags", self.replace, 200, REPLACE),
            Route("DELETE", top, "identity:delete_project_tags", self.clear, 204),
            Route("GET", one, "identity:get_project_tag", self.check, 204),
            Route("HEAD", one, "identity:get_project_tag", self.check, 204),
            Route("PUT", one, "identity:create_project_tag", self.add, 201),
            Route("DELETE", one, "identity:delete_project_tag", self.remove, 204),
        ]

    async def _get(self, db: Connection, call: Call, *, change: bool = True) -> Row:
        row = await projects.get(db, call.variables["project_id"])
        call.allow(project=policy_target(row))
        if change:
            immutable.check_update("project", row, {"tags": []})
        return row

    def _body(self, call: Call, names: Any) -> dict[str, Any]:
        own = call.url("v3", "projects", call.variables["project_id"], "tags")
        return {"tags": names, "links": {"self": own, "next": None, "previous": None}}

    async def list(self, call: Call) -> dict[str, Any]:
        """List the tags of a project."""
        async with self._database.read() as db:
            row = await self._get(db, call, change=False)
            return self._body(call, await tags.of(db, row["id"]))

    async def replace(self, call: Call) -> dict[str, Any]:
        """Give a project exactly these tags."""
        async with self._database.write() as db:
            row = await self._get(db, call)
            await tags.replace(db, row["id"], call.body["tags"])
            return self._body(call, await tags.of(db, row["id"]))

    async def clear(self, call: Call) -> None:
        """Take all tags away."""
        async with self._database.write() as db:
            await tags.replace(db, (await self._get(db, call))["id"], [])

    async def check(self, call: Call) -> None:
        """Whether a project has a tag."""
        async with self._database.read() as db:
            row = await self._get(db, call, change=False)
            if call.variables["value"] not in await tags.of(db, row["id"]):
                raise not_found("project tag", call.variables["value"])

    async def add(self, call: Call) -> Answer:
        """Give a project one more tag."""
        value = call.variables["value"]
        async with self._database.write() as db:
            row = await self._get(db, call)
            if not NAME.fullmatch(value):
                raise bad_request("A tag has 1 to 255 characters, neither comma nor slash.")
            await tags.replace(db, row["id"], [*await tags.of(db, row["id"]), value])
        own = call.url("v3", "projects", row["id"], "tags", value)
        return Answer(None, 201, (("Location", own),))

    async def remove(self, call: Call) -> None:
        """Take one tag away."""
        async with self._database.write() as db:
            row = await self._get(db, call)
            await tags.remove(db, row["id"], call.variables["value"])
