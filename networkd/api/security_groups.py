"""`/security-groups` and `/security-group-rules`."""

from __future__ import annotations

from typing import Any, ClassVar

from core import rows
from core.api.call import Call
from core.database import Connection
from core.rows import Row
from networkd import groups, quotas, security
from networkd.api.resource import (
    STANDARD,
    TAGGED,
    Resource,
    standard_view,
    touch,
)
from networkd.fault import absent, in_use
from networkd.groups import DEFAULT
from networkd.listing import View
from networkd.tables import port, security_group
from networkd.values import (
    REQUIRED,
    SHOWN_ONLY,
    Attribute,
    boolean,
    choice,
    optional,
    plain,
    text,
    uuid,
)


def rule_view(row: Row, group: Row) -> View:
    """A rule as the API shows it."""
    plain_ones = (
        "security_group_id",
        "direction",
        "ethertype",
        "protocol",
        "port_range_min",
        "port_range_max",
        "remote_ip_prefix",
        "remote_group_id",
        "remote_address_group_id",
    )
    return {
        **standard_view(row),
        **{name: row[name] for name in plain_ones},
        "normalized_cidr": security.normal(row["remote_ip_prefix"]),
        "belongs_to_default_sg": group["is_default"],
        "_target": {"security_group:project_id": group["project_id"]},
    }


class SecurityGroups(Resource):
    """Operations on security groups."""

    singular = "security_group"
    plural = "security_groups"
    path = "/v2.0/security-groups"
    what = "Security group"
    table = security_group.security_group
    pushed = ("name",)
    quota = "security_group"
    attributes: ClassVar = {
        **STANDARD,
        **TAGGED,
        "name": Attribute(text(255), ""),
        "stateful": Attribute(boolean, True),
        "shared": SHOWN_ONLY,
        "security_group_rules": SHOWN_ONLY,
    }

    async def prepare(self, call: Call) -> None:
        """Every project has its default group as soon as it looks."""
        project_id = call.identity.project_id
        if not project_id:
            return
        async with self.service.database.read() as db:
            found = await groups.default_of(db, project_id)
        if found is None:
            async with self.service.write() as db:
                await groups.ensure_default(db, self.service, project_id)

    async def shown(self, db: Connection, found: list[Row]) -> list[View]:
        """With their rules."""
        rules = await groups.rules_of(db, [row["id"] for row in found])
        return [
            {
                **standard_view(row),
                "name": row["name"],
                "stateful": row["stateful"],
                "shared": False,
                "tags": row["tags"],
                "security_group_rules": [
                    {name: value for name, value in rule_view(one, row).items() if name[0] != "_"}
                    for one in rules[row["id"]]
                ],
            }
            for row in found
        ]

    async def create(self, db: Connection, call: Call, given: Row) -> str:
        """All may go out, nothing may come in."""
        del call
        if given["name"] == DEFAULT:
            raise in_use(
                "SecurityGroupDefaultAlreadyExists", "Default security group already exists."
            )
        if given["project_id"]:
            await groups.ensure_default(db, self.service, given["project_id"])
        await quotas.check(db, given["project_id"], "security_group_rule", len(groups.ETHERTYPES))
        row = {**self.new_row(given), "is_default": False}
        await rows.insert(db, self.table, row)
        await groups.add_first_rules(db, self.service, row)
        return str(row["id"])

    async def update(self, db: Connection, call: Call, row: Row, given: Row) -> None:
        """The default group keeps its name; a group that ports have keeps its kind."""
        del call
        name = given.get("name", row["name"])
        if name != row["name"] and DEFAULT in {name, row["name"]}:
            raise in_use(
                "SecurityGroupCannotUpdateDefault", "Updating default security group not allowed."
            )
        if given.get("stateful", row["stateful"]) != row["stateful"]:
            await self._check_unused(db, row)
        await rows.update(db, self.table, row["id"], given)

    async def _check_unused(self, db: Connection, row: Row) -> None:
        if await rows.count(db, port.port_group, port.port_group.c.group_id == row["id"]):
            raise in_use("SecurityGroupInUse", f"Security Group {row['id']} in use.")

    async def delete(self, db: Connection, call: Call, row: Row) -> None:
        """Rules that name it as their remote go with it."""
        if row["is_default"] and not call.may("context_is_admin"):
            raise in_use(
                "SecurityGroupCannotRemoveDefault",
                "Insufficient rights for removing default security group.",
            )
        await self._check_unused(db, row)
        await rows.delete(db, groups.RULES, groups.RULES.c.remote_group_id == row["id"])
        await rows.delete(db, self.table, self.table.c.id == row["id"])


