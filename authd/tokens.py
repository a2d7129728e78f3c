"""Tokens: what a proof and a scope make, and how a token is shown."""

from __future__ import annotations

from typing import Any

from authd import catalog, domains, grants, projects, roles, rows, users
from authd.authority import TOKEN_LIFE_S, Authority
from authd.proof import Proof
from authd.rows import Row
from authd.scope import Scope
from authd.times import instant, instant_or_none
from core.api.fault import unauthorized
from core.bearer import NONCE_BYTES, audit_text, seal
from core.database import Connection
from core.identity import Identity


async def identity_for(
    authority: Authority, db: Connection, proof: Proof, scope: Scope
) -> Identity:
    """The identity that a proof gives on a scope. Raises Fault 401 when it has no role there."""
    now_us = authority.now_us()
    expires_us = now_us + TOKEN_LIFE_S * 1_000_000
    if proof.expires_us is not None:
        expires_us = min(expires_us, proof.expires_us)
    audit_ids = [audit_text(authority.env.random_bytes(16))]
    if proof.chain_id:
        audit_ids.append(proof.chain_id)
    target = await _target(db, proof.user, scope)
    return Identity(
        user_id=proof.user["id"],
        user_name=proof.user["name"],
        user_domain_id=proof.user["domain_id"],
        methods=proof.methods,
        issued_us=now_us,
        expires_us=expires_us,
        audit_ids=tuple(audit_ids),
        federation=proof.federation,
        **target,
    )


async def _target(db: Connection, user: Row, scope: Scope) -> dict[str, Any]:
    """Scope and roles as attributes of an identity."""
    if scope.kind == "":
        return await _default_target(db, user)
    if scope.kind == "project":
        project = await _project(db, scope)
        found = await _roles(db, user, "project", project["id"])
        return {
            "project_id": project["id"],
            "project_name": project["name"],
            "project_domain_id": project["domain_id"] or project["id"],
            "roles": found,
        }
    if scope.kind == "domain":
        domain = await _domain(db, scope.name.id, scope.name.name)
        return {
            "domain_id": domain["id"],
            "roles": await _roles(db, user, "domain", domain["id"]),
        }
    if scope.kind == "system":
        return {"system": True, "roles": await _roles(db, user, "system", "system")}
    return {}


async def _default_target(db: Connection, user: Row) -> dict[str, Any]:
    """The user's default project when they can use it, else nothing."""
    project_id = user["default_project_id"]
    project = await rows.by_id(db, projects.TABLE, project_id) if project_id else None
    if project is None or not project["enabled"]:
        return {}
    found = await grants.effective(db, user["id"], "project", project["id"])
    if not found:
        return {}
    return {
        "project_id": project["id"],
        "project_name": project["name"],
        "project_domain_id": project["domain_id"] or project["id"],
        "roles": tuple(role["name"] for role in found),
    }


async def _roles(db: Connection, user: Row, target: str, target_id: str) -> tuple[str, ...]:
    found = await grants.effective(db, user["id"], target, target_id)
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
    password = await users.current_password(db, user["id"])
    token: dict[str, Any] = {
        "methods": list(identity.methods),
        "user": {
            "id": user["id"],
            "name": user["name"],
            "domain": await _domain_shown(db, user["domain_id"]),
            "password_expires_at": instant_or_none(password["expires_us"] if password else None),
        },
        "audit_ids": list(identity.audit_ids),
        "expires_at": instant(identity.expires_us),
        "issued_at": instant(identity.issued_us),
    }
    if identity.unscoped:
        return {"token": token}
    if identity.project_id:
        project = await projects.get(db, identity.project_id)
        token["project"] = {
            "id": project["id"],
            "name": project["name"],
            "domain": await _domain_shown(db, project["domain_id"] or project["id"]),
        }
        token["is_domain"] = project["is_domain"]
    elif identity.domain_id:
        token["domain"] = await _domain_shown(db, identity.domain_id)
    else:
        token["system"] = {"all": True}
    token["roles"] = await _roles_shown(db, identity.roles)
    if with_catalog:
        token["catalog"] = await catalog.of(db, identity)
    return {"token": token}


async def _domain_shown(db: Connection, domain_id: str) -> dict[str, Any]:
    domain = await domains.get(db, domain_id)
    return {"id": domain["id"], "name": domain["name"]}


async def _roles_shown(db: Connection, names: tuple[str, ...]) -> list[dict[str, Any]]:
    found = [await roles.named(db, "", name) for name in names]
    return [{"id": role["id"], "name": role["name"]} for role in found if role is not None]
