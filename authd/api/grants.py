"""Roles of users and groups on projects, domains and the system, plain and inherited (OS-INHERIT).

`/v3/{projects,domains}/{id}/{users,groups}/{id}/roles[/{role_id}]`, `/v3/system/{users,groups}/{id}/roles[/…]` and
`/v3/OS-INHERIT/…/inherited_to_projects`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from authd import application_credentials, domains, grants, groups, projects, roles, users
from authd.api import roles as role_api
from authd.authority import Authority
from core.api.call import Call
from core.api.fault import bad_request, forbidden
from core.api.listing import collection
from core.api.route import Handler, Route
from core.database import Connection
from core.rows import Row

ACTORS = ("user", "group")


class Subject(NamedTuple):
    """Who gets what, from a path, all of it looked up."""

    actor: grants.Actor
    target: grants.Target
    target_domain_id: str
    role: Row | None

    @property
    def role_id(self) -> str:
        """The role's id."""
        assert self.role is not None
        return str(self.role["id"])


class Grants:
    """Operations on grants. One method serves all combinations; the path says which it is."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._database = authority.database

    def routes(self) -> list[Route]:
        """What is served."""
        found: list[Route] = []
        for actor in ACTORS:
            whose = f"{actor}s/{{{actor}_id}}/roles"
            for target in ("project", "domain"):
                top = f"/v3/{target}s/{{{target}_id}}/{whose}"
                found.append(Route("GET", top, "identity:list_grants", self.list))
                found += self._of(top + "/{role_id}", "identity:{}_grant")
                below = f"/v3/OS-INHERIT/{target}s/{{{target}_id}}/{whose}"
                found.append(
                    Route(
                        "GET", f"{below}/inherited_to_projects", "identity:list_grants", self.list
                    )
                )
                found += self._of(below + "/{role_id}/inherited_to_projects", "identity:{}_grant")
            top = f"/v3/system/{whose}"
            found.append(Route("GET", top, f"identity:list_system_grants_for_{actor}", self.list))
            found += self._of(top + "/{role_id}", f"identity:{{}}_system_grant_for_{actor}")
        return found

    def _of(self, path: str, rule: str) -> list[Route]:
        def route(method: str, verb: str, handler: Handler) -> Route:
            return Route(method, path, rule.format(verb), handler, 204)

        return [
            route("PUT", "create", self.create),
            route("GET", "check", self.check),
            route("HEAD", "check", self.check),
            route("DELETE", "revoke", self.revoke),
        ]

    async def _subject(self, db: Connection, call: Call) -> Subject:
        """What a path names, when it is all there and the rule passes. Raises Fault 403 or 404."""
        names = call.variables
        seen: dict[str, Any] = {}
        if "user_id" in names:
            actor = ("user", names["user_id"])
            seen["user"] = {"domain_id": (await users.get(db, actor[1]))["domain_id"]}
        else:
            actor = ("group", names["group_id"])
            seen["group"] = {"domain_id": (await groups.get(db, actor[1]))["domain_id"]}
        target, domain_id = grants.SYSTEM, ""
        if "project_id" in names:
            row = await projects.get(db, names["project_id"])
            target, domain_id = ("project", row["id"]), row["domain_id"] or row["id"]
            seen["project"] = {"domain_id": domain_id}
        elif "domain_id" in names:
            row = await domains.get(db, names["domain_id"])
            target, domain_id = ("domain", row["id"]), row["id"]
            seen["domain"] = {"id": domain_id}
        role = await roles.get(db, names["role_id"]) if "role_id" in names else None
        if role is not None:
            seen["role"] = {"name": role["name"], "domain_id": role["domain_id"] or None}
        call.allow(**seen)
        return Subject(actor, target, domain_id, role)

    def _inherited(self, call: Call) -> bool:
        return call.route.path.startswith("/v3/OS-INHERIT/")

    async def list(self, call: Call) -> dict[str, Any]:
        """List the roles that were given just here."""
        async with self._database.read() as db:
            subject = await self._subject(db, call)
            found = await grants.given(
                db, subject.actor, subject.target, inherited=self._inherited(call)
            )
        return collection(call, "roles", found, role_api.shown, "name")

    async def create(self, call: Call) -> None:
        """Give a role."""
        async with self._database.write() as db:
            subject = await self._subject(db, call)
            check_domain(subject)
            await grants.grant(
                db,
                subject.actor,
                subject.target,
                subject.role_id,
                inherited=self._inherited(call),
            )

    async def check(self, call: Call) -> None:
        """Whether a role was given just here."""
        async with self._database.read() as db:
            subject = await self._subject(db, call)
            await grants.check(
                db,
                subject.actor,
                subject.target,
                subject.role_id,
                inherited=self._inherited(call),
            )

    async def revoke(self, call: Call) -> None:
        """Take a role away, and what a user had made of it."""
        now_us = self._authority.now_us()
        async with self._database.write() as db:
            subject = await self._subject(db, call)
            await grants.revoke(
                db,
                subject.actor,
                subject.target,
                subject.role_id,
                inherited=self._inherited(call),
                now_us=now_us,
            )
            for user_id in await grants.users_of(db, subject.actor):
                await application_credentials.forget_unfounded(db, user_id, now_us)


def check_domain(subject: Subject) -> None:
    """A domain's role is given on projects of that domain only, never on the system. Raises Fault 400 or 403."""
    assert subject.role is not None
    domain_id = subject.role["domain_id"]
    if not domain_id:
        return
    if subject.target == grants.SYSTEM:
        raise bad_request(
            f"Role {subject.role_id} is a domain-specific role. Unable to use a domain-specific role in a"
            " system assignment."
        )
    if subject.target[0] == "project" and domain_id != subject.target_domain_id:
        raise forbidden(
            f"Project {subject.target[1]} must be in the same domain as the role {subject.role_id} being"
            " assigned."
        )
