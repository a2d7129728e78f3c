"""`/v2/metadefs/namespaces` and `/v2/metadefs/resource_types`: the catalogue of metadata definitions.

A namespace that is private exists for its own project and administrators alone.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from core import rows
from core.api.call import Answer, Call
from core.api.fault import Fault, bad_request, forbidden
from core.api.route import Route
from core.database import Connection
from core.rows import Row
from imaged import listing, metadefs, times
from imaged.api.body import json_object
from imaged.library import Library
from imaged.metadef_schemas import CHECK_ASSOCIATION, CHECK_NAMESPACE
from imaged.metadefs import OBJECT, PROPERTY, TAG

READ_ONLY = ("self", "schema", "created_at", "updated_at")
COLUMNS = ("namespace", "display_name", "description", "visibility", "protected", "owner")
SORT_KEYS = {name: name for name in ("namespace", "id")} | {
    "created_at": "created_us",
    "updated_at": "updated_us",
}


def checked(call: Call, check: Any) -> dict[str, Any]:
    """The body, without what clients send back of what they were shown. Raises Fault 400 or 403."""
    body = json_object(call)
    for name in READ_ONLY:
        if name in body:
            raise forbidden(f"Attribute '{name}' is read-only.")
    check(body, "")
    return body


def about(row: Row) -> Row:
    """A namespace as policy rules name it."""
    return {"project_id": row["owner"], "visibility": row["visibility"]}


async def open_namespace(call: Call, db: Connection, *, rule: str | None = None) -> Row:
    """The namespace of the path, with the route's rule passed for it. Raises Fault 403 or 404."""
    call.absence_is_open = True
    row = await metadefs.namespace(db, call.variables["namespace"])
    if not call.may("get_metadef_namespace", about(row)):
        raise metadefs.no_namespace(row["namespace"])
    name = rule or call.route.rule
    if not call.may(name, about(row)):
        raise forbidden(f"You are not authorized to complete {name} action.")
    call.allow(name, about(row))
    return row


def namespace_shown(row: Row) -> dict[str, Any]:
    """A namespace by itself."""
    shown = {name: row[name] for name in COLUMNS if row[name] is not None}
    return {
        **shown,
        "created_at": times.shown(row["created_us"]),
        "updated_at": times.shown(row["updated_us"]),
        "self": f"/v2/metadefs/namespaces/{row['namespace']}",
        "schema": "/v2/schemas/metadefs/namespace",
    }


def association_shown(row: Row) -> dict[str, Any]:
    """A resource type that a namespace applies to."""
    shown = {name: row[name] for name in ("name", "prefix", "properties_target")}
    return {
        **{name: value for name, value in shown.items() if value is not None},
        "created_at": times.shown(row["created_us"]),
        "updated_at": times.shown(row["updated_us"]),
    }


def object_shown(namespace: str, row: Row) -> dict[str, Any]:
    """An object of a namespace."""
    return {
        "name": row["name"],
        "required": [],
        "properties": {},
        **row["body"],
        "created_at": times.shown(row["created_us"]),
        "updated_at": times.shown(row["updated_us"]),
        "self": f"/v2/metadefs/namespaces/{namespace}/objects/{row['name']}",
        "schema": "/v2/schemas/metadefs/object",
    }


