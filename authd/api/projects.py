"""`/v3/projects`."""

from __future__ import annotations

from typing import Any

from authd import domains, projects, tags
from authd.api import immutable
from authd.authority import Authority
from core import rows
from core.api.call import Call
from core.api.fault import bad_request, forbidden
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
from core.identity import Identity
from core.rows import Row

ATTRIBUTES: Attributes = {
    "name": SHORT_NAME,
    "description": nullable(DESCRIPTION),
    "domain_id": nullable(ID),
    "parent_id": nullable(ID),
    "enabled": boolean,
    "is_domain": boolean,
    "options": immutable.OPTIONS,
    "tags": array(text(1, 255, pattern="[^,/]*"), most=80, unique=True),
}
CREATE = Shape({"project": Shape(ATTRIBUTES, ["name"])}, ["project"], more=False)
UPDATE = Shape({"project": Shape(ATTRIBUTES, least=1)}, ["project"], more=False)
COLUMNS = frozenset({"name", "description", "enabled", "options"})
UNSETTABLE = frozenset({"id", "links", "tags", "is_domain", "domain_id", "parent_id", "parents"})


def shown(call: Call, row: Row) -> dict[str, Any]:
    """A project as clients see it."""
    return {
        **row["extra"],
        "id": row["id"],
        "name": row["name"],
        "domain_id": row["domain_id"] or None,
        "description": row["description"],
        "enabled": row["enabled"],
        "parent_id": row["parent_id"] or None,
        "is_domain": row["is_domain"],
        "tags": row.get("tags", []),
        "options": row["options"],
        "links": {"self": call.url("v3", "projects", row["id"])},
    }


def policy_target(row: Row) -> dict[str, Any]:
    """A project as policy rules see it: that of a domain is None, not an empty string."""
    return {"id": row["id"], "name": row["name"], "domain_id": row["domain_id"] or None}


def own_domain(identity: Identity) -> str:
    """The domain in which a caller creates when they name none. Raises Fault 400 without a scope."""
    domain_id = identity.domain_id or identity.project_domain_id
    if not domain_id and identity.system:
        domain_id = domains.DEFAULT
    if not domain_id:
        raise bad_request("domain_id is required: the token has no scope to take it from.")
    return domain_id


