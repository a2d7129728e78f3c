"""What projects may have and have used: quotas, their classes, limits, and the usage of a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from computed import listing, quotas, servers, states
from computed.api.paths import both
from computed.api.shape import flag, number, truth
from computed.service import Service
from computed.times import parsed, precise
from core import rows
from core.api.call import Call
from core.api.fault import bad_request
from core.api.route import Route
from core.api.shape import Shape, plain_object
from core.database import Connection
from core.rows import Row

API = "os_compute_api:"
BODY = Shape({"quota_set": plain_object}, ["quota_set"], more=False)
CLASS_BODY = Shape({"quota_class_set": plain_object}, ["quota_class_set"], more=False)
FILES = ("injected_files", "injected_file_content_bytes", "injected_file_path_bytes")
DAY_US = 86_400 * 1_000_000
HOUR_US = 3_600 * 1_000_000
AMOUNT_MAX = 2**31 - 1


def names_of(call: Call) -> list[str]:
    """The resources that a version knows."""
    found = list(quotas.DEFAULTS)
    if call.microversion < (2, 36):
        found += ["fixed_ips", "floating_ips", "security_groups", "security_group_rules"]
    if call.microversion >= (2, 57):
        found = [name for name in found if name not in FILES]
    return found


class Quotas:
    """Quotas of projects and users, and the defaults of all."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        single, rule = "/os-quota-sets/{target_id}", f"{API}os-quota-sets"
        top, classes = "/os-quota-class-sets/{class_name}", f"{API}os-quota-class-sets"
        return both(
            [
                Route("GET", single, f"{rule}:show", self.show),
                Route("GET", f"{single}/detail", f"{rule}:detail", self.detail),
                Route("GET", f"{single}/defaults", f"{rule}:defaults", self.defaults),
                Route("PUT", single, f"{rule}:update", self.update, 200, BODY),
                Route("DELETE", single, f"{rule}:delete", self.delete, 202),
                Route("GET", top, f"{classes}:show", self.show_class),
                Route("PUT", top, f"{classes}:update", self.update_class, 200, CLASS_BODY),
            ]
        )

    def _target(self, call: Call) -> str:
        target = call.variables["target_id"]
        if not target or len(target) > 64 or not target.replace("-", "").replace("_", "").isalnum():
            raise bad_request(f"Project ID {target[:80]} is not a valid project.")
        call.allow(of={"project_id": target})
        return target

    async def show(self, call: Call) -> dict[str, Any]:
        """Limits of a project or a user in it."""
        target = self._target(call)
        async with self._database.read() as db:
            limits = await quotas.limits_of(db, target, call.query.get("user_id") or "")
        return {"quota_set": {"id": target, **{name: limits[name] for name in names_of(call)}}}

    async def detail(self, call: Call) -> dict[str, Any]:
        """With what is used."""
        target = self._target(call)
        user_id = call.query.get("user_id") or ""
        async with self._database.read() as db:
            limits = await quotas.limits_of(db, target, user_id)
            used = await quotas.used_by(db, target, user_id)
        shown = {
            name: {"limit": limits[name], "in_use": used.get(name, 0), "reserved": 0}
            for name in names_of(call)
        }
        return {"quota_set": {"id": target, **shown}}

    async def defaults(self, call: Call) -> dict[str, Any]:
        """Limits of a project that has none of its own."""
        target = call.variables["target_id"]
        call.allow(of={"project_id": call.identity.project_id})
        async with self._database.read() as db:
            limits = await quotas.defaults(db)
        return {"quota_set": {"id": target, **{name: limits[name] for name in names_of(call)}}}

    def _limits(self, call: Call, given: Row) -> dict[str, int]:
        found = {}
        known = {*names_of(call), "force", "tenant_id", "id"}
        for name, value in given.items():
            if name not in known:
                raise bad_request(
                    f"Additional properties are not allowed ('{name[:80]}' was unexpected)"
                )
            if name == "force":
                flag(value, "force")
            elif name not in {"tenant_id", "id"}:
                found[name] = number(value, name, -1, AMOUNT_MAX)
        return found

    async def update(self, call: Call) -> dict[str, Any]:
        """Set limits."""
        target = self._target(call)
        user_id = call.query.get("user_id") or ""
        given = call.part("quota_set")
        wanted = self._limits(call, given)
        force = truth(given.get("force", False))
        async with self._database.write() as db:
            used = await quotas.used_by(db, target, user_id)
            above = await quotas.limits_of(db, target) if user_id else {}
            for name, limit in wanted.items():
                if not force and 0 <= limit < used.get(name, 0):
                    raise bad_request(
                        f"Quota limit {limit} for {name} must be greater than or equal to already used and reserved {used[name]}."
                    )
                if user_id and 0 <= above[name] < (limit if limit >= 0 else AMOUNT_MAX):
                    raise bad_request(
                        f"Quota limit {limit} for {name} must be less than or equal to {above[name]}."
                    )
                key = {"project_id": target, "user_id": user_id, "resource": name}
                await self._put(db, quotas.TABLE, key, limit)
            limits = await quotas.limits_of(db, target, user_id)
        return {"quota_set": {name: limits[name] for name in names_of(call)}}

    async def _put(self, db: Connection, table: sa.Table, key: dict[str, str], limit: int) -> None:
        same = [table.c[name] == value for name, value in key.items()]
        if not await rows.update_where(db, table, {"hard_limit": limit}, *same):
            await rows.insert(db, table, {**key, "hard_limit": limit})

    async def delete(self, call: Call) -> None:
        """Back to the defaults."""
        target = self._target(call)
        table = quotas.TABLE
        same = [table.c.project_id == target]
        if call.query.get("user_id"):
            same.append(table.c.user_id == call.query.get("user_id"))
        async with self._database.write() as db:
            await rows.delete(db, table, *same)

    async def show_class(self, call: Call) -> dict[str, Any]:
        """Limits of a class; `default` is everybody's."""
        call.allow()
        name = call.variables["class_name"]
        async with self._database.read() as db:
            limits = await quotas.defaults(db, name)
        return {"quota_class_set": {"id": name, **self._of_class(call, limits)}}

    def _of_class(self, call: Call, limits: dict[str, int]) -> dict[str, int]:
        known = names_of(call)
        if call.microversion < (2, 50):
            known = [one for one in known if not one.startswith("server_group")]
        return {name: limits[name] for name in known}

    async def update_class(self, call: Call) -> dict[str, Any]:
        """Set them."""
        call.allow()
        name = call.variables["class_name"]
        wanted = self._limits(call, call.part("quota_class_set"))
        async with self._database.write() as db:
            for resource, limit in wanted.items():
                await self._put(db, quotas.CLASSES, {"name": name, "resource": resource}, limit)
            limits = await quotas.defaults(db, name)
        return {"quota_class_set": self._of_class(call, limits)}