class Namespaces:
    """Operations on namespaces and on what they apply to."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._database = library.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, one = "/v2/metadefs/namespaces", "/v2/metadefs/namespaces/{namespace}"
        types = f"{one}/resource_types"
        add, remove = (f"{verb}_metadef_resource_type_association" for verb in ("add", "remove"))
        return [
            Route("GET", top, "get_metadef_namespaces", self.list),
            Route("POST", top, "add_metadef_namespace", self.create, 201),
            Route("GET", one, "get_metadef_namespace", self.show),
            Route("PUT", one, "modify_metadef_namespace", self.update),
            Route("DELETE", one, "delete_metadef_namespace", self.delete, 204),
            Route("GET", "/v2/metadefs/resource_types", "list_metadef_resource_types", self.types),
            Route("GET", types, "get_metadef_resource_type", self.associations),
            Route("POST", types, add, self.associate, 201),
            Route("DELETE", f"{types}/{{name}}", remove, self.dissociate, 204),
        ]

    async def list(self, call: Call) -> dict[str, Any]:
        """Namespaces that the caller sees, a page at a time."""
        call.allow(None, {"project_id": call.identity.project_id})
        query = call.query
        visibility = query.get("visibility")
        if visibility not in {None, "", "public", "private"}:
            raise bad_request(f"Invalid visibility value: {str(visibility)[:80]}")
        wanted_types = [name for name in (query.get("resource_types") or "").split(",") if name]
        async with self._database.read() as db:
            seen = [
                row
                for row in await metadefs.namespaces(db)
                if call.may("get_metadef_namespace", about(row))
                and visibility in {None, "", row["visibility"]}
            ]
            applied = {row["id"]: await metadefs.associations(db, row["id"]) for row in seen}
        if wanted_types:
            seen = [
                row
                for row in seen
                if any(one["name"] in wanted_types for one in applied[row["id"]])
            ]
        marker = query.marker()
        known = {row["namespace"]: row["id"] for row in seen}
        if marker is not None and marker not in known:
            raise metadefs.no_namespace(marker)
        page = listing.page(
            seen,
            listing.order_of(query, SORT_KEYS),
            limit=listing.limit_of(query),
            marker=None if marker is None else known[marker],
        )
        shown = []
        for row in page.rows:
            types = [association_shown(one) for one in applied[row["id"]]]
            extra = {"resource_type_associations": types} if types else {}
            shown.append({**namespace_shown(row), **extra})
        return _page(call, shown, page.next)

    async def create(self, call: Call) -> Answer:
        """Add a namespace with everything that is defined in it."""
        body = checked(call, CHECK_NAMESPACE)
        call.allow(None, {"project_id": call.identity.project_id})
        now_us = self._library.now_us()
        row = {
            "id": self._library.new_id(),
            "display_name": None,
            "description": None,
            "visibility": "private",
            "protected": False,
            "owner": call.identity.project_id,
            **{name: body[name] for name in COLUMNS if name in body},
            "created_us": now_us,
            "updated_us": now_us,
        }
        async with self._database.write() as db:
            await metadefs.create_namespace(db, row)
            await self._fill(db, row, body)
        parts = ("resource_type_associations", "properties", "objects", "tags")
        shown = {**namespace_shown(row), **{name: body[name] for name in parts if name in body}}
        return Answer(shown, headers=(("Location", shown["self"]),))

    async def _fill(self, db: Connection, row: Row, body: dict[str, Any]) -> None:
        now_us = row["created_us"]
        for given in body.get("resource_type_associations", []):
            made = metadefs.new_association(self._library.new_id(), row, given, now_us)
            await metadefs.associate(db, row, made)
        definitions = [(OBJECT, given) for given in body.get("objects", [])]
        definitions += [(TAG, given) for given in body.get("tags", [])]
        definitions += [
            (PROPERTY, {**given, "name": name})
            for name, given in body.get("properties", {}).items()
        ]
        for kind, given in definitions:
            made = metadefs.new_definition(self._library.new_id(), row, kind, given, now_us)
            await metadefs.define(db, row, made)

    async def show(self, call: Call) -> dict[str, Any]:
        """A namespace with everything in it; names with the prefix of a resource type when one is asked for."""
        async with self._database.read() as db:
            row = await open_namespace(call, db)
            types = await metadefs.associations(db, row["id"])
            objects = await metadefs.defined(db, row["id"], OBJECT)
            properties = await metadefs.defined(db, row["id"], PROPERTY)
            tags = await metadefs.defined(db, row["id"], TAG)
        wanted = call.query.get("resource_type")
        prefix = next((one["prefix"] for one in types if one["name"] == wanted), None) or ""
        shown = namespace_shown(row)
        if objects:
            shown["objects"] = [
                _prefixed(object_shown(row["namespace"], one), prefix) for one in objects
            ]
        if properties:
            shown["properties"] = {prefix + one["name"]: one["body"] for one in properties}
        if types:
            shown["resource_type_associations"] = [association_shown(one) for one in types]
        if tags:
            shown["tags"] = [{"name": one["name"]} for one in tags]
        return shown

    async def update(self, call: Call) -> dict[str, Any]:
        """Replace what a namespace says of itself."""
        body = checked(call, CHECK_NAMESPACE)
        async with self._database.write() as db:
            row = await open_namespace(call, db)
            changes: Row = {
                "display_name": None,
                "description": None,
                "visibility": "private",
                "protected": False,
                "owner": row["owner"],
                **{name: body[name] for name in COLUMNS if name in body},
                "updated_us": self._library.now_us(),
            }
            await metadefs.update_namespace(db, row, changes)
        return namespace_shown({**row, **changes})

    async def delete(self, call: Call) -> None:
        """Remove a namespace and everything in it."""
        async with self._database.write() as db:
            row = await open_namespace(call, db)
            if row["protected"]:
                raise forbidden(
                    f"Metadata definition namespace {row['namespace']} is protected and cannot be deleted."
                )
            await rows.delete(db, metadefs.NAMESPACES, metadefs.NAMESPACES.c.id == row["id"])

    async def types(self, call: Call) -> dict[str, Any]:
        """Every resource type that is known."""
        call.allow(None, {"project_id": call.identity.project_id, "visibility": "public"})
        async with self._database.read() as db:
            names = await metadefs.resource_types(db)
        moment = times.shown(0)
        return {
            "resource_types": [
                {"name": name, "created_at": moment, "updated_at": moment} for name in names
            ]
        }

    async def associations(self, call: Call) -> dict[str, Any]:
        """What a namespace applies to."""
        async with self._database.read() as db:
            row = await open_namespace(call, db)
            found = await metadefs.associations(db, row["id"])
        return {"resource_type_associations": [association_shown(one) for one in found]}

    async def associate(self, call: Call) -> dict[str, Any]:
        """Let a namespace apply to a resource type."""
        body = checked(call, CHECK_ASSOCIATION)
        async with self._database.write() as db:
            row = await open_namespace(call, db)
            made = metadefs.new_association(
                self._library.new_id(), row, body, self._library.now_us()
            )
            await metadefs.associate(db, row, made)
        return association_shown(made)

    async def dissociate(self, call: Call) -> None:
        """Let it apply no longer."""
        async with self._database.write() as db:
            row = await open_namespace(call, db)
            if row["protected"]:
                raise forbidden(
                    f"Metadata definition namespace {row['namespace']} is protected and cannot be changed."
                )
            if not await metadefs.dissociate(db, row["id"], call.variables["name"]):
                raise Fault(404, f"Failed to find resource type {call.variables['name']} to delete")


def _prefixed(shown: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {
        **shown,
        "properties": {prefix + name: value for name, value in shown["properties"].items()},
        "required": [prefix + name for name in shown["required"]],
    }


def _page(call: Call, shown: list[dict[str, Any]], following: str | None) -> dict[str, Any]:
    top = "/v2/metadefs/namespaces"
    fields = [field for field in call.query.fields if field[0] != "marker"]
    body: dict[str, Any] = {
        "namespaces": shown,
        "first": top + (f"?{urlencode(fields)}" if fields else ""),
        "schema": "/v2/schemas/metadefs/namespaces",
    }
    if following is not None:
        body["next"] = f"{top}?{urlencode([*fields, ('marker', shown[-1]['namespace'])])}"
    return body
