"""`/v3/OS-EP-FILTER`: endpoint groups, and which projects see which endpoints."""

from __future__ import annotations

from typing import Any

from authd import endpoint_filters, endpoints, projects
from authd.api import endpoints as endpoint_api
from authd.api import projects as project_api
from authd.authority import Authority
from authd.endpoint_filters import ENDPOINT_LINKS, GROUP_LINKS, GROUPS
from core import rows
from core.api.call import Call
from core.api.fault import not_found
from core.api.listing import collection
from core.api.route import Route
from core.api.shape import NAME, Attributes, Shape, choice, nullable, text
from core.database import Connection
from core.rows import Row

FILTERS = Shape(
    {
        "service_id": text(1, 64),
        "region_id": text(1, 255),
        "interface": choice("admin", "internal", "public"),
    },
    more=False,
)
ATTRIBUTES: Attributes = {"name": NAME, "description": nullable(text()), "filters": FILTERS}
CREATE = Shape(
    {"endpoint_group": Shape(ATTRIBUTES, ["name", "filters"])}, ["endpoint_group"], more=False
)
UPDATE = Shape({"endpoint_group": Shape(ATTRIBUTES, least=1)}, ["endpoint_group"], more=False)
TOP = "/v3/OS-EP-FILTER"


def shown(call: Call, row: Row) -> dict[str, Any]:
    """An endpoint group as clients see it."""
    own = call.url("v3", "OS-EP-FILTER", "endpoint_groups", row["id"])
    return {**row, "links": {"self": own}}