class Projects:
    """Operations on projects."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._database = authority.database

    def routes(self) -> list[Route]:
        """What is served."""
        one = "/v3/projects/{project_id}"
        return [
            Route("GET", "/v3/projects", "identity:list_projects", self.list),
            Route("POST", "/v3/projects", "identity:create_project", self.create, 201, CREATE),
            Route("GET", one, "identity:get_project", self.show),
            Route("PATCH", one, "identity:update_project", self.update, 200, UPDATE),
            Route("DELETE", one, "identity:delete_project", self.delete, 204),
        ]

    async def list(self, call: Call) -> dict[str, Any]:
        """List projects; a domain's reader sees those of their domain."""
        query, own = call.query, call.identity.domain_id
        call.allow(domain_id=own or None)
        wanted: Row = dict(query.exact("name", "parent_id", "domain_id"))
        wanted["is_domain"] = query.flag("is_domain")
        if "enabled" in query:
            wanted["enabled"] = query.flag("enabled")
        if own:
            wanted["domain_id"] = own
        async with self._database.read() as db:
            found = await tags.joined(db, await rows.matching(db, projects.TABLE, **wanted))
        filters = query.exact(*tags.FILTERS)
        found = [row for row in found if tags.fits(row["tags"], filters)]
        return collection(call, "projects", found, shown, "name", "description")

    async def create(self, call: Call) -> dict[str, Any]:
        """Add a project, or a domain when `is_domain` is set."""
        given = call.part("project")
        row = self._new_row(call, given)
        call.allow(project=policy_target(row))
        async with self._database.write() as db:
            if row["is_domain"]:
                await domains.create(db, row)
            else:
                await projects.create(db, row)
            await tags.replace(db, row["id"], given.get("tags", []))
            row["tags"] = await tags.of(db, row["id"])
        return {"project": shown(call, row)}

    def _new_row(self, call: Call, given: dict[str, Any]) -> Row:
        known, extra = rows.split_extra(given, COLUMNS)
        is_domain = given.get("is_domain", False)
        domain_id = given.get("domain_id") or ""
        if is_domain:
            if domain_id or given.get("parent_id"):
                raise bad_request("A project that acts as a domain has no domain and no parent.")
        elif not domain_id:
            domain_id = own_domain(call.identity)
        return {
            "id": self._authority.new_id(),
            "domain_id": domain_id,
            "parent_id": given.get("parent_id") or domain_id,
            "name": known["name"],
            "description": known.get("description") or "",
            "enabled": known.get("enabled", True),
            "is_domain": is_domain,
            "options": immutable.merged({}, known.get("options", {})),
            "extra": {name: extra[name] for name in extra if name not in UNSETTABLE},
        }

    async def show(self, call: Call) -> dict[str, Any]:
        """Show a project, with its parents and subtree when asked."""
        async with self._database.read() as db:
            row = await projects.get(db, call.variables["project_id"])
            call.allow(project=policy_target(row))
            body = shown(call, {**row, "tags": await tags.of(db, row["id"])})
            query = call.query
            for field in ("parents", "subtree"):
                as_list, as_ids = query.flag(f"{field}_as_list"), query.flag(f"{field}_as_ids")
                if as_list and as_ids:
                    raise bad_request(f"{field}_as_list and {field}_as_ids exclude each other.")
                if not as_list and not as_ids:
                    continue
                find = projects.parents if field == "parents" else projects.subtree
                found = await tags.joined(db, await find(db, row))
                if as_list:
                    body[field] = [
                        {"project": shown(call, one)} for one in found if not one["is_domain"]
                    ]
                else:
                    body[field] = nested(row["id"], found, field)
        return {"project": body}

    async def update(self, call: Call) -> dict[str, Any]:
        """Change a project."""
        given = call.part("project")
        known, extra = rows.split_extra(given, COLUMNS)
        async with self._database.write() as db:
            row = await projects.get(db, call.variables["project_id"])
            call.allow(project=policy_target(row))
            immutable.check_update("project", row, given)
            check_fixed(row, given)
            if "description" in known:
                known["description"] = known["description"] or ""
            if "options" in known:
                known["options"] = immutable.merged(row["options"], known["options"])
            more = {name: extra[name] for name in extra if name not in UNSETTABLE}
            known["extra"] = {**row["extra"], **more}
            if row["is_domain"]:
                await domains.update(db, row, known, self._authority.now_us())
            else:
                await projects.update(db, row, known, self._authority.now_us())
            if "tags" in given:
                await tags.replace(db, row["id"], given["tags"])
            known["tags"] = await tags.of(db, row["id"])
        return {"project": shown(call, {**row, **known})}

    async def delete(self, call: Call) -> None:
        """Remove a project."""
        async with self._database.write() as db:
            row = await projects.get(db, call.variables["project_id"])
            call.allow(project=policy_target(row))
            immutable.check_delete("project", row)
            if row["is_domain"]:
                await domains.delete(db, row, self._authority.now_us())
            else:
                await projects.delete(db, row, self._authority.now_us())


def check_fixed(row: Row, given: dict[str, Any]) -> None:
    """Refuse to move a project. Raises Fault 400 (domain, nature) or 403 (parent)."""
    if "domain_id" in given and (given["domain_id"] or "") != row["domain_id"]:
        raise bad_request("Cannot change Domain ID.")
    if "is_domain" in given and given["is_domain"] != row["is_domain"]:
        raise bad_request("Update of `is_domain` is not allowed.")
    if "parent_id" in given and (given["parent_id"] or "") != row["parent_id"]:
        raise forbidden("Update of `parent_id` is not allowed.")


def nested(project_id: str, found: list[Row], field: str) -> dict[str, Any] | None:
    """Ids of parents or of a subtree as dictionaries in each other, None where it ends."""
    if field == "parents":
        line: dict[str, Any] | None = None
        for row in reversed(found):
            line = {row["id"]: line}
        return line
    below = {
        row["id"]: nested(row["id"], found, field)
        for row in found
        if row["parent_id"] == project_id
    }
    return below or None
