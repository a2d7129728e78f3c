"""Tokens: what a proof and a scope make, and how a token is shown."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from authd import catalog, domains, grants, projects, roles, users
from authd.authority import TOKEN_LIFE_S, Authority
from authd.proof import Proof
from authd.scope import Name, Scope
from authd.tables.application_credential import (
    access_rule,
    application_credential,
    application_credential_role,
    application_credential_rule,
)
from authd.tables.federation import service_provider
from authd.tables.trust import trust, trust_role
from authd.times import instant, instant_or_none
from core import rows
from core.api.fault import forbidden, not_found, unauthorized
from core.bearer import NONCE_BYTES, audit_text, seal
from core.database import Connection
from core.identity import Identity
from core.rows import Row


async def identity_for(
    authority: Authority, db: Connection, proof: Proof, scope: Scope
) -> Identity:
    """The identity that a proof gives on a scope. Raises Fault 401 when it has no role there, 403 for trusts."""
    now_us = authority.now_us()
    expires_us = now_us + TOKEN_LIFE_S * 1_000_000
    if proof.expires_us is not None:
        expires_us = min(expires_us, proof.expires_us)
    audit_ids = [audit_text(authority.env.random_bytes(16))]
    if proof.chain_id:
        audit_ids.append(proof.chain_id)
    if proof.application_credential is not None:
        target = await _application_target(db, proof.application_credential, scope)
    elif proof.trust is not None:
        target = await _trust_target(db, proof.trust)
        trust_end = proof.trust["expires_us"]
        expires_us = expires_us if trust_end is None else min(expires_us, trust_end)
    else:
        target = await _target(db, proof, scope)
    attributes = {
        "user_id": proof.user["id"],
        "user_name": proof.user["name"],
        "user_domain_id": proof.user["domain_id"],
        "methods": proof.methods,
        "issued_us": now_us,
        "expires_us": expires_us,
        "audit_ids": tuple(audit_ids),
        "federation": proof.federation,
        "thumbprint": proof.thumbprint,
    }
    return Identity(**{**attributes, **target})


async def _application_target(db: Connection, credential: Row, scope: Scope) -> dict[str, Any]:
    """An application credential's project, and those of its roles that its user still has there."""
    project_id = credential["project_id"]
    if scope.kind and (scope.kind, scope.name.id) != ("project", project_id):
        raise unauthorized("Application credentials cannot request a scope.")
    project = await _project(db, Scope("project", Name(id=project_id)))
    held = await grants.effective(db, credential["user_id"], "project", project_id)
    link = application_credential_role
    given = await rows.rows(
        db, sa.select(link.c.role_id).where(link.c.credential_id == credential["id"])
    )
    role_ids = {row["role_id"] for row in given}
    names = tuple(role["name"] for role in held if role["id"] in role_ids)
    if not names:
        raise unauthorized()
    return {
        **_of_project(project),
        "roles": names,
        "application_credential_id": credential["id"],
        "access_limited": credential["limited"],
    }


async def _trust_target(db: Connection, given: Row) -> dict[str, Any]:
    """A trust's project (or nothing), with its roles, all of which the trustor must still have."""
    trustor = await rows.by_id(db, users.TABLE, given["trustor_user_id"])
    domain = await rows.by_id(db, domains.TABLE, trustor["domain_id"]) if trustor else None
    if trustor is None or domain is None or not (trustor["enabled"] and domain["enabled"]):
        raise forbidden("The trustor is disabled.")
    target: dict[str, Any] = {"trust_id": given["id"], "trustor_id": trustor["id"]}
    if given["impersonation"]:
        target["user_id"] = trustor["id"]
        target["user_name"] = trustor["name"]
        target["user_domain_id"] = trustor["domain_id"]
    if not given["project_id"]:
        return target
    project = await _project(db, Scope("project", Name(id=given["project_id"])))
    held = await grants.effective(db, trustor["id"], "project", project["id"])
    link = trust_role
    lends = await rows.rows(db, sa.select(link.c.role_id).where(link.c.trust_id == given["id"]))
    wanted = {row["role_id"] for row in lends}
    if not wanted.issubset({role["id"] for role in held}):
        raise forbidden("The trustor no longer has the roles of the trust.")
    lent = await grants.with_implied(db, {r["id"]: r for r in held if r["id"] in wanted})
    names = tuple(role["name"] for role in lent)
    return {**target, **_of_project(project), "roles": names}


