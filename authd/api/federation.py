"""`/v3/OS-FEDERATION/…`: identity providers, protocols, mappings, service providers, and log-in through them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from authd import domains, federation, mapping, revocations
from authd.api.auth import groups_of, issued
from authd.api.domains import shown as domain_shown
from authd.api.projects import shown as project_shown
from authd.authority import Authority
from authd.reachable import reachable
from authd.scope import Scope
from core import rows
from core.api.call import Answer, Call
from core.api.fault import bad_request, conflict, not_found, unauthorized
from core.api.listing import collection
from core.api.route import OWN, PUBLIC, Route
from core.api.shape import (
    DESCRIPTION,
    ID,
    URL,
    Attributes,
    Shape,
    array,
    boolean,
    integer,
    nullable,
    text,
)
from core.database import Connection
from core.revocation import PROVIDER
from core.rows import Row

BASE = "/v3/OS-FEDERATION"
IDP, MAPPING, SERVICE = "identity_provider", "mapping", "service_provider"
MINUTES_MAX = 60 * 24 * 365
IDP_ATTRIBUTES: Attributes = {
    "id": text(1, 64),  # some clients say again what the path says
    "description": nullable(DESCRIPTION),
    "enabled": boolean,
    "domain_id": nullable(ID),
    "remote_ids": nullable(array(text(1, 255), most=100, unique=True)),
    "authorization_ttl": nullable(integer(0, MINUTES_MAX)),
}
IDP_BODY = Shape({IDP: Shape(IDP_ATTRIBUTES, more=False)}, [IDP], more=False)
MAPPING_ATTRIBUTES: Attributes = {
    "id": text(1, 64),
    "rules": mapping.RULES,
    "schema_version": nullable(text(1, 5)),
}
MAPPING_BODY = Shape(
    {MAPPING: Shape(MAPPING_ATTRIBUTES, ["rules"], more=False)}, [MAPPING], more=False
)
PROTOCOL_ATTRIBUTES: Attributes = {
    "id": text(1, 64),
    "mapping_id": text(1, 64),
    "remote_id_attribute": nullable(text(1, 64)),
}
PROTOCOL_BODY = Shape(
    {"protocol": Shape(PROTOCOL_ATTRIBUTES, ["mapping_id"], more=False)}, ["protocol"], more=False
)
PROTOCOL_CHANGE = Shape(
    {"protocol": Shape(PROTOCOL_ATTRIBUTES, more=False, least=1)}, ["protocol"], more=False
)
SERVICE_ATTRIBUTES: Attributes = {
    "id": text(1, 64),
    "auth_url": URL,
    "sp_url": URL,
    "description": nullable(DESCRIPTION),
    "enabled": boolean,
    "relay_state_prefix": nullable(text(0, 256)),
}
SERVICE_BODY = Shape(
    {SERVICE: Shape(SERVICE_ATTRIBUTES, ["auth_url", "sp_url"], more=False)}, [SERVICE], more=False
)
SERVICE_CHANGE = Shape(
    {SERVICE: Shape(SERVICE_ATTRIBUTES, more=False, least=1)}, [SERVICE], more=False
)
RELAY_STATE = "ss:mem:"


def idp_shown(call: Call, row: Row) -> dict[str, Any]:
    """An identity provider as clients see it."""
    own = call.url("v3", "OS-FEDERATION", "identity_providers", row["id"])
    return {**row, "links": {"self": own, "protocols": f"{own}/protocols"}}


def mapping_shown(call: Call, row: Row) -> dict[str, Any]:
    """A mapping as clients see it."""
    return {**row, "links": {"self": call.url("v3", "OS-FEDERATION", "mappings", row["id"])}}


def service_shown(call: Call, row: Row) -> dict[str, Any]:
    """A service provider as clients see it."""
    own = call.url("v3", "OS-FEDERATION", "service_providers", row["id"])
    return {**row, "links": {"self": own}}


def protocol_shown(call: Call, row: Row) -> dict[str, Any]:
    """A protocol as clients see it."""
    provider = call.url("v3", "OS-FEDERATION", "identity_providers", row["idp_id"])
    return {
        "id": row["id"],
        "mapping_id": row["mapping_id"],
        "remote_id_attribute": row["remote_id_attribute"],
        "links": {"self": f"{provider}/protocols/{row['id']}", "identity_provider": provider},
    }


class _Named:
    """What clients name themselves: PUT makes, PATCH changes."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._database = authority.database

    async def _one(self, call: Call, table: sa.Table, kind: str) -> Row:
        name = call.variables[f"{kind}_id"]
        async with self._database.read() as db:
            row = await rows.by_id(db, table, name)
        call.allow()
        if row is None:
            raise not_found(kind.replace("_", " "), name)
        return row

    async def _remove(self, call: Call, table: sa.Table, kind: str) -> None:
        call.allow()
        name = call.variables[f"{kind}_id"]
        async with self._database.write() as db:
            if not await rows.delete(db, table, table.c.id == name):
                raise not_found(kind.replace("_", " "), name)


