"""`GET /v3/role_assignments`: who has which role where, as granted or as it takes effect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from authd import assignments, grants, groups, projects, roles, users
from authd.assignments import Assignment, World
from authd.authority import Authority
from core import rows
from core.api.call import Call
from core.api.fault import bad_request
from core.api.query import Query
from core.api.route import Route
from core.database import Connection
from core.rows import Row

TABLE = grants.TABLE
INHERITED = "scope.OS-INHERIT:inherited_to"
# Filters of which only one may be given: a grant has one actor and one target.
EXCLUSIVE = (
    ("scope.domain.id", "scope.project.id", "Specify a domain or project, not both"),
    ("scope.domain.id", "scope.system", "Specify system or domain, not both"),
    ("scope.project.id", "scope.system", "Specify system or project, not both"),
    ("user.id", "group.id", "Specify a user or group, not both"),
)


class RoleAssignments:
    """The one operation on role assignments."""

    def __init__(self, authority: Authority) -> None:
        self._database = authority.database

    def routes(self) -> list[Route]:
        """What is served."""
        return [Route("GET", "/v3/role_assignments", "identity:list_role_assignments", self.list)]

    async def list(self, call: Call) -> dict[str, Any]:
        """List assignments, filtered; a domain's reader sees those in their domain."""
        query = call.query
        async with self._database.read() as db:
            await self._allow(db, call)
            check_filters(query)
            subtree = None
            if query.flag("include_subtree"):
                top = await projects.get(db, query.get("scope.project.id") or "")
                subtree = [top["id"], *(row["id"] for row in await projects.subtree(db, top))]
            found = await granted(db, query, subtree)
            if query.flag("effective"):
                found = assignments.effective(found, await world_of(db, found))
            found = [one for one in found if fits(one, query, subtree)]
            if call.identity.domain_id:
                found = await within(db, found, call.identity.domain_id)
            names = await Names.of(db, found) if query.flag("include_names") else None
        own = call.url("v3", "role_assignments")
        if call.request.query:
            own += f"?{call.request.query}"
        return {
            "role_assignments": [shown(call, one, names) for one in found],
            "links": {"self": own, "next": None, "previous": None},
        }

    async def _allow(self, db: Connection, call: Call) -> None:
        if not call.query.flag("include_subtree"):
            call.allow(domain_id=call.identity.domain_id or None)
            return
        project_id = call.query.get("scope.project.id")
        row = await projects.get(db, project_id) if project_id else {"domain_id": None}
        call.allow("identity:list_role_assignments_for_tree", domain_id=row["domain_id"])
        if not project_id:
            raise bad_request(
                "scope.project.id must be specified if include_subtree is also specified"
            )


def check_filters(query: Query) -> None:
    """Refuse filters that contradict each other. Raises Fault 400."""
    for first, second, message in EXCLUSIVE:
        if query.get(first) and query.get(second):
            raise bad_request(message)
    if query.flag("effective"):
        if query.get("group.id"):
            raise bad_request(
                "Combining effective and group filter will always result in an empty list."
            )
        if query.get(INHERITED) and query.get("scope.domain.id"):
            raise bad_request(
                "Combining effective, domain and inherited filters will always result in an empty list."
            )


async def granted(
    db: Connection, query: Query, subtree: Sequence[str] | None
) -> Sequence[Assignment]:
    """The grants that the filters can be about; `fits` has the last word."""
    conditions: list[sa.ColumnElement[bool]] = []
    is_effective = query.flag("effective")
    user_id, group_id = query.get("user.id"), query.get("group.id")
    if user_id:
        conditions.append(grants.is_actor(user_id))
    if group_id:
        conditions += [TABLE.c.actor == "group", TABLE.c.actor_id == group_id]
    if query.get("scope.system"):
        conditions.append(TABLE.c.target == "system")
    for kind in ("project", "domain"):
        target_id = query.get(f"scope.{kind}.id")
        if target_id and is_effective and subtree is None:
            conditions.append(await grants.reaches(db, kind, target_id))
        elif target_id and not is_effective:
            conditions += [TABLE.c.target == kind, TABLE.c.target_id.in_(subtree or [target_id])]
    statement = sa.select(TABLE).where(*conditions)
    found = [
        Assignment(
            row["actor"],
            row["actor_id"],
            row["target"],
            row["target_id"],
            row["role_id"],
            row["inherited"],
        )
        for row in await rows.rows(db, statement)
    ]
    return sorted(found, key=lambda one: one[:6])