def _of_project(project: Row) -> dict[str, Any]:
    return {
        "project_id": project["id"],
        "project_name": project["name"],
        "project_domain_id": project["domain_id"] or project["id"],
    }


async def _target(db: Connection, proof: Proof, scope: Scope) -> dict[str, Any]:
    """Scope and roles as attributes of an identity."""
    if scope.kind == "":
        return await _default_target(db, proof)
    if scope.kind == "project":
        project = await _project(db, scope)
        found = await _roles(db, proof, "project", project["id"])
        return {**_of_project(project), "roles": found}
    if scope.kind == "domain":
        domain = await _domain(db, scope.name.id, scope.name.name)
        return {
            "domain_id": domain["id"],
            "roles": await _roles(db, proof, "domain", domain["id"]),
        }
    if scope.kind == "system":
        return {"system": True, "roles": await _roles(db, proof, "system", "system")}
    return {}


async def _default_target(db: Connection, proof: Proof) -> dict[str, Any]:
    """The user's default project when they can use it, else nothing."""
    user = proof.user
    project_id = user["default_project_id"]
    project = await rows.by_id(db, projects.TABLE, project_id) if project_id else None
    if project is None or not project["enabled"]:
        return {}
    found = await grants.effective(
        db, user["id"], "project", project["id"], group_ids=_groups(proof)
    )
    if not found:
        return {}
    return {**_of_project(project), "roles": tuple(role["name"] for role in found)}


def _groups(proof: Proof) -> tuple[str, ...]:
    """Groups that a federation vouches for."""
    return proof.federation[2] if proof.federation else ()


async def _roles(db: Connection, proof: Proof, target: str, target_id: str) -> tuple[str, ...]:
    user = proof.user
    found = await grants.effective(db, user["id"], target, target_id, group_ids=_groups(proof))
    if not found:
        raise unauthorized(f"User {user['id']} has no access to the {target} that was asked for.")
    return tuple(role["name"] for role in found)


async def _domain(db: Connection, domain_id: str, name: str) -> Row:
    if domain_id:
        row = await rows.by_id(db, domains.TABLE, domain_id)
    else:
        row = await domains.named(db, name)
    if row is None or not row["is_domain"] or not row["enabled"]:
        raise unauthorized()
    return row


async def _project(db: Connection, scope: Scope) -> Row:
    name = scope.name
    if name.id:
        row = await rows.by_id(db, projects.TABLE, name.id)
    else:
        domain = await _domain(db, name.domain_id, name.domain_name)
        row = await projects.named(db, domain["id"], name.name)
    if row is None or not row["enabled"]:
        raise unauthorized()
    if not row["is_domain"]:
        await _domain(db, row["domain_id"], "")
    return row


def sealed(authority: Authority, identity: Identity) -> str:
    """The token of an identity."""
    key = authority.keyring.primary
    assert key is not None
    return seal(key, authority.env.random_bytes(NONCE_BYTES), identity)