class IdentityProviders(_Named):
    """Identity providers and their protocols."""

    def routes(self) -> list[Route]:
        """What is served."""
        every, one = f"{BASE}/identity_providers", f"{BASE}/identity_providers/{{idp_id}}"
        protocols, protocol = f"{one}/protocols", f"{one}/protocols/{{protocol_id}}"
        rule = "identity:{}_identity_provider".format
        return [
            Route("GET", every, "identity:list_identity_providers", self.list),
            Route("PUT", one, rule("create"), self.create, 201, IDP_BODY),
            Route("GET", one, rule("get"), self.show),
            Route("PATCH", one, rule("update"), self.update, 200, IDP_BODY),
            Route("DELETE", one, rule("delete"), self.delete, 204),
            Route("GET", protocols, "identity:list_protocols", self.list_protocols),
            Route("PUT", protocol, "identity:create_protocol", self.add, 201, PROTOCOL_BODY),
            Route("GET", protocol, "identity:get_protocol", self.show_protocol),
            Route("PATCH", protocol, "identity:update_protocol", self.change, 200, PROTOCOL_CHANGE),
            Route("DELETE", protocol, "identity:delete_protocol", self.remove, 204),
        ]

    async def list(self, call: Call) -> dict[str, Any]:
        """List identity providers."""
        call.allow()
        wanted: Row = dict(call.query.exact("id"))
        if "enabled" in call.query:
            wanted["enabled"] = call.query.flag("enabled")
        async with self._database.read() as db:
            found = await rows.matching(db, federation.PROVIDERS, **wanted)
        return collection(call, "identity_providers", found, idp_shown)

    async def create(self, call: Call) -> dict[str, Any]:
        """Add an identity provider; without a domain it gets one of its own."""
        call.allow()
        given = call.part(IDP)
        row: Row = {
            "id": check_name(call.variables["idp_id"]),
            "domain_id": given.get("domain_id") or "",
            "enabled": given.get("enabled", False),
            "description": given.get("description"),
            "remote_ids": given.get("remote_ids") or [],
            "authorization_ttl": given.get("authorization_ttl"),
        }
        async with self._database.write() as db:
            if await rows.by_id(db, federation.PROVIDERS, row["id"]) is not None:
                raise conflict(f"The identity provider {row['id']} exists.")
            await self._check_remote_ids(db, row)
            if row["domain_id"]:
                await domains.get(db, row["domain_id"])
            else:
                row["domain_id"] = await self._own_domain(db, row["id"])
            await rows.insert(db, federation.PROVIDERS, row)
        return {IDP: idp_shown(call, row)}

    async def _own_domain(self, db: Connection, idp_id: str) -> str:
        domain_id = self._authority.new_id()
        domain = {"id": domain_id, "name": domain_id, "enabled": True, "options": {}, "extra": {}}
        text_ = f"Auto generated federated domain for Identity Provider: {idp_id}"
        await domains.create(db, {**domain, "description": text_})
        return domain_id

    async def _check_remote_ids(self, db: Connection, row: Row) -> None:
        for other in await rows.matching(db, federation.PROVIDERS):
            if other["id"] != row["id"] and set(other["remote_ids"]) & set(row["remote_ids"]):
                raise conflict("A remote id belongs to another identity provider.")

    async def show(self, call: Call) -> dict[str, Any]:
        """Show an identity provider."""
        return {IDP: idp_shown(call, await self._one(call, federation.PROVIDERS, "idp"))}

    async def update(self, call: Call) -> dict[str, Any]:
        """Change an identity provider; disabling it ends the tokens that came through it."""
        call.allow()
        given = without_id(call.part(IDP))
        name = call.variables["idp_id"]
        async with self._database.write() as db:
            row = await rows.by_id(db, federation.PROVIDERS, name)
            if row is None:
                raise not_found("identity provider", name)
            if "domain_id" in given and given["domain_id"] != row["domain_id"]:
                raise bad_request("Cannot change Domain ID.")
            changed = {
                **row,
                **given,
                "remote_ids": given.get("remote_ids", row["remote_ids"]) or [],
            }
            await self._check_remote_ids(db, changed)
            await rows.update(db, federation.PROVIDERS, name, changed)
            if row["enabled"] and not changed["enabled"]:
                await self._revoke(db, name)
        return {IDP: idp_shown(call, changed)}

    async def _revoke(self, db: Connection, name: str) -> None:
        await revocations.add(db, PROVIDER, name, self._authority.now_us())

    async def delete(self, call: Call) -> None:
        """Remove an identity provider; tokens that came through it end."""
        await self._remove(call, federation.PROVIDERS, "idp")
        async with self._database.write() as db:
            await self._revoke(db, call.variables["idp_id"])

    async def list_protocols(self, call: Call) -> dict[str, Any]:
        """List the protocols of an identity provider."""
        call.allow()
        async with self._database.read() as db:
            found = await rows.matching(db, federation.PROTOCOLS, idp_id=call.variables["idp_id"])
        return collection(call, "protocols", found, protocol_shown)

    async def _protocol(self, db: Connection, call: Call) -> Row:
        idp_id, name = call.variables["idp_id"], call.variables["protocol_id"]
        found = await rows.matching(db, federation.PROTOCOLS, idp_id=idp_id, id=name)
        if not found:
            raise not_found("federation protocol", name)
        return found[0]

    async def add(self, call: Call) -> dict[str, Any]:
        """Add a protocol to an identity provider."""
        call.allow()
        given = call.part("protocol")
        row: Row = {
            "id": check_name(call.variables["protocol_id"]),
            "idp_id": call.variables["idp_id"],
            "mapping_id": given["mapping_id"],
            "remote_id_attribute": given.get("remote_id_attribute"),
        }
        async with self._database.write() as db:
            if await rows.by_id(db, federation.PROVIDERS, row["idp_id"]) is None:
                raise not_found("identity provider", row["idp_id"])
            await check_mapping(db, row["mapping_id"])
            known = {"idp_id": row["idp_id"], "id": row["id"]}
            if await rows.matching(db, federation.PROTOCOLS, **known):
                raise conflict(f"The protocol {row['id']} exists.")
            await rows.insert(db, federation.PROTOCOLS, row)
        return {"protocol": protocol_shown(call, row)}

    async def show_protocol(self, call: Call) -> dict[str, Any]:
        """Show a protocol."""
        call.allow()
        async with self._database.read() as db:
            return {"protocol": protocol_shown(call, await self._protocol(db, call))}

    async def change(self, call: Call) -> dict[str, Any]:
        """Change a protocol."""
        call.allow()
        table = federation.PROTOCOLS
        async with self._database.write() as db:
            row = await self._protocol(db, call)
            given = without_id(call.part("protocol"))
            if "mapping_id" in given:
                await check_mapping(db, given["mapping_id"])
            where = (table.c.id == row["id"]) & (table.c.idp_id == row["idp_id"])
            await db.execute(sa.update(table).where(where).values(given))
        return {"protocol": protocol_shown(call, {**row, **given})}

    async def remove(self, call: Call) -> None:
        """Remove a protocol."""
        call.allow()
        table = federation.PROTOCOLS
        async with self._database.write() as db:
            row = await self._protocol(db, call)
            await rows.delete(db, table, table.c.id == row["id"], table.c.idp_id == row["idp_id"])


