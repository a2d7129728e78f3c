"""Federated users: who an identity provider's somebody is here, and what the mapping gives them."""

from __future__ import annotations

from typing import Any

from authd import domains, grants, projects, roles, users
from authd.authority import Authority
from authd.mapping import Mapped, MappedUser, claims_of, map_claims
from authd.proof import Proof
from authd.tables import federation
from authd.tables.group import group
from core import rows
from core.api.fault import not_found, unauthorized
from core.database import Connection
from core.rows import Row

PROVIDERS = federation.identity_provider
PROTOCOLS = federation.protocol
MAPPINGS = federation.mapping
KNOWN = federation.federated_user
SERVICES = federation.service_provider
UNIQUE_CHARS_MAX = 255


async def protocol_of(db: Connection, idp_id: str, protocol_id: str) -> tuple[Row, Row, Row]:
    """Provider, protocol and mapping. Raises Fault 404."""
    provider = await rows.by_id(db, PROVIDERS, idp_id)
    found = await rows.matching(db, PROTOCOLS, idp_id=idp_id, id=protocol_id)
    if provider is None or not provider["enabled"] or not found:
        raise not_found("federation protocol", f"{idp_id}/{protocol_id}")
    mapping = await rows.by_id(db, MAPPINGS, found[0]["mapping_id"])
    if mapping is None:
        raise not_found("mapping", found[0]["mapping_id"])
    return provider, found[0], mapping


async def prove(
    authority: Authority, idp_id: str, protocol_id: str, claims: dict[str, Any]
) -> Proof:
    """Who verified claims make somebody here. Raises Fault 401, 404."""
    async with authority.database.write() as db:
        provider, _, mapping = await protocol_of(db, idp_id, protocol_id)
        if provider["remote_ids"] and claims.get("iss") not in provider["remote_ids"]:
            raise unauthorized("The issuer is not one of the identity provider's remote ids.")
        mapped = map_claims(mapping["rules"], claims_of(claims))
        if mapped.user.kind == "local":
            user = await _local_user(db, mapped.user, provider["domain_id"])
        else:
            subject = str(claims.get("sub") or mapped.user.id or mapped.user.name)
            user = await _kept_user(authority, db, (provider, protocol_id, subject), mapped.user)
            await _provision(authority, db, provider["domain_id"], user, mapped)
        groups = await _groups(db, mapped, provider["domain_id"])
    if not user["enabled"]:
        raise unauthorized()
    ttl = provider["authorization_ttl"]
    expires_us = None if not ttl else authority.now_us() + ttl * 60_000_000
    return Proof(user, ("mapped",), expires_us, federation=(idp_id, protocol_id, tuple(groups)))


async def _domain_id(db: Connection, named: Any, default: str) -> str:
    if named.get("id"):
        return str(named["id"])
    if named.get("name"):
        row = await domains.named(db, named["name"])
        return row["id"] if row else ""
    return default


async def _local_user(db: Connection, wanted: MappedUser, default: str) -> Row:
    """A user that must exist here already. Raises Fault 401."""
    if wanted.id:
        row = await rows.by_id(db, users.TABLE, wanted.id)
    else:
        row = await users.named(db, await _domain_id(db, wanted.domain, default), wanted.name)
    if row is None:
        raise unauthorized()
    return row


async def _kept_user(
    authority: Authority, db: Connection, who: tuple[Row, str, str], wanted: MappedUser
) -> Row:
    """The user that stands for somebody of a provider; made when they come for the first time."""
    provider, protocol_id, subject = who
    key = {"idp_id": provider["id"], "protocol_id": protocol_id}
    key["unique_id"] = subject[:UNIQUE_CHARS_MAX]
    conditions = [KNOWN.c[name] == value for name, value in key.items()]
    known = await rows.first(db, KNOWN.select().where(*conditions))
    if known is not None:
        return await users.get(db, known["user_id"])
    domain_id = provider["domain_id"]
    name = wanted.name
    if await users.named(db, domain_id, name) is not None:
        name = f"{name} ({provider['id']}/{protocol_id}/{subject})"[:255]
    now_us = authority.now_us()
    row: Row = {
        "id": authority.new_id(),
        "domain_id": domain_id,
        "name": name,
        "enabled": True,
        "default_project_id": None,
        "options": {},
        "extra": {"email": wanted.email} if wanted.email else {},
        "created_us": now_us,
        "active_us": now_us,
        "failed_count": 0,
        "failed_us": 0,
    }
    await users.create(db, row)
    await rows.insert(db, KNOWN, {**key, "user_id": row["id"]})
    return row


async def _groups(db: Connection, mapped: Mapped, default: str) -> list[str]:
    """Ids of the groups that exist among those mapped."""
    found = [one for one in mapped.group_ids if await rows.by_id(db, group, one) is not None]
    for name, domain in mapped.groups:
        domain_id = await _domain_id(db, domain, default)
        found += [
            row["id"] for row in await rows.matching(db, group, domain_id=domain_id, name=name)
        ]
    return list(dict.fromkeys(found))


async def _provision(
    authority: Authority, db: Connection, domain_id: str, user: Row, mapped: Mapped
) -> None:
    """Projects of the mapping, made when they are missing, and the user's roles on them."""
    for name, role_names in mapped.projects:
        project = await projects.named(db, domain_id, name)
        if project is None:
            project = {
                "id": authority.new_id(),
                "domain_id": domain_id,
                "parent_id": domain_id,
                "name": name,
                "description": "",
                "enabled": True,
                "options": {},
                "extra": {},
            }
            await projects.create(db, project)
        for role_name in role_names:
            role = await roles.named(db, "", role_name)
            if role is None:
                raise unauthorized(f"The mapping names a role that is not there: {role_name}.")
            await grants.grant(db, ("user", user["id"]), ("project", project["id"]), role["id"])