class Limits:
    """`/limits`: what a project may have, and has."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        return both([Route("GET", "/limits", f"{API}limits", self.show)])

    async def show(self, call: Call) -> dict[str, Any]:
        """Show them."""
        own = call.identity.project_id
        call.allow(of={"project_id": own})
        target = call.query.get("tenant_id")
        if target is not None and target != own:
            call.allow(f"{API}limits:other_project")
        async with self._database.read() as db:
            limits = await quotas.limits_of(db, target or own)
            used = await quotas.used_by(db, target or own)
        shown = {
            "maxTotalInstances": limits["instances"],
            "maxTotalCores": limits["cores"],
            "maxTotalRAMSize": limits["ram"],
            "maxServerMeta": limits["metadata_items"],
            "maxTotalKeypairs": limits["key_pairs"],
            "maxServerGroups": limits["server_groups"],
            "maxServerGroupMembers": limits["server_group_members"],
            "totalInstancesUsed": used["instances"],
            "totalCoresUsed": used["cores"],
            "totalRAMUsed": used["ram"],
            "totalServerGroupsUsed": used["server_groups"],
        }
        version = call.microversion
        if version < (2, 36):
            shown |= {
                "maxTotalFloatingIps": -1,
                "maxSecurityGroups": -1,
                "maxSecurityGroupRules": -1,
                "totalFloatingIpsUsed": 0,
                "totalSecurityGroupsUsed": 0,
            }
        if version < (2, 39):
            shown["maxImageMeta"] = limits["metadata_items"]
        if version < (2, 57):
            shown["maxPersonality"] = limits["injected_files"]
            shown["maxPersonalitySize"] = limits["injected_file_content_bytes"]
        return {"limits": {"rate": [], "absolute": shown}}


class Usage:
    """What projects' servers took in a time."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, rule = "/os-simple-tenant-usage", f"{API}os-simple-tenant-usage"
        audit = f"{API}os-instance-usage-audit-log"
        log = "/os-instance_usage_audit_log"
        return both(
            [
                Route("GET", top, f"{rule}:list", self.list),
                Route("GET", f"{top}/{{target_id}}", f"{rule}:show", self.show),
                Route("GET", log, f"{audit}:list", self.audit),
                Route("GET", f"{log}/{{before}}", f"{audit}:show", self.audit_before),
            ]
        )

    def _period(self, call: Call) -> tuple[int, int]:
        """The time asked for; the last four weeks by default. Raises Fault 400."""
        now_us = self._service.now_us()
        found = []
        for name, default in (("start", now_us - 28 * DAY_US), ("end", now_us)):
            raw = call.query.get(name)
            us = default if raw is None else parsed(raw)
            if us is None:
                raise bad_request(f"datetime is in invalid format: {(raw or '')[:80]}")
            found.append(us)
        if found[0] >= found[1]:
            raise bad_request("Invalid start time. The start time cannot occur after the end time.")
        return found[0], found[1]

    async def _servers(self, start_us: int, end_us: int, project_id: str = "") -> Sequence[Row]:
        table = servers.TABLE
        where = [
            table.c.created_us < end_us,
            (table.c.deleted_us == 0) | (table.c.deleted_us > start_us),
        ]
        if project_id:
            where.append(table.c.project_id == project_id)
        async with self._database.read() as db:
            return await rows.rows(db, sa.select(table).where(*where).order_by(table.c.number))

    def _one(self, row: Row, start_us: int, end_us: int) -> dict[str, Any]:
        flavor = row["flavor"]
        began = max(start_us, row["launched_us"] or row["created_us"])
        over = min(end_us, row["deleted_us"] or end_us)
        hours = max(0, over - began) / HOUR_US
        until_us = row["deleted_us"] or self._service.now_us()
        return {
            "name": row["name"],
            "instance_id": row["id"],
            "tenant_id": row["project_id"],
            "flavor": flavor["name"],
            "hours": hours,
            "memory_mb": flavor["ram_mb"],
            "local_gb": flavor["disk_gb"] + flavor["ephemeral_gb"],
            "vcpus": flavor["vcpus"],
            "started_at": precise(row["launched_us"] or row["created_us"]),
            "ended_at": precise(row["deleted_us"]) if row["deleted_us"] else None,
            "state": "terminated"
            if row["deleted_us"]
            else states.status_of(row["vm_state"], None).lower(),
            "uptime": max(0, until_us - (row["launched_us"] or row["created_us"])) // 1_000_000,
        }

    def _sum(
        self, target: str, held: Sequence[dict[str, Any]], period: tuple[int, int]
    ) -> dict[str, Any]:
        return {
            "tenant_id": target,
            "start": precise(period[0]),
            "stop": precise(period[1]),
            "total_hours": sum(one["hours"] for one in held),
            "total_local_gb_usage": sum(one["hours"] * one["local_gb"] for one in held),
            "total_memory_mb_usage": sum(one["hours"] * one["memory_mb"] for one in held),
            "total_vcpus_usage": sum(one["hours"] * one["vcpus"] for one in held),
        }

    async def list(self, call: Call) -> dict[str, Any]:
        """Of all projects."""
        call.allow()
        period = self._period(call)
        by_project: dict[str, Any] = {}
        for row in await self._servers(*period):
            by_project.setdefault(row["project_id"], []).append(self._one(row, *period))
        detailed = call.query.get("detailed") == "1"
        found = []
        for target, held in by_project.items():
            body = self._sum(target, held, period)
            if detailed:
                body["server_usages"] = held
            found.append(body)
        return {"tenant_usages": found}

    async def show(self, call: Call) -> dict[str, Any]:
        """Of one."""
        target = call.variables["target_id"]
        call.allow(of={"project_id": target})
        period = self._period(call)
        held = [self._one(row, *period) for row in await self._servers(*period, target)]
        if call.microversion >= (2, 40):
            found = listing.cut(call, held, "instance_id")
            held = found.rows
        if not held:
            return {"tenant_usage": {}}
        return {"tenant_usage": {**self._sum(target, held, period), "server_usages": held}}

    async def audit(self, call: Call) -> dict[str, Any]:
        """Nothing is audited: hosts report at once, and their servers are in SQL."""
        call.allow()
        return {"instance_usage_audit_logs": self._log(self._service.now_us())}

    async def audit_before(self, call: Call) -> dict[str, Any]:
        """The same, for a time."""
        call.allow()
        us = parsed(call.variables["before"])
        if us is None:
            raise bad_request(f"Invalid timestamp for date {call.variables['before'][:80]}")
        return {"instance_usage_audit_log": self._log(us)}

    def _log(self, until_us: int) -> dict[str, Any]:
        return {
            "hosts_not_run": [],
            "log": {},
            "num_hosts": 0,
            "num_hosts_done": 0,
            "num_hosts_not_run": 0,
            "num_hosts_running": 0,
            "overall_status": "ALL hosts done. 0 errors.",
            "period_beginning": precise(until_us - 30 * DAY_US),
            "period_ending": precise(until_us),
            "total_errors": 0,
            "total_instances": 0,
        }
