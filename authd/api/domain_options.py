"""`/v3/domains/{domain_id}/config`, the defaults, and the password rules that everybody may read."""

from __future__ import annotations

from typing import Any

from authd import domain_options, domains
from authd.authority import Authority
from core.api.call import Answer, Call
from core.api.route import Route
from core.api.shape import Shape, plain_object
from core.database import Connection

BODY = Shape({"config": plain_object}, ["config"], more=False)
COMPLIANCE = ("password_regex", "password_regex_description")


class DomainOptions:
    """Operations on the configuration of domains."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._database = authority.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, default = "/v3/domains/{domain_id}/config", "/v3/domains/config"
        rule = "identity:{}_domain_config"
        found = [Route("PUT", top, rule.format("create"), self.replace, 201, BODY)]
        for tail in ("", "/{group}", "/{group}/{option}"):
            found += [
                Route("GET", top + tail, rule.format("get"), self.show),
                Route("PATCH", top + tail, rule.format("update"), self.update, 200, BODY),
                Route("DELETE", top + tail, rule.format("delete"), self.delete, 204),
                Route(
                    "GET", f"{default}{tail}/default", rule.format("get") + "_default", self.default
                ),
            ]
        for tail in ("", "/{option}"):
            path = f"{top}/security_compliance{tail}"
            found.append(
                Route(
                    "GET", path, "identity:get_security_compliance_domain_config", self.compliance
                )
            )
        return found

    async def _domain_id(self, db: Connection, call: Call) -> str:
        call.allow()
        return str((await domains.get(db, call.variables["domain_id"]))["id"])

    async def replace(self, call: Call) -> Answer:
        """Give a domain exactly these options."""
        async with self._database.write() as db:
            domain_id = await self._domain_id(db, call)
            given = call.part("config")
            domain_options.check(given)
            before = await domain_options.of(db, domain_id)
            await domain_options.remove(db, domain_id)
            await domain_options.store(db, self._authority.vault, domain_id, given)
            shown = await domain_options.of(db, domain_id)
        return Answer({"config": shown}, 200 if before else 201)

    async def show(self, call: Call) -> dict[str, Any]:
        """Show a domain's options: all, a group's, or one."""
        async with self._database.read() as db:
            found = await domain_options.of(db, await self._domain_id(db, call))
        section, option = call.variables.get("group"), call.variables.get("option")
        return {"config": domain_options.part(found, section, option)}

    async def update(self, call: Call) -> dict[str, Any]:
        """Change some of a domain's options: within what the path names."""
        section, option = call.variables.get("group"), call.variables.get("option")
        async with self._database.write() as db:
            domain_id = await self._domain_id(db, call)
            given = call.part("config")
            if section is not None:
                domain_options.check_name(section, option)
                given = within(given, section, option)
                domain_options.part(await domain_options.of(db, domain_id), section, option)
            domain_options.check(given)
            await domain_options.store(db, self._authority.vault, domain_id, given)
            shown = await domain_options.of(db, domain_id)
        return {"config": shown}

    async def delete(self, call: Call) -> None:
        """Forget a domain's options: all, a group's, or one."""
        section, option = call.variables.get("group"), call.variables.get("option")
        async with self._database.write() as db:
            domain_id = await self._domain_id(db, call)
            if section is not None:
                domain_options.part(await domain_options.of(db, domain_id), section, option)
            await domain_options.remove(db, domain_id, section, option)

    async def default(self, call: Call) -> dict[str, Any]:
        """Show the defaults: all, a group's, or one."""
        call.allow()
        section, option = call.variables.get("group"), call.variables.get("option")
        return {"config": domain_options.part(domain_options.DEFAULTS, section, option)}

    async def compliance(self, call: Call) -> dict[str, Any]:
        """Show what passwords must look like, which counts for all domains alike."""
        option = call.variables.get("option")
        async with self._database.read() as db:
            domain_id = await self._domain_id(db, call)
        if domain_id != domains.DEFAULT:
            raise domain_options.invalid(
                "reading security compliance information for any domain other than the default domain is"
                " not allowed or supported"
            )
        settings = self._authority.settings
        found = {name: getattr(settings, name) or None for name in COMPLIANCE}
        if option is None:
            return {"config": {"security_compliance": found}}
        if option not in found:
            raise domain_options.invalid(f"{option} is not among {', '.join(COMPLIANCE)}")
        return {"config": {option: found[option]}}


def within(given: dict[str, Any], section: str, option: str | None) -> dict[str, Any]:
    """A body as a whole configuration, refused when it reaches beyond its path. Raises Fault 403."""
    if option is None:
        if set(given) != {section}:
            raise domain_options.invalid(f"the request must contain exactly the group {section}")
        return given
    if set(given) == {section} and isinstance(given[section], dict):
        given = given[section]
    if set(given) != {option}:
        raise domain_options.invalid(f"the request must contain exactly the option {option}")
    return {section: given}