async def world_of(db: Connection, found: Sequence[Assignment]) -> World:
    """What is needed to make grants effective."""
    members = {
        one.actor_id: await groups.member_ids(db, one.actor_id)
        for one in found
        if one.actor == "group"
    }
    below: dict[str, Sequence[str]] = {}
    for one in found:
        if one.inherited and one.target_id not in below:
            top = await rows.by_id(db, projects.TABLE, one.target_id)
            tree = await projects.subtree(db, top) if top is not None else []
            below[one.target_id] = [row["id"] for row in tree]
    implied: dict[str, list[str]] = {}
    for row in await rows.rows(db, sa.select(roles.IMPLIED)):
        implied.setdefault(row["prior_role_id"], []).append(row["implied_role_id"])
    local = sa.select(roles.TABLE.c.id).where(roles.TABLE.c.domain_id != "")
    return World(
        members, below, implied, frozenset(row["id"] for row in await rows.rows(db, local))
    )


def fits(one: Assignment, query: Query, subtree: Sequence[str] | None) -> bool:
    """Whether an assignment is among those that the filters ask for."""
    wanted = query.exact("user.id", "group.id", "role.id", "scope.domain.id", "scope.project.id")
    if "user.id" in wanted and (one.actor, one.actor_id) != ("user", wanted["user.id"]):
        return False
    if "group.id" in wanted and (one.actor, one.actor_id) != ("group", wanted["group.id"]):
        return False
    if wanted.get("role.id", one.role_id) != one.role_id:
        return False
    if "scope.domain.id" in wanted:
        if (one.target, one.target_id) != ("domain", wanted["scope.domain.id"]):
            return False
    elif "scope.project.id" in wanted:
        targets = subtree or [wanted["scope.project.id"]]
        if one.target != "project" or one.target_id not in targets:
            return False
    if query.get("scope.system") and one.target != "system":
        return False
    inherited = query.get(INHERITED)
    return inherited is None or (inherited == "projects") == (
        one.inherited or one.via_target is not None
    )


async def within(
    db: Connection, found: Sequence[Assignment], domain_id: str
) -> Sequence[Assignment]:
    """Those on a domain and on its projects."""
    ids = {
        row["id"]
        for row in await rows.rows(
            db,
            sa.select(projects.TABLE.c.id).where(
                (projects.TABLE.c.domain_id == domain_id) | (projects.TABLE.c.id == domain_id)
            ),
        )
    }
    return [one for one in found if one.target_id in ids]


class Names:
    """Names of everything in a list, looked up once each."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Row] = {}

    @classmethod
    async def of(cls, db: Connection, found: Sequence[Assignment]) -> Names:
        """Look up whatever is in `found`, and the domains of all that."""
        names = cls()
        tables = {
            "user": users.TABLE,
            "group": groups.TABLE,
            "role": roles.TABLE,
            "project": projects.TABLE,
            "domain": projects.TABLE,
        }
        wanted = {(one.actor, one.actor_id) for one in found}
        wanted |= {(one.target, one.target_id) for one in found if one.target != "system"}
        wanted |= {("role", one.role_id) for one in found}
        for kind, name in wanted:
            row = await rows.by_id(db, tables[kind], name)
            if row is not None:
                names._rows[kind, name] = row
        for domain_id in {row["domain_id"] for row in names._rows.values()} - {""}:
            row = await rows.by_id(db, projects.TABLE, domain_id)
            if row is not None:
                names._rows["domain", domain_id] = row
        return names

    def shown(self, kind: str, name: str) -> dict[str, Any]:
        """Id, name and domain of something."""
        row = self._rows.get((kind, name))
        if row is None:
            return {"id": name}
        body: dict[str, Any] = {"id": name, "name": row["name"]}
        domain_id = row["domain_id"]
        if domain_id and kind != "domain":
            body["domain"] = self.shown("domain", domain_id)
        return body


def shown(call: Call, one: Assignment, names: Names | None) -> dict[str, Any]:
    """An assignment as clients see it, with a link to the grant that it comes from."""

    def ref(kind: str, name: str) -> dict[str, Any]:
        return names.shown(kind, name) if names else {"id": name}

    scope: dict[str, Any] = {"system": {"all": True}}
    if one.target != "system":
        scope = {one.target: ref(one.target, one.target_id)}
    if one.inherited or one.via_target:
        scope["OS-INHERIT:inherited_to"] = "projects"
    links = {"assignment": call.url("v3", *link_of(one))}
    if one.via_group:
        links["membership"] = call.url("v3", "groups", one.via_group, "users", one.actor_id)
    if one.via_role:
        links["prior_role"] = call.url("v3", "prior_role", one.via_role, "implies", one.role_id)
    return {
        "scope": scope,
        one.actor: ref(one.actor, one.actor_id),
        "role": ref("role", one.role_id),
        "links": links,
    }


def link_of(one: Assignment) -> Sequence[str]:
    """Path segments of the grant behind an assignment."""
    kind, target_id = one.via_target or (one.target, one.target_id)
    place = ["system"] if kind == "system" else [f"{kind}s", target_id]
    who = ["groups", one.via_group] if one.via_group else [f"{one.actor}s", one.actor_id]
    path = [*place, *who, "roles", one.via_role or one.role_id]
    if one.inherited or one.via_target:
        return ["OS-INHERIT", *path, "inherited_to_projects"]
    return path