async def shown(db: Connection, identity: Identity, *, with_catalog: bool) -> dict[str, Any]:
    """A token's body (`{"token": …}`)."""
    user = await users.get(db, identity.user_id)
    names = await _domain_names(
        db, user["domain_id"], identity.project_domain_id, identity.domain_id
    )
    password = await users.current_password(db, user["id"])
    token: dict[str, Any] = {
        "methods": list(identity.methods),
        "user": {
            "id": user["id"],
            "name": user["name"],
            "domain": {"id": user["domain_id"], "name": names[user["domain_id"]]},
            "password_expires_at": instant_or_none(password["expires_us"] if password else None),
        },
        "audit_ids": list(identity.audit_ids),
        "expires_at": instant(identity.expires_us),
        "issued_at": instant(identity.issued_us),
    }
    await _delegation_shown(db, identity, token)
    if identity.unscoped:
        return {"token": token}
    if identity.project_id:
        project = await projects.get(db, identity.project_id)
        domain_id = project["domain_id"] or project["id"]
        token["project"] = {
            "id": project["id"],
            "name": project["name"],
            "domain": {"id": domain_id, "name": names[domain_id]},
        }
        token["is_domain"] = project["is_domain"]
    elif identity.domain_id:
        token["domain"] = {"id": identity.domain_id, "name": names[identity.domain_id]}
    else:
        token["system"] = {"all": True}
    token["roles"] = await _roles_shown(db, identity.roles)
    if with_catalog:
        token["catalog"] = await catalog.of(db, identity)
        providers = await _service_providers(db)
        if providers:
            token["service_providers"] = providers
    return {"token": token}


async def _service_providers(db: Connection) -> list[Row]:
    """Enabled service providers: other clouds to which a token may be taken."""
    table = service_provider
    statement = sa.select(table.c.id, table.c.auth_url, table.c.sp_url)
    return await rows.rows(db, statement.where(table.c.enabled).order_by(table.c.id))


async def _delegation_shown(db: Connection, identity: Identity, token: dict[str, Any]) -> None:
    """What the token was made through: federation, an application credential, a trust."""
    if identity.federation is not None:
        provider, protocol, groups = identity.federation
        token["user"]["OS-FEDERATION"] = {
            "identity_provider": {"id": provider},
            "protocol": {"id": protocol},
            "groups": [{"id": group} for group in groups],
        }
    if identity.application_credential_id:
        row = await rows.by_id(db, application_credential, identity.application_credential_id)
        if row is not None:
            token["application_credential"] = {
                "id": row["id"],
                "name": row["name"],
                "restricted": not row["unrestricted"],
            }
            if row["limited"]:
                rules = await access_rules_of(db, row["id"])
                token["application_credential"]["access_rules"] = rules
    if identity.trust_id:
        row = await rows.by_id(db, trust, identity.trust_id)
        if row is not None:
            token["OS-TRUST:trust"] = {
                "id": row["id"],
                "trustor_user": {"id": row["trustor_user_id"]},
                "trustee_user": {"id": row["trustee_user_id"]},
                "impersonation": row["impersonation"],
            }
    if identity.thumbprint:
        token["oauth2_credential"] = {"x5t#S256": identity.thumbprint}


async def access_rules_of(db: Connection, credential_id: str) -> list[Row]:
    """The access rules of an application credential."""
    link = application_credential_rule
    statement = (
        sa.select(access_rule.c.id, access_rule.c.service, access_rule.c.method, access_rule.c.path)
        .join(link, link.c.access_rule_id == access_rule.c.id)
        .where(link.c.credential_id == credential_id)
        .order_by(access_rule.c.id)
    )
    return await rows.rows(db, statement)


async def _domain_names(db: Connection, *ids: str) -> dict[str, str]:
    """Names of domains by their ids. Raises Fault 404 for one that has gone."""
    table = domains.TABLE
    found = await rows.rows(db, sa.select(table.c.id, table.c.name).where(table.c.id.in_(ids)))
    names = {row["id"]: row["name"] for row in found}
    for domain_id in ids:
        if domain_id and domain_id not in names:
            raise not_found("domain", domain_id)
    return names


async def _roles_shown(db: Connection, names: tuple[str, ...]) -> list[dict[str, Any]]:
    table = roles.TABLE
    statement = sa.select(table.c.id, table.c.name).where(
        table.c.domain_id == "", table.c.name.in_(names)
    )
    return await rows.rows(db, statement.order_by(table.c.name))