class Mappings(_Named):
    """Mappings."""

    def routes(self) -> list[Route]:
        """What is served."""
        every, one = f"{BASE}/mappings", f"{BASE}/mappings/{{mapping_id}}"
        return [
            Route("GET", every, "identity:list_mappings", self.list),
            Route("PUT", one, "identity:create_mapping", self.create, 201, MAPPING_BODY),
            Route("GET", one, "identity:get_mapping", self.show),
            Route("PATCH", one, "identity:update_mapping", self.update, 200, MAPPING_BODY),
            Route("DELETE", one, "identity:delete_mapping", self.delete, 204),
        ]

    async def list(self, call: Call) -> dict[str, Any]:
        """List mappings."""
        call.allow()
        async with self._database.read() as db:
            found = await rows.matching(db, federation.MAPPINGS)
        return collection(call, "mappings", found, mapping_shown)

    def _row(self, call: Call) -> Row:
        given = call.part(MAPPING)
        mapping.check_rules(given["rules"])
        name = check_name(call.variables["mapping_id"])
        return {
            "id": name,
            "rules": given["rules"],
            "schema_version": given.get("schema_version") or "1.0",
        }

    async def create(self, call: Call) -> dict[str, Any]:
        """Add a mapping."""
        call.allow()
        row = self._row(call)
        async with self._database.write() as db:
            if await rows.by_id(db, federation.MAPPINGS, row["id"]) is not None:
                raise conflict(f"The mapping {row['id']} exists.")
            await rows.insert(db, federation.MAPPINGS, row)
        return {MAPPING: mapping_shown(call, row)}

    async def show(self, call: Call) -> dict[str, Any]:
        """Show a mapping."""
        return {MAPPING: mapping_shown(call, await self._one(call, federation.MAPPINGS, MAPPING))}

    async def update(self, call: Call) -> dict[str, Any]:
        """Replace a mapping's rules."""
        await self._one(call, federation.MAPPINGS, MAPPING)
        row = self._row(call)
        async with self._database.write() as db:
            await rows.update(db, federation.MAPPINGS, row["id"], row)
        return {MAPPING: mapping_shown(call, row)}

    async def delete(self, call: Call) -> None:
        """Remove a mapping."""
        await self._remove(call, federation.MAPPINGS, MAPPING)