class SecurityGroupRules(Resource):
    """Operations on rules."""

    singular = "security_group_rule"
    plural = "security_group_rules"
    path = "/v2.0/security-group-rules"
    what = "Security group rule"
    table = security_group.security_group_rule
    pushed = ("security_group_id",)
    updatable = False
    attributes: ClassVar = {
        **STANDARD,
        "security_group_id": Attribute(uuid, REQUIRED),
        "direction": Attribute(choice("ingress", "egress"), REQUIRED),
        "ethertype": Attribute(security.ethertype, "IPv4"),
        "protocol": Attribute(security.protocol, None),
        "port_range_min": Attribute(security.port_value, None),
        "port_range_max": Attribute(security.port_value, None),
        "remote_ip_prefix": Attribute(security.prefix, None),
        "remote_group_id": Attribute(optional(plain(64)), None),
        "remote_address_group_id": Attribute(optional(plain(64)), None),
        "normalized_cidr": SHOWN_ONLY,
        "belongs_to_default_sg": SHOWN_ONLY,
    }

    async def shown(self, db: Connection, found: list[Row]) -> list[View]:
        """With what policy wants to know of their groups."""
        table = security_group.security_group
        homes: dict[str, Row] = {}
        for row in found:
            name = row["security_group_id"]
            if name not in homes:
                homes[name] = await rows.by_id(db, table, name) or {}
        return [rule_view(row, homes[row["security_group_id"]]) for row in found]

    async def surroundings(self, db: Connection, call: Call, given: Row) -> dict[str, Any]:
        """The group, which the caller must be able to see."""
        group = await groups.get(db, given["security_group_id"])
        if not call.may("get_security_group", of=group):
            raise absent("Security group", group["id"])
        given["project_id"] = group["project_id"]
        return {"security_group:project_id": group["project_id"]}

    async def create(self, db: Connection, call: Call, given: Row) -> str:
        """Once: a rule that says the same is refused."""
        security.check(given)
        group_id = given["security_group_id"]
        if given["remote_group_id"] is not None:
            other = await groups.get(db, given["remote_group_id"])
            if not call.may("get_security_group", of=other):
                raise absent("Security group", other["id"])
        if given["remote_address_group_id"] is not None:
            await self._address_group(db, call, given["remote_address_group_id"])
        for held in (await groups.rules_of(db, [group_id]))[group_id]:
            if security.same(held, given):
                raise in_use(
                    "SecurityGroupRuleExists",
                    f"Security group rule already exists. Rule id is {held['id']}.",
                )
        await quotas.check(db, given["project_id"], "security_group_rule")
        row = self.new_row(given)
        await rows.insert(db, self.table, row)
        await touch(db, self.service, security_group.security_group, group_id)
        return str(row["id"])

    async def _address_group(self, db: Connection, call: Call, name: str) -> None:
        row = await rows.by_id(db, security_group.address_group, name)
        if row is None or not call.may("get_address_group", of=row):
            raise absent("Address group", name)

    async def delete(self, db: Connection, call: Call, row: Row) -> None:
        """The group changes with it."""
        await super().delete(db, call, row)
        group_id = row["security_group_id"]
        await touch(db, self.service, security_group.security_group, group_id)
