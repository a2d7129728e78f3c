"""`/v2/tasks`: the older way to import, and a look at what imports do; administrators only, as documented."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

from core import rows
from core.api.call import Answer, Call
from core.api.fault import Fault, bad_request
from core.api.route import Route
from core.errors import Refused
from imaged import listing, sight, tasks
from imaged.addresses import check_literal, place
from imaged.api import view
from imaged.api.body import json_object
from imaged.attributes import DISK_FORMATS, UUID, split
from imaged.library import Library
from imaged.runner import Runner

STATUSES = ("pending", "processing", "success", "failure")
SORT_KEYS = {name: name for name in ("id", "type", "status")} | {
    "created_at": "created_us",
    "updated_at": "updated_us",
    "expires_at": "expires_us",
}
NEEDED = ("import_from", "import_from_format", "image_properties")


class Tasks:
    """Operations on tasks."""

    def __init__(self, library: Library, runner: Runner) -> None:
        self._library = library
        self._database = library.database
        self._runner = runner

    def routes(self) -> list[Route]:
        """What is served."""
        rule = "tasks_api_access"
        return [
            Route("GET", "/v2/tasks", rule, self.list),
            Route("POST", "/v2/tasks", rule, self.create, 201),
            Route("GET", "/v2/tasks/{task_id}", rule, self.show),
            Route("DELETE", "/v2/tasks/{task_id}", rule, self.delete),
        ]

    async def list(self, call: Call) -> dict[str, Any]:
        """Tasks, a page at a time."""
        call.allow()
        wanted = call.query.exact("status", "type")
        if wanted.get("status", "pending") not in STATUSES:
            raise bad_request(f"Invalid status value: {wanted['status'][:80]}")
        marker = call.query.marker()
        if marker is not None and re.fullmatch(UUID, marker) is None:
            raise bad_request("Invalid marker format")
        order, limit = listing.order_of(call.query, SORT_KEYS), listing.limit_of(call.query)
        async with self._database.read() as db:
            found = await tasks.visible(
                db, call.identity.project_id, admin=sight.is_admin(call.identity)
            )
        fitting = [row for row in found if all(row[name] == wanted[name] for name in wanted)]
        page = listing.page(fitting, order, limit=limit, marker=marker)
        fields = [field for field in call.query.fields if field[0] != "marker"]
        body: dict[str, Any] = {
            "tasks": [view.task_stub(row) for row in page.rows],
            "first": "/v2/tasks" + (f"?{urlencode(fields)}" if fields else ""),
            "schema": "/v2/schemas/tasks",
        }
        if page.next is not None:
            body["next"] = "/v2/tasks?" + urlencode([*fields, ("marker", page.next)])
        return body

    async def create(self, call: Call) -> Answer:
        """Import a new image from a URL."""
        call.allow()
        body = json_object(call)
        given = self._checked(body)
        row = tasks.new_row(
            self._library.new_id(),
            tasks.LEGACY,
            given,
            identity=call.identity,
            now_us=self._library.now_us(),
            request_id=str(call.request.context.get("id", "")),
        )
        async with self._database.write() as db:
            await rows.insert(db, tasks.TABLE, row)
        self._runner.ask()
        return Answer(view.task(row), headers=(("Location", f"/v2/tasks/{row['id']}"),))

    def _checked(self, body: dict[str, Any]) -> dict[str, Any]:
        for name in ("type", "input"):
            if name not in body:
                raise bad_request(f"Task '{name}' is required")
        given = body["input"]
        if body["type"] != tasks.LEGACY or not isinstance(given, dict):
            raise bad_request("The only type of task that can be made is 'import'.")
        for name in NEEDED:
            if name not in given:
                raise bad_request(f"Input does not contain '{name}' field")
        if not isinstance(given["image_properties"], dict):
            raise bad_request("'image_properties' must be an object")
        if given["import_from_format"] not in DISK_FORMATS:
            raise bad_request("'import_from_format' is no disk format")
        split(dict(given["image_properties"]))
        settings, url = self._library.settings, str(given["import_from"])
        try:
            check_literal(place(url), settings.networks(), settings.download_ports)
        except Refused as error:
            raise bad_request(
                f"URI for legacy import task does not pass filtering: {url[:500]} ({error.message})"
            ) from None
        return given

    async def show(self, call: Call) -> dict[str, Any]:
        """One task."""
        call.allow()
        async with self._database.read() as db:
            row = await rows.by_id(db, tasks.TABLE, call.variables["task_id"])
        if row is None:
            raise Fault(404, f"No task found with ID {call.variables['task_id']}")
        return view.task(row)

    async def delete(self, call: Call) -> None:
        """Tasks go by themselves."""
        call.allow()
        raise Fault(
            405,
            "This operation is currently not permitted on Glance Tasks. They are auto deleted after reaching"
            " the time based on their expires_at property.",
            headers=(("Allow", "GET"),),
        )
