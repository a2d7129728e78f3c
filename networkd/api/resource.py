"""What the operations on one kind of thing have in common: list, show, create (one or many), change, remove.

A kind says how its rows are shown, who may see them, and what must hold when they are made, changed and removed. Policy is
asked for the operation, for each attribute that a body names, and for each attribute that is shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlencode

import sqlalchemy as sa

from core import rows
from core.api.call import Call
from core.api.route import Route
from core.database import Connection
from core.rows import Row
from networkd import quotas
from networkd.fault import NetworkFault, absent, bad, malformed
from networkd.listing import Page, View, asked, chosen, page
from networkd.service import Service
from networkd.times import instant
from networkd.values import SHOWN_ONLY, Attribute, array, decoded, plain, text

Conditions = Sequence[sa.ColumnElement[bool]]

BULK_MAX = 500
TAG = plain(255)
MATCH = re.compile(r"revision_number=(\d{1,18})")
PROJECT = re.compile(r"[A-Za-z0-9_-]{0,64}")
STANDARD: Mapping[str, Attribute] = {
    "id": SHOWN_ONLY,
    "project_id": SHOWN_ONLY,
    "tenant_id": SHOWN_ONLY,
    "created_at": SHOWN_ONLY,
    "updated_at": SHOWN_ONLY,
    "revision_number": SHOWN_ONLY,
    "description": Attribute(text(255), ""),
}
NAMED: Mapping[str, Attribute] = {"name": Attribute(text(255), "")}
TAGGED: Mapping[str, Attribute] = {"tags": Attribute(array(TAG, most=50), [], put=False)}


def standard_view(row: Row) -> View:
    """What is shown of everything."""
    return {
        "id": row["id"],
        "project_id": row["project_id"],
        "tenant_id": row["project_id"],
        "description": row["description"],
        "created_at": instant(row["created_us"]),
        "updated_at": instant(row["updated_us"]),
        "revision_number": row["revision_number"],
    }


async def touch(db: Connection, service: Service, table: sa.Table, *names: str) -> None:
    """Something that belongs to a row has changed: its revision grows."""
    await rows.update_where(
        db,
        table,
        {"revision_number": table.c.revision_number + 1, "updated_us": service.now_us()},
        table.c.id.in_(names),
    )


def target_of(view: View) -> dict[str, Any]:
    """Something as policy rules see it."""
    shared = view.get("shared", view.get("_shared"))
    return {**view, "shared": shared, **view.get("_target", {})}


class Resource:
    """One kind of thing."""

    singular: ClassVar[str]
    plural: ClassVar[str]
    path: ClassVar[str]
    what: ClassVar[str]  # in words, for refusals
    table: ClassVar[sa.Table]
    attributes: ClassVar[Mapping[str, Attribute]]
    pushed: ClassVar[
        tuple[str, ...]
    ] = ()  # attributes with columns of their own, worth a filter in SQL
    quota: ClassVar[str] = ""
    rule: ClassVar[str] = ""  # of policy, where it is not the singular
    updatable: ClassVar[bool] = True

    def __init__(self, service: Service) -> None:
        self.service = service
        self.about = self.rule or self.singular
        names = service.policy.names
        self._hidden = [
            (name, f"get_{self.about}:{name}")
            for name in self.attributes
            if name != "tags" and f"get_{self.about}:{name}" in names
        ]

    def routes(self) -> list[Route]:
        """What is served."""
        single, one, many = f"{self.path}/{{id}}", self.about, self.path
        found = [
            Route("GET", many, f"get_{one}", self.list),
            Route("POST", many, f"create_{one}", self.post, 201, _object),
            Route("GET", single, f"get_{one}", self.show),
            Route("DELETE", single, f"delete_{one}", self.remove, 204),
        ]
        if self.updatable:
            found.append(Route("PUT", single, f"update_{one}", self.put, 200, _object))
        return found

    # what a kind says

    def sight(self, call: Call) -> Conditions:
        """Which rows might be seen by a caller who is no administrator; policy has the last word."""
        return [self.table.c.project_id == call.identity.project_id]

    def within(self, call: Call) -> Conditions:
        """What is looked at at all."""
        del call
        return []

    async def shown(self, db: Connection, found: list[Row]) -> list[View]:
        """Rows as the API shows them to an administrator; names with `_` in front are for policy alone."""
        raise NotImplementedError

    async def surroundings(self, db: Connection, call: Call, given: Row) -> dict[str, Any]:
        """What policy must know of a new one beside what the body says."""
        del db, call, given
        return {}

    async def create(self, db: Connection, call: Call, given: Row) -> str:
        """Make one and return its id; `given` is complete and in normal form."""
        raise NotImplementedError

    async def update(self, db: Connection, call: Call, row: Row, given: Row) -> None:
        """Change one."""
        del call
        await rows.update(db, self.table, row["id"], given)

    async def delete(self, db: Connection, call: Call, row: Row) -> None:
        """Remove one."""
        del call
        await rows.delete(db, self.table, self.table.c.id == row["id"])

    async def prepare(self, call: Call) -> None:
        """Before a list or a look."""

    # policy

    def permit(self, call: Call, rule: str, target: Mapping[str, Any]) -> None:
        """Pass a rule, or raise Fault 403."""
        if not call.may(rule, of=target):
            raise NetworkFault(403, "PolicyNotAuthorized", f"rule:{rule} is disallowed by policy")
        call.allowed = True

    def _permit_attributes(
        self, call: Call, verb: str, given: Mapping[str, Any], target: Mapping[str, Any]
    ) -> None:
        names = self.service.policy.names
        for name, value in given.items():
            rule = f"{verb}_{self.about}:{name}"
            if rule not in names:
                continue
            if verb == "create" and value == self.attributes[name].default:
                continue
            self.permit(call, rule, target)
            items = value if isinstance(value, list) else [value]
            parts = {part for item in items if isinstance(item, dict) for part in item}
            for part in sorted(parts):
                if f"{rule}:{part}" in names:
                    self.permit(call, f"{rule}:{part}", target)

    def _visible(self, call: Call, view: View, known: dict[Any, bool]) -> View | None:
        """What a caller may see of something, or None; `known` remembers answers within a request."""
        target = target_of(view)

        def may(rule: str) -> bool:
            about = (
                rule,
                target.get("project_id"),
                target["shared"],
                target.get("router:external"),
                repr(view.get("_target")),
            )
            if about not in known:
                known[about] = call.may(rule, of=target)
            return known[about]

        if not may(f"get_{self.about}"):
            return None
        hidden = [name for name, rule in self._hidden if not may(rule)]
        return {name: value for name, value in view.items() if name not in hidden}

    # rows

    def new_row(self, given: Mapping[str, Any]) -> Row:
        """The standard columns of a new row, with those of `given` that the table has."""
        now_us = self.service.now_us()
        row: Row = {
            "id": self.service.new_id(),
            "name": "",
            "description": "",
            "tags": [],
            "created_us": now_us,
            "updated_us": now_us,
            "revision_number": 1,
        }
        row.update({name: value for name, value in given.items() if name in self.table.c})
        return row

    async def row(self, db: Connection, call: Call, name: str) -> Row:
        """A row that the caller may see. Raises Fault 404."""
        row, _ = await self.seen(db, call, name)
        return row

    async def seen(self, db: Connection, call: Call, name: str) -> tuple[Row, View]:
        """A row that the caller may see, and all that is shown of it."""
        call.absence_is_open = True
        wanted = sa.select(self.table).where(self.table.c.id == name, *self.within(call))
        row = await rows.first(db, wanted)
        if row is not None:
            view = (await self.shown(db, [row]))[0]
            if self._visible(call, view, {}) is not None:
                return row, view
        raise absent(self.what, name)

    async def answer(self, db: Connection, call: Call, name: str) -> View:
        """A row as its caller may see it, after a change."""
        row = await rows.by_id(db, self.table, name)
        assert row is not None
        view = (await self.shown(db, [row]))[0]
        return chosen(self._visible(call, view, {}) or view, frozenset())

    # operations

    async def list(self, call: Call) -> dict[str, Any]:
        """A page of what the caller may see."""
        call.allowed = True
        known = self.known()
        wanted = asked(call.query.fields, known)
        await self.prepare(call)
        conditions = list(self.within(call))
        if not call.may("context_is_admin"):
            conditions.append(sa.or_(*self.sight(call)))
        for name, values in wanted.filters.items():
            column = "project_id" if name == "tenant_id" else name
            if column in {"id", "project_id", *self.pushed}:
                conditions.append(self.table.c[column].in_(values))
        remembered: dict[Any, bool] = {}
        async with self.service.database.read() as db:
            found = await rows.rows(db, sa.select(self.table).where(*conditions))
            views = [
                view
                for one in await self.shown(db, found)
                if (view := self._visible(call, one, remembered)) is not None
            ]
        return listed(call, self.plural, page(views, wanted))

    def known(self) -> set[str]:
        """Names of all attributes."""
        return set(self.attributes)

    async def show(self, call: Call) -> dict[str, Any]:
        """One of them."""
        await self.prepare(call)
        async with self.service.database.read() as db:
            _, view = await self.seen(db, call, call.variables["id"])
        call.allowed = True
        fields = frozenset(value for name, value in call.query.fields if name == "fields")
        return {self.singular: chosen(self._visible(call, view, {}) or view, fields)}

    async def post(self, call: Call) -> dict[str, Any]:
        """Make one, or several in one transaction."""
        call.absence_is_open = True
        await self.prepare(call)
        if set(call.body) == {self.plural}:
            items = call.body[self.plural]
            if not isinstance(items, list) or not items:
                raise malformed("Resources required")
            if len(items) > BULK_MAX:
                raise bad(f"At most {BULK_MAX} can be made at once.")
            async with self.service.write() as db:
                made = [await self._make(db, call, item) for item in items]
            return {self.plural: made}
        async with self.service.write() as db:
            return {self.singular: await self._make(db, call, self._inside(call))}

    def _inside(self, call: Call) -> Any:
        if set(call.body) != {self.singular}:
            raise malformed(f"Unable to find '{self.singular}' in request body")
        return call.body[self.singular]

    async def _make(self, db: Connection, call: Call, item: Any) -> View:
        if not isinstance(item, dict):
            raise malformed(f"Invalid input for {self.singular}: it is not an object.")
        if set(item) == {self.singular} and isinstance(item[self.singular], dict):
            item = item[self.singular]  # how bulk requests were once written
        body = dict(item)
        project_id = own_project(call, body)
        given = decoded(self.attributes, body, new=True)
        given["project_id"] = project_id
        around = await self.surroundings(db, call, given)
        target = {**given, "tenant_id": project_id, **around}
        self.permit(call, f"create_{self.about}", target)
        named = {name: given[name] for name in body}
        self._permit_attributes(call, "create", named, target)
        if self.quota:
            await quotas.check(db, project_id, self.quota)
        return await self.answer(db, call, await self.create(db, call, given))

    async def put(self, call: Call) -> dict[str, Any]:
        """Change one."""
        item = self._inside(call)
        if not isinstance(item, dict):
            raise malformed(f"Invalid input for {self.singular}: it is not an object.")
        given = decoded(self.attributes, item, new=False)
        async with self.service.write() as db:
            row, view = await self.seen(db, call, call.variables["id"])
            call.absence_is_open = False
            target = {**target_of(view), **{n: v for n, v in given.items() if n != "shared"}}
            self.permit(call, f"update_{self.about}", {**target, "project_id": row["project_id"]})
            self._permit_attributes(call, "update", given, target)
            check_revision(call, row)
            await self.update(db, call, row, given)
            await touch(db, self.service, self.table, row["id"])
            return {self.singular: await self.answer(db, call, row["id"])}

    async def remove(self, call: Call) -> None:
        """Remove one."""
        async with self.service.write() as db:
            row, view = await self.seen(db, call, call.variables["id"])
            self.permit(call, f"delete_{self.about}", target_of(view))
            check_revision(call, row)
            await self.delete(db, call, row)


def _object(value: Any, where: str) -> None:
    del where
    assert isinstance(value, dict), "bodies are objects"


def own_project(call: Call, body: dict[str, Any]) -> str:
    """The project that a new thing belongs to; its names are taken out of the body.

    Raises Fault 400 when the two names differ, or name another project than the caller's without the right to.
    """
    both = [body.pop(name, None) for name in ("project_id", "tenant_id")]
    given = [value for value in both if value is not None]
    own = call.identity.project_id
    if not given:
        if not own:
            raise malformed("Running without a project: project_id must be specified.")
        return own
    if len(given) > 1 and given[0] != given[1]:
        raise bad("'project_id' and 'tenant_id' do not match.", "HTTPBadRequest")
    wanted = given[0]
    if not isinstance(wanted, str) or not PROJECT.fullmatch(wanted):
        raise malformed("Invalid input for project_id: it is not the id of a project.")
    if wanted != own and not (call.may("context_is_admin") or call.may("service_api")):
        raise malformed(
            "Specifying 'project_id' or 'tenant_id' other than the authenticated project in request"
            " requires admin privileges"
        )
    return wanted


def check_revision(call: Call, row: Row) -> None:
    """`If-Match: revision_number=N` holds. Raises Fault 412."""
    condition = call.request.header("if-match")
    if condition is None:
        return
    found = MATCH.fullmatch(condition.strip().strip('"'))
    if found is None:
        raise bad("The If-Match header must be revision_number=NUMBER.")
    if int(found[1]) != row["revision_number"]:
        raise NetworkFault(
            412,
            "RevisionNumberConstraintFailed",
            f"Constrained to {found[1]}, but current revision is {row['revision_number']}",
        )


def listed(call: Call, plural: str, found: Page) -> dict[str, Any]:
    """The body of a list, with links when the caller asked for pages."""
    fields = frozenset(value for name, value in call.query.fields if name == "fields" and value)
    body: dict[str, Any] = {plural: [chosen(view, fields) for view in found.views]}
    if not call.query.get("limit"):
        return body
    own = call.base + call.route.path.format(**call.variables)
    rest = [pair for pair in call.query.fields if pair[0] not in {"marker", "page_reverse"}]
    links = []
    if found.more_after:
        place = [("marker", found.views[-1]["id"])] if found.views else []
        links.append({"rel": "next", "href": f"{own}?{urlencode([*rest, *place])}"})
    if found.more_before:
        place = [("marker", found.views[0]["id"])] if found.views else []
        query = urlencode([*rest, *place, ("page_reverse", "True")])
        links.append({"rel": "previous", "href": f"{own}?{query}"})
    if links:
        body[f"{plural}_links"] = links
    return body
