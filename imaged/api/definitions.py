"""Objects, properties and tags of a metadata namespace."""

from __future__ import annotations

from typing import Any

from core.api.call import Answer, Call
from core.api.fault import Fault, bad_request, forbidden
from core.api.route import Route
from core.database import Connection
from core.rows import Row
from imaged import metadefs
from imaged.api.metadefs import checked, object_shown, open_namespace
from imaged.library import Library
from imaged.metadef_schemas import CHECK_ATTRIBUTE, CHECK_OBJECT, CHECK_TAG, CHECK_TAGS
from imaged.metadefs import DEFINITIONS, OBJECT, PROPERTY, TAG

TOP = "/v2/metadefs/namespaces/{namespace}"


class Definitions:
    """Operations that all kinds of definitions share."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._database = library.database

    async def _listed(self, call: Call, kind: str) -> tuple[Row, list[Row]]:
        async with self._database.read() as db:
            within = await open_namespace(call, db)
            return within, await metadefs.defined(db, within["id"], kind)

    async def _shown(self, call: Call, kind: str, name: str) -> tuple[Row, Row]:
        async with self._database.read() as db:
            within = await open_namespace(call, db)
            return within, await metadefs.definition(db, within, kind, name)

    async def _made(self, call: Call, kind: str, body: dict[str, Any]) -> tuple[Row, Row]:
        async with self._database.write() as db:
            within = await open_namespace(call, db)
            return within, await self._add(db, within, kind, body)

    async def _add(self, db: Connection, within: Row, kind: str, body: dict[str, Any]) -> Row:
        row = metadefs.new_definition(
            self._library.new_id(), within, kind, body, self._library.now_us()
        )
        await metadefs.define(db, within, row)
        return row

    async def _remade(
        self, call: Call, kind: str, name: str, body: dict[str, Any]
    ) -> tuple[Row, Row]:
        async with self._database.write() as db:
            within = await open_namespace(call, db)
            old = await metadefs.definition(db, within, kind, name)
            return within, await metadefs.redefine(db, within, old, body, self._library.now_us())

    async def _removed(self, call: Call, kind: str, name: str) -> None:
        async with self._database.write() as db:
            within = await open_namespace(call, db)
            _check_open(within)
            row = await metadefs.definition(db, within, kind, name)
            await metadefs.undefine(db, DEFINITIONS.c.id == row["id"])

    async def _emptied(self, call: Call, kind: str) -> None:
        async with self._database.write() as db:
            within = await open_namespace(call, db, rule="delete_metadef_namespace")
            _check_open(within)
            await metadefs.undefine_all(db, within["id"], kind)


class Objects(Definitions):
    """`…/objects`."""

    def routes(self) -> list[Route]:
        """What is served."""
        top, one = f"{TOP}/objects", f"{TOP}/objects/{{object_name}}"
        return [
            Route("GET", top, "get_metadef_objects", self.list),
            Route("POST", top, "add_metadef_object", self.create, 201),
            Route("DELETE", top, "delete_metadef_namespace", self.empty, 204),
            Route("GET", one, "get_metadef_object", self.show),
            Route("PUT", one, "modify_metadef_object", self.update),
            Route("DELETE", one, "delete_metadef_object", self.delete, 204),
        ]

    async def list(self, call: Call) -> dict[str, Any]:
        """All objects."""
        within, found = await self._listed(call, OBJECT)
        shown = [object_shown(within["namespace"], row) for row in found]
        return {"objects": shown, "schema": "v2/schemas/metadefs/objects"}

    async def show(self, call: Call) -> dict[str, Any]:
        """One object."""
        within, row = await self._shown(call, OBJECT, call.variables["object_name"])
        return object_shown(within["namespace"], row)

    async def create(self, call: Call) -> dict[str, Any]:
        """Define an object."""
        within, row = await self._made(call, OBJECT, checked(call, CHECK_OBJECT))
        return object_shown(within["namespace"], row)

    async def update(self, call: Call) -> dict[str, Any]:
        """Replace an object."""
        body = checked(call, CHECK_OBJECT)
        within, row = await self._remade(call, OBJECT, call.variables["object_name"], body)
        return object_shown(within["namespace"], row)

    async def delete(self, call: Call) -> None:
        """Remove an object."""
        await self._removed(call, OBJECT, call.variables["object_name"])

    async def empty(self, call: Call) -> None:
        """Remove all objects."""
        await self._emptied(call, OBJECT)


class Properties(Definitions):
    """`…/properties`."""

    def routes(self) -> list[Route]:
        """What is served."""
        top, one = f"{TOP}/properties", f"{TOP}/properties/{{property_name}}"
        return [
            Route("GET", top, "get_metadef_properties", self.list),
            Route("POST", top, "add_metadef_property", self.create, 201),
            Route("DELETE", top, "delete_metadef_namespace", self.empty, 204),
            Route("GET", one, "get_metadef_property", self.show),
            Route("PUT", one, "modify_metadef_property", self.update),
            Route("DELETE", one, "remove_metadef_property", self.delete, 204),
        ]

    async def list(self, call: Call) -> dict[str, Any]:
        """All properties by name."""
        _, found = await self._listed(call, PROPERTY)
        return {"properties": {row["name"]: row["body"] for row in found}}

    async def show(self, call: Call) -> dict[str, Any]:
        """One property; with `resource_type`, under the name that it has there."""
        name, kind = call.variables["property_name"], call.query.get("resource_type")
        if kind is not None:
            async with self._database.read() as db:
                within = await open_namespace(call, db)
                applied = await metadefs.associations(db, within["id"])
            prefix = next((one["prefix"] for one in applied if one["name"] == kind), None)
            if not prefix or not name.startswith(prefix):
                raise Fault(
                    404,
                    f"Property {name} does not start with the expected resource type association prefix of"
                    f" '{prefix}'.",
                )
            name = name.removeprefix(prefix)
        _, row = await self._shown(call, PROPERTY, name)
        return {"name": row["name"], **row["body"]}

    async def create(self, call: Call) -> dict[str, Any]:
        """Define a property."""
        _, row = await self._made(call, PROPERTY, checked(call, CHECK_ATTRIBUTE))
        return {"name": row["name"], **row["body"]}

    async def update(self, call: Call) -> dict[str, Any]:
        """Replace a property."""
        body = checked(call, CHECK_ATTRIBUTE)
        _, row = await self._remade(call, PROPERTY, call.variables["property_name"], body)
        return {"name": row["name"], **row["body"]}

    async def delete(self, call: Call) -> None:
        """Remove a property."""
        await self._removed(call, PROPERTY, call.variables["property_name"])

    async def empty(self, call: Call) -> None:
        """Remove all properties."""
        await self._emptied(call, PROPERTY)


class MetadefTags(Definitions):
    """`…/tags`."""

    def routes(self) -> list[Route]:
        """What is served."""
        top, one = f"{TOP}/tags", f"{TOP}/tags/{{tag_name}}"
        return [
            Route("GET", top, "get_metadef_tags", self.list),
            Route("POST", top, "add_metadef_tags", self.replace, 201),
            Route("DELETE", top, "delete_metadef_tags", self.empty, 204),
            Route("GET", one, "get_metadef_tag", self.show),
            Route("POST", one, "add_metadef_tag", self.create, 201),
            Route("PUT", one, "modify_metadef_tag", self.update),
            Route("DELETE", one, "delete_metadef_tag", self.delete, 204),
        ]

    async def list(self, call: Call) -> dict[str, Any]:
        """All tags, the newest first."""
        _, found = await self._listed(call, TAG)
        return {"tags": [{"name": row["name"]} for row in reversed(found)]}

    async def replace(self, call: Call) -> Answer:
        """Put these tags in the place of all (or, with `X-OpenStack-Append`, beside them)."""
        body = checked(call, CHECK_TAGS)
        names = [tag["name"] for tag in body["tags"]]
        if len(set(names)) != len(names):
            raise bad_request("A tag is given twice.")
        append = (call.request.header("x-openstack-append") or "").lower() in {"true", "1", "yes"}
        async with self._database.write() as db:
            within = await open_namespace(call, db)
            if not append:
                await metadefs.undefine_all(db, within["id"], TAG)
            for name in names:
                await self._add(db, within, TAG, {"name": name})
        return Answer({"tags": [{"name": name} for name in names]})

    async def show(self, call: Call) -> dict[str, Any]:
        """One tag."""
        return _tag((await self._shown(call, TAG, call.variables["tag_name"]))[1])

    async def create(self, call: Call) -> dict[str, Any]:
        """Define a tag."""
        body = {"name": call.variables["tag_name"]}
        CHECK_TAG(body, "")
        return _tag((await self._made(call, TAG, body))[1])

    async def update(self, call: Call) -> dict[str, Any]:
        """Rename a tag."""
        body = checked(call, CHECK_TAG)
        return _tag((await self._remade(call, TAG, call.variables["tag_name"], body))[1])

    async def delete(self, call: Call) -> None:
        """Remove a tag."""
        await self._removed(call, TAG, call.variables["tag_name"])

    async def empty(self, call: Call) -> None:
        """Remove all tags."""
        await self._emptied(call, TAG)


def _tag(row: Row) -> dict[str, Any]:
    return {"name": row["name"]}


def _check_open(within: Row) -> None:
    if within["protected"]:
        raise forbidden(
            f"Metadata definition namespace {within['namespace']} is protected and cannot be changed."
        )
