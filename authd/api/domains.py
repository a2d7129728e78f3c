"""`/v3/domains`."""

from __future__ import annotations

from typing import Any

from authd import domains, tags
from authd.api import immutable
from authd.authority import Authority
from core import rows
from core.api.call import Call
from core.api.listing import collection
from core.api.route import Route
from core.api.shape import (
    DESCRIPTION,
    ID,
    SHORT_NAME,
    Attributes,
    Shape,
    array,
    boolean,
    nullable,
    text,
)
from core.rows import Row

ATTRIBUTES: Attributes = {
    "name": SHORT_NAME,
    "description": nullable(DESCRIPTION),
    "enabled": boolean,
    "options": immutable.OPTIONS,
    "tags": array(text(1, 255, pattern="[^,/]*"), most=80, unique=True),
    "explicit_domain_id": ID,
}
CREATE = Shape({"domain": Shape(ATTRIBUTES, ["name"])}, ["domain"], more=False)
UPDATE = Shape({"domain": Shape(ATTRIBUTES, least=1)}, ["domain"], more=False)
COLUMNS = frozenset({"name", "description", "enabled", "options"})
UNSETTABLE = frozenset({"id", "links", "tags", "is_domain", "explicit_domain_id"})


def shown(call: Call, row: Row) -> dict[str, Any]:
    """A domain as clients see it."""
    return {
        **row["extra"],
        "id": row["id"],
        "name": row["name"],
        "description": row["description"],
        "enabled": row["enabled"],
        "tags": row.get("tags", []),
        "options": row["options"],
        "links": {"self": call.url("v3", "domains", row["id"])},
    }


class Domains:
    """Operations on domains."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._database = authority.database

    def routes(self) -> list[Route]:
        """What is served."""
        one = "/v3/domains/{domain_id}"
        return [
            Route("GET", "/v3/domains", "identity:list_domains", self.list),
            Route("POST", "/v3/domains", "identity:create_domain", self.create, 201, CREATE),
            Route("GET", one, "identity:get_domain", self.show),
            Route("PATCH", one, "identity:update_domain", self.update, 200, UPDATE),
            Route("DELETE", one, "identity:delete_domain", self.delete, 204),
        ]

    async def list(self, call: Call) -> dict[str, Any]:
        """List domains; a domain's reader sees their own."""
        own = call.identity.domain_id
        call.allow(domain={"id": own})
        wanted: Row = dict(call.query.exact("name"))
        if "enabled" in call.query:
            wanted["enabled"] = call.query.flag("enabled")
        if own:
            wanted["id"] = own
        async with self._database.read() as db:
            found = await rows.matching(db, domains.TABLE, is_domain=True, **wanted)
            found = await tags.joined(db, found)
        return collection(call, "domains", found, shown, "name", "description")

    async def create(self, call: Call) -> dict[str, Any]:
        """Add a domain."""
        call.allow()
        given = call.part("domain")
        known, extra = rows.split_extra(given, COLUMNS)
        row: Row = {
            "id": given.get("explicit_domain_id") or self._authority.new_id(),
            "name": known["name"],
            "description": known.get("description") or "",
            "enabled": known.get("enabled", True),
            "options": immutable.merged({}, known.get("options", {})),
            "extra": {name: extra[name] for name in extra if name not in UNSETTABLE},
        }
        async with self._database.write() as db:
            await domains.create(db, row)
            await tags.replace(db, row["id"], given.get("tags", []))
            row["tags"] = await tags.of(db, row["id"])
        return {"domain": shown(call, row)}

    async def show(self, call: Call) -> dict[str, Any]:
        """Show a domain."""
        async with self._database.read() as db:
            row = await domains.get(db, call.variables["domain_id"])
            row["tags"] = await tags.of(db, row["id"])
        call.allow(domain=row)
        return {"domain": shown(call, row)}

    async def update(self, call: Call) -> dict[str, Any]:
        """Change a domain."""
        given = call.part("domain")
        known, extra = rows.split_extra(given, COLUMNS)
        call.absence_is_open = True  # this one operation tells everybody, in Keystone too
        async with self._database.write() as db:
            row = await domains.get(db, call.variables["domain_id"])
            call.allow(domain=row)
            immutable.check_update("domain", row, given)
            if "description" in known:
                known["description"] = known["description"] or ""
            if "options" in known:
                known["options"] = immutable.merged(row["options"], known["options"])
            more = {name: extra[name] for name in extra if name not in UNSETTABLE}
            known["extra"] = {**row["extra"], **more}
            await domains.update(db, row, known, self._authority.now_us())
            if "tags" in given:
                await tags.replace(db, row["id"], given["tags"])
            known["tags"] = await tags.of(db, row["id"])
        return {"domain": shown(call, {**row, **known})}

    async def delete(self, call: Call) -> None:
        """Remove a disabled domain and all it owns."""
        async with self._database.write() as db:
            row = await domains.get(db, call.variables["domain_id"])
            call.allow(domain=row)
            immutable.check_delete("domain", row)
            await domains.delete(db, row, self._authority.now_us())
