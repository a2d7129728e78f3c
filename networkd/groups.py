"""Security groups in SQL: the default group of a project, and the rules that every group begins with."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from core import rows
from core.database import Connection
from core.rows import Row
from networkd.fault import absent
from networkd.service import Service
from networkd.tables import security_group

TABLE = security_group.security_group
RULES = security_group.security_group_rule
DEFAULT = "default"
DEFAULT_DESCRIPTION = "Default security group"
ETHERTYPES = ("IPv4", "IPv6")


async def get(db: Connection, group_id: str) -> Row:
    """A group, whoever asks. Raises Fault 404."""
    row = await rows.by_id(db, TABLE, group_id)
    if row is None:
        raise absent("Security group", group_id)
    return row


def _standard(service: Service, project_id: str) -> Row:
    now_us = service.now_us()
    return {
        "id": service.new_id(),
        "project_id": project_id,
        "name": "",
        "description": "",
        "tags": [],
        "created_us": now_us,
        "updated_us": now_us,
        "revision_number": 1,
    }


def rule_row(service: Service, group: Row, direction: str, ethertype: str) -> Row:
    """A rule of a group that lets everything through."""
    return {
        **_standard(service, group["project_id"]),
        "security_group_id": group["id"],
        "direction": direction,
        "ethertype": ethertype,
        "protocol": None,
        "port_range_min": None,
        "port_range_max": None,
        "remote_ip_prefix": None,
        "remote_group_id": None,
        "remote_address_group_id": None,
    }


async def add_first_rules(db: Connection, service: Service, group: Row) -> None:
    """What every group begins with: all may go out; into the default group may come what has it as well."""
    for ethertype in ETHERTYPES:
        await rows.insert(db, RULES, rule_row(service, group, "egress", ethertype))
        if group["is_default"]:
            entering = rule_row(service, group, "ingress", ethertype)
            await rows.insert(db, RULES, {**entering, "remote_group_id": group["id"]})


async def default_of(db: Connection, project_id: str) -> str | None:
    """Id of a project's default group, if it has been made."""
    statement = sa.select(TABLE.c.id).where(TABLE.c.project_id == project_id, TABLE.c.is_default)
    found = (await db.execute(statement)).scalar()
    return None if found is None else str(found)


async def ensure_default(db: Connection, service: Service, project_id: str) -> str:
    """Id of a project's default group, which is made when it is first needed."""
    found = await default_of(db, project_id)
    if found is not None:
        return found
    group = {
        **_standard(service, project_id),
        "name": DEFAULT,
        "description": DEFAULT_DESCRIPTION,
        "stateful": True,
        "is_default": True,
    }
    await rows.insert(db, TABLE, group)
    await add_first_rules(db, service, group)
    return str(group["id"])


async def rules_of(db: Connection, group_ids: Sequence[str]) -> dict[str, list[Row]]:
    """The rules of some groups, oldest first."""
    found: dict[str, list[Row]] = {name: [] for name in group_ids}
    statement = sa.select(RULES).where(RULES.c.security_group_id.in_(list(group_ids)))
    for row in await rows.rows(db, statement.order_by(RULES.c.created_us, RULES.c.id)):
        found[row["security_group_id"]].append(row)
    return found