class EndpointGroups:
    """Operations on endpoint groups and the projects that have them."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._database = authority.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, one = f"{TOP}/endpoint_groups", f"{TOP}/endpoint_groups/{{endpoint_group_id}}"
        place = one + "/projects/{project_id}"
        check = "identity:get_endpoint_group_in_project"
        return [
            Route("GET", top, "identity:list_endpoint_groups", self.list),
            Route("POST", top, "identity:create_endpoint_group", self.create, 201, CREATE),
            Route("GET", one, "identity:get_endpoint_group", self.show),
            Route("PATCH", one, "identity:update_endpoint_group", self.update, 200, UPDATE),
            Route("DELETE", one, "identity:delete_endpoint_group", self.delete, 204),
            Route(
                "GET",
                f"{one}/projects",
                "identity:list_projects_associated_with_endpoint_group",
                self.projects,
            ),
            Route(
                "GET",
                f"{one}/endpoints",
                "identity:list_endpoints_associated_with_endpoint_group",
                self.endpoints,
            ),
            Route("PUT", place, "identity:add_endpoint_group_to_project", self.add, 204),
            Route("GET", place, check, self.check),
            Route("DELETE", place, "identity:remove_endpoint_group_from_project", self.remove, 204),
            Route(
                "GET",
                f"{TOP}/projects/{{project_id}}/endpoint_groups",
                "identity:list_endpoint_groups_for_project",
                self.of_project,
            ),
        ]

    async def list(self, call: Call) -> dict[str, Any]:
        """List endpoint groups."""
        call.allow()
        async with self._database.read() as db:
            found = await rows.matching(db, GROUPS, **call.query.exact("name"))
        return collection(call, "endpoint_groups", found, shown, "name")

    async def create(self, call: Call) -> dict[str, Any]:
        """Add an endpoint group."""
        call.allow()
        given = call.part("endpoint_group")
        row: Row = {
            "id": self._authority.new_id(),
            "name": given["name"],
            "description": given.get("description"),
            "filters": given["filters"],
        }
        async with self._database.write() as db:
            await rows.insert(db, GROUPS, row)
        return {"endpoint_group": shown(call, row)}

    async def _get(self, db: Connection, call: Call) -> Row:
        call.allow()
        return await endpoint_filters.get_group(db, call.variables["endpoint_group_id"])

    async def show(self, call: Call) -> dict[str, Any]:
        """Show an endpoint group."""
        async with self._database.read() as db:
            return {"endpoint_group": shown(call, await self._get(db, call))}

    async def update(self, call: Call) -> dict[str, Any]:
        """Change an endpoint group."""
        given = call.part("endpoint_group")
        changes = {name: given[name] for name in ATTRIBUTES if name in given}
        async with self._database.write() as db:
            row = await self._get(db, call)
            await rows.update(db, GROUPS, row["id"], changes)
        return {"endpoint_group": shown(call, {**row, **changes})}

    async def delete(self, call: Call) -> None:
        """Remove an endpoint group."""
        async with self._database.write() as db:
            row = await self._get(db, call)
            await rows.delete(db, GROUPS, GROUPS.c.id == row["id"])

    async def projects(self, call: Call) -> dict[str, Any]:
        """List the projects that have an endpoint group."""
        async with self._database.read() as db:
            row = await self._get(db, call)
            found = await endpoint_filters.projects_of(db, GROUP_LINKS, endpoint_group_id=row["id"])
        return collection(call, "projects", found, project_api.shown, "name")

    async def endpoints(self, call: Call) -> dict[str, Any]:
        """List the endpoints in an endpoint group."""
        async with self._database.read() as db:
            found = await endpoint_filters.in_group(db, await self._get(db, call))
        return collection(call, "endpoints", found, endpoint_api.shown)

    async def _pair(self, db: Connection, call: Call) -> dict[str, str]:
        """Endpoint group and project of a path. Raises Fault 404."""
        row = await self._get(db, call)
        project = await projects.get(db, call.variables["project_id"])
        return {"endpoint_group_id": row["id"], "project_id": project["id"]}

    async def add(self, call: Call) -> None:
        """Give an endpoint group to a project."""
        async with self._database.write() as db:
            await endpoint_filters.link(db, GROUP_LINKS, **await self._pair(db, call))

    async def check(self, call: Call) -> dict[str, Any]:
        """Whether a project has an endpoint group."""
        async with self._database.read() as db:
            pair = await self._pair(db, call)
            if not await endpoint_filters.linked(db, GROUP_LINKS, **pair):
                raise not_found("project association", "/".join(pair.values()))
        return {"project_endpoint_group": pair}

    async def remove(self, call: Call) -> None:
        """Take an endpoint group from a project."""
        async with self._database.write() as db:
            await endpoint_filters.unlink(db, GROUP_LINKS, **await self._pair(db, call))

    async def of_project(self, call: Call) -> dict[str, Any]:
        """List the endpoint groups of a project."""
        call.allow()
        async with self._database.read() as db:
            project = await projects.get(db, call.variables["project_id"])
            found = await endpoint_filters.groups_of(db, project["id"])
        return collection(call, "endpoint_groups", found, shown, "name")


class ProjectEndpoints:
    """Operations on the association of a project with single endpoints."""

    def __init__(self, authority: Authority) -> None:
        self._database = authority.database

    def routes(self) -> list[Route]:
        """What is served."""
        top = f"{TOP}/projects/{{project_id}}/endpoints"
        one, check = top + "/{endpoint_id}", "identity:check_endpoint_in_project"
        return [
            Route("GET", top, "identity:list_endpoints_for_project", self.list),
            Route("PUT", one, "identity:add_endpoint_to_project", self.add, 204),
            Route("GET", one, check, self.check, 204),
            Route("HEAD", one, check, self.check, 204),
            Route("DELETE", one, "identity:remove_endpoint_from_project", self.remove, 204),
            Route(
                "GET",
                f"{TOP}/endpoints/{{endpoint_id}}/projects",
                "identity:list_projects_for_endpoint",
                self.projects,
            ),
        ]

    async def list(self, call: Call) -> dict[str, Any]:
        """List the endpoints of a project."""
        call.allow()
        async with self._database.read() as db:
            project = await projects.get(db, call.variables["project_id"])
            found = await endpoint_filters.endpoints_of(db, project["id"])
        return collection(call, "endpoints", found, endpoint_api.shown)

    async def _pair(self, db: Connection, call: Call) -> dict[str, str]:
        call.allow()
        endpoint = await endpoints.get(db, call.variables["endpoint_id"])
        project = await projects.get(db, call.variables["project_id"])
        return {"endpoint_id": endpoint["id"], "project_id": project["id"]}

    async def add(self, call: Call) -> None:
        """Let a project see an endpoint."""
        async with self._database.write() as db:
            await endpoint_filters.link(db, ENDPOINT_LINKS, **await self._pair(db, call))

    async def check(self, call: Call) -> None:
        """Whether an endpoint is associated with a project."""
        async with self._database.read() as db:
            pair = await self._pair(db, call)
            if not await endpoint_filters.linked(db, ENDPOINT_LINKS, **pair):
                raise not_found("project association", "/".join(pair.values()))

    async def remove(self, call: Call) -> None:
        """End an association."""
        async with self._database.write() as db:
            await endpoint_filters.unlink(db, ENDPOINT_LINKS, **await self._pair(db, call))

    async def projects(self, call: Call) -> dict[str, Any]:
        """List the projects that an endpoint is associated with."""
        call.allow()
        async with self._database.read() as db:
            row = await endpoints.get(db, call.variables["endpoint_id"])
            found = await endpoint_filters.projects_of(db, ENDPOINT_LINKS, endpoint_id=row["id"])
        return collection(call, "projects", found, project_api.shown, "name")