class ServiceProviders(_Named):
    """Service providers: clouds that trust this one."""

    def routes(self) -> list[Route]:
        """What is served."""
        every, one = (
            f"{BASE}/service_providers",
            f"{BASE}/service_providers/{{service_provider_id}}",
        )
        rule = "identity:{}_service_provider".format
        return [
            Route("GET", every, "identity:list_service_providers", self.list),
            Route("PUT", one, rule("create"), self.create, 201, SERVICE_BODY),
            Route("GET", one, rule("get"), self.show),
            Route("PATCH", one, rule("update"), self.update, 200, SERVICE_CHANGE),
            Route("DELETE", one, rule("delete"), self.delete, 204),
        ]

    async def list(self, call: Call) -> dict[str, Any]:
        """List service providers."""
        call.allow()
        wanted: Row = dict(call.query.exact("id"))
        if "enabled" in call.query:
            wanted["enabled"] = call.query.flag("enabled")
        async with self._database.read() as db:
            found = await rows.matching(db, federation.SERVICES, **wanted)
        return collection(call, "service_providers", found, service_shown)

    async def create(self, call: Call) -> dict[str, Any]:
        """Add a service provider."""
        call.allow()
        given = call.part(SERVICE)
        row: Row = {
            "id": check_name(call.variables["service_provider_id"]),
            "auth_url": given["auth_url"],
            "sp_url": given["sp_url"],
            "enabled": given.get("enabled", False),
            "description": given.get("description"),
            "relay_state_prefix": given.get("relay_state_prefix") or RELAY_STATE,
        }
        async with self._database.write() as db:
            if await rows.by_id(db, federation.SERVICES, row["id"]) is not None:
                raise conflict(f"The service provider {row['id']} exists.")
            await rows.insert(db, federation.SERVICES, row)
        return {SERVICE: service_shown(call, row)}

    async def show(self, call: Call) -> dict[str, Any]:
        """Show a service provider."""
        return {SERVICE: service_shown(call, await self._one(call, federation.SERVICES, SERVICE))}

    async def update(self, call: Call) -> dict[str, Any]:
        """Change a service provider."""
        row = await self._one(call, federation.SERVICES, SERVICE)
        given = without_id(call.part(SERVICE))
        if "relay_state_prefix" in given:
            given["relay_state_prefix"] = given["relay_state_prefix"] or RELAY_STATE
        async with self._database.write() as db:
            await rows.update(db, federation.SERVICES, row["id"], given)
        return {SERVICE: service_shown(call, {**row, **given})}

    async def delete(self, call: Call) -> None:
        """Remove a service provider."""
        await self._remove(call, federation.SERVICES, SERVICE)


