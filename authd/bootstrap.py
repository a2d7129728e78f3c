"""What a new cloud begins with: a domain, projects, users, the default roles and the catalog of what is there.

Runs at each start and adds only what a new database lacks; it never puts back what an operator changed.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import msgspec

from authd import credentials, domains, grants, projects, roles, users
from authd.authority import Authority
from authd.tables import catalog, project
from core import rows
from core.database import Connection

# Each implies the next.
PERSONAS = ("admin", "manager", "member", "reader")
OTHER_ROLES = ("service", "ResellerAdmin")


class Plan(NamedTuple):
    """What an installation wants its cloud to begin with; ids and passwords come from its secrets."""

    admin_name: str
    admin_password: str
    admin_project_name: str
    admin_project_id: str
    access_key: str
    secret_key: str
    demo_password: str
    region: str
    identity_url: str
    object_url: str  # with `$(project_id)s`
    image_url: str = ""  # "" when there is no such service
    volume_url: str = ""
    network_url: str = ""
    compute_url: str = ""
    placement_url: str = ""


async def bootstrap(authority: Authority, plan: Plan) -> None:
    """Fill an empty database, in one transaction."""
    async with authority.database.read() as db:
        if await rows.by_id(db, project.project, domains.DEFAULT) is not None:
            return
    admin_hash = await authority.hasher.hash(plan.admin_password)
    demo_hash = await authority.hasher.hash(plan.demo_password)
    async with authority.database.write() as db:
        await domains.create(db, _project(domains.DEFAULT, "Default", "The default domain"))
        role_ids = await _roles(authority, db)
        admin_id = await _user(authority, db, plan.admin_name, admin_hash)
        demo_id = await _user(authority, db, "demo", demo_hash)
        await _add_project(db, plan.admin_project_id, plan.admin_project_name)
        demo_project_id = authority.new_id()
        await _add_project(db, demo_project_id, "demo")
        await _add_project(db, authority.new_id(), "service")
        admin, demo = ("user", admin_id), ("user", demo_id)
        for target in (
            ("project", plan.admin_project_id),
            ("domain", domains.DEFAULT),
            ("system", "system"),
            ("project", demo_project_id),
        ):
            await grants.grant(db, admin, target, role_ids["admin"])
        # the cloud's owner may look after every account of the object store
        owned = ("project", plan.admin_project_id)
        await grants.grant(db, admin, owned, role_ids["ResellerAdmin"])
        await grants.grant(db, demo, ("project", demo_project_id), role_ids["member"])
        await rows.update(db, users.TABLE, admin_id, {"default_project_id": plan.admin_project_id})
        await rows.update(db, users.TABLE, demo_id, {"default_project_id": demo_project_id})
        await _access_key(authority, db, plan, admin_id)
        await _catalog(authority, db, plan)


def _project(project_id: str, name: str, description: str) -> rows.Row:
    return {
        "id": project_id,
        "name": name,
        "description": description,
        "enabled": True,
        "options": {},
        "extra": {},
    }


async def _add_project(db: Connection, project_id: str, name: str) -> None:
    place = {"domain_id": domains.DEFAULT, "parent_id": domains.DEFAULT}
    await projects.create(db, {**_project(project_id, name, ""), **place})


async def _roles(authority: Authority, db: Connection) -> dict[str, str]:
    ids: dict[str, str] = {}
    for name in (*PERSONAS, *OTHER_ROLES):
        ids[name] = authority.new_id()
        await roles.create(
            db,
            {
                "id": ids[name],
                "domain_id": "",
                "name": name,
                "description": None,
                "options": {"immutable": True},
                "extra": {},
            },
        )
    for prior, implied in itertools.pairwise(PERSONAS):
        await rows.insert(
            db,
            roles.IMPLIED,
            {"prior_role_id": ids[prior], "implied_role_id": ids[implied]},
        )
    return ids


async def _user(authority: Authority, db: Connection, name: str, hashed: str) -> str:
    user_id, now_us = authority.new_id(), authority.now_us()
    await users.create(
        db,
        {
            "id": user_id,
            "domain_id": domains.DEFAULT,
            "name": name,
            "enabled": True,
            "default_project_id": None,
            "options": {},
            "extra": {},
            "created_us": now_us,
            "active_us": now_us,
            "failed_count": 0,
            "failed_us": 0,
        },
    )
    await users.set_password(db, user_id, hashed, now_us=now_us, self_service=False)
    return user_id


async def _access_key(authority: Authority, db: Connection, plan: Plan, user_id: str) -> None:
    """The admin's first S3 key: an EC2 credential like any other."""
    blob = {"access": plan.access_key, "secret": plan.secret_key}
    await credentials.create(
        db,
        authority.vault,
        {
            "id": credentials.ec2_id(plan.access_key),
            "user_id": user_id,
            "project_id": plan.admin_project_id,
            "type": credentials.EC2,
            "blob": msgspec.json.encode(blob).decode(),
            "extra": {},
        },
    )


def _services(plan: Plan) -> list[tuple[str, str, str]]:
    """Type, name and address of each service; block storage is listed under its old type as well."""
    services = [
        ("identity", "keystone", plan.identity_url),
        ("object-store", "swift", plan.object_url),
    ]
    if plan.image_url:
        services.append(("image", "glance", plan.image_url))
    if plan.volume_url:
        services.append(("block-storage", "cinder", plan.volume_url))
        services.append(("volumev3", "cinderv3", f"{plan.volume_url}/$(project_id)s"))
    if plan.network_url:
        services.append(("network", "neutron", plan.network_url))
    if plan.compute_url:
        services.append(("compute", "nova", plan.compute_url))
    if plan.placement_url:
        services.append(("placement", "placement", plan.placement_url))
    return services


async def _catalog(authority: Authority, db: Connection, plan: Plan) -> None:
    await rows.insert(
        db,
        catalog.region,
        {"id": plan.region, "parent_region_id": None, "description": "", "extra": {}},
    )
    for kind, name, url in _services(plan):
        service_id = authority.new_id()
        await rows.insert(
            db,
            catalog.service,
            {"id": service_id, "type": kind, "enabled": True, "extra": {"name": name}},
        )
        for interface in ("public", "internal", "admin"):
            endpoint: dict[str, Any] = {
                "id": authority.new_id(),
                "service_id": service_id,
                "region_id": plan.region,
                "interface": interface,
                "url": url,
                "enabled": True,
                "extra": {},
            }
            await rows.insert(db, catalog.endpoint, endpoint)