class FederatedLogin:
    """Log-in with a provider's bearer token, and what such a caller may scope to."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    def routes(self) -> list[Route]:
        """What is served."""
        login = f"{BASE}/identity_providers/{{idp_id}}/protocols/{{protocol_id}}/auth"
        return [
            Route("GET", login, PUBLIC, self.login, 201),
            Route("POST", login, PUBLIC, self.login, 201),
            Route("GET", f"{BASE}/projects", OWN, self.projects),
            Route("GET", f"{BASE}/domains", OWN, self.domains),
        ]

    async def login(self, call: Call) -> Answer:
        """An unscoped token for whoever the provider's token vouches for."""
        kind, _, token = (call.request.header("authorization") or "").partition(" ")
        if kind.lower() != "bearer" or not token.strip():
            raise unauthorized()
        idp_id, protocol_id = call.variables["idp_id"], call.variables["protocol_id"]
        claims = await self._authority.oidc.claims(idp_id, token.strip())
        proof = await federation.prove(self._authority, idp_id, protocol_id, claims)
        return await issued(self._authority, call, proof, Scope("unscoped"))

    async def projects(self, call: Call) -> dict[str, Any]:
        """Projects that the caller may scope to."""
        return await self._reachable(call, "project")

    async def domains(self, call: Call) -> dict[str, Any]:
        """Domains that the caller may scope to."""
        return await self._reachable(call, "domain")

    async def _reachable(self, call: Call, kind: str) -> dict[str, Any]:
        async with self._authority.database.read() as db:
            found = await reachable(db, call.identity.user_id, kind, groups_of(call.identity))
        shown = project_shown if kind == "project" else domain_shown
        return collection(call, f"{kind}s", [row for row in found if row["enabled"]], shown)


async def check_mapping(db: Connection, mapping_id: str) -> None:
    """A protocol's mapping is there. Raises Fault 400."""
    if await rows.by_id(db, federation.MAPPINGS, mapping_id) is None:
        raise bad_request(f"Could not find mapping: {mapping_id}.")


def without_id(given: dict[str, Any]) -> dict[str, Any]:
    """A change without the id, which never changes."""
    return {name: value for name, value in given.items() if name != "id"}


def check_name(name: str) -> str:
    """An id that a client chose. Raises Fault 400."""
    text(1, 64, pattern=r"[A-Za-z0-9_.-]+")(name, "id")
    return name
