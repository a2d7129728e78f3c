"""`/os-quota-sets`, `/os-quota-class-sets` and `/limits`."""

from __future__ import annotations

from typing import Any

from blockd import quotas
from blockd.api.paths import both
from blockd.api.shape import number, one
from blockd.listing import truth as asked
from blockd.service import Service
from blockd.sight import named_project
from core import rows
from core.api.call import Call
from core.api.fault import bad_request
from core.api.route import Route
from core.api.shape import Shape
from core.database import Connection

LIMIT_MAX = 2**31 - 1
QUOTA_SET = one("quota_set", Shape({}))
CLASS_SET = one("quota_class_set", Shape({}))
IGNORED = frozenset({"id", "tenant_id", "project_id", "class_name", "skip_validation"})
ABSOLUTE = {
    "maxTotalVolumes": ("limit", "volumes"),
    "maxTotalSnapshots": ("limit", "snapshots"),
    "maxTotalVolumeGigabytes": ("limit", "gigabytes"),
    "maxTotalBackups": ("limit", "backups"),
    "maxTotalBackupGigabytes": ("limit", "backup_gigabytes"),
    "totalVolumesUsed": ("used", "volumes"),
    "totalGigabytesUsed": ("used", "gigabytes"),
    "totalSnapshotsUsed": ("used", "snapshots"),
    "totalBackupsUsed": ("used", "backups"),
    "totalBackupGigabytesUsed": ("used", "backup_gigabytes"),
}


def wanted_limits(given: dict[str, Any], known: dict[str, int]) -> dict[str, int]:
    """The limits in a body. Raises Fault 400 for a resource that is not there or a value that is none."""
    found = {}
    for name, value in given.items():
        if name in IGNORED:
            continue
        if name not in known:
            raise bad_request(f"Bad key(s) in quota set: {name[:80]}")
        found[name] = number(value, name, -1, LIMIT_MAX)
    return found


class QuotaSets:
    """Quotas of projects."""

    def __init__(self, service: Service) -> None:
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        single, rule = "/os-quota-sets/{target_id}", "volume_extension:quotas"
        return both(
            [
                Route("GET", single, f"{rule}:show", self.show),
                Route("GET", f"{single}/defaults", f"{rule}:show", self.defaults),
                Route("PUT", single, f"{rule}:update", self.update, 200, QUOTA_SET),
                Route("DELETE", single, f"{rule}:delete", self.delete),
            ]
        )

    def _target(self, call: Call) -> str:
        call.allow(of={"project_id": call.variables["target_id"]})
        return named_project(call)

    async def show(self, call: Call) -> dict[str, Any]:
        """Limits of a project, with what it uses when asked."""
        target_id = self._target(call)
        usage = asked(call.query.get("usage") or "false", "usage")
        async with self._database.read() as db:
            limits = await quotas.limits_of(db, target_id)
            used = await quotas.used_by(db, target_id) if usage else {}
        shown: dict[str, Any] = dict(limits)
        if usage:
            shown = {
                name: {"limit": limit, "in_use": used.get(name, 0), "reserved": 0}
                for name, limit in limits.items()
            }
        return {"quota_set": {"id": target_id, **shown}}

    async def defaults(self, call: Call) -> dict[str, Any]:
        """Limits of a project that has none of its own."""
        target_id = self._target(call)
        async with self._database.read() as db:
            limits = await quotas.defaults(db)
        return {"quota_set": {"id": target_id, **limits}}

    async def update(self, call: Call) -> dict[str, Any]:
        """Change some limits."""
        target_id = self._target(call)
        table = quotas.LIMITS
        async with self._database.write() as db:
            known = await quotas.limits_of(db, target_id)
            for name, limit in wanted_limits(call.part("quota_set"), known).items():
                same = (table.c.project_id == target_id, table.c.resource == name)
                await rows.delete(db, table, *same)
                row = {"project_id": target_id, "resource": name, "hard_limit": limit}
                await rows.insert(db, table, row)
            limits = await quotas.limits_of(db, target_id)
        return {"quota_set": limits}

    async def delete(self, call: Call) -> None:
        """Back to the defaults."""
        target_id = self._target(call)
        async with self._database.write() as db:
            await rows.delete(db, quotas.LIMITS, quotas.LIMITS.c.project_id == target_id)


class QuotaClasses:
    """Quotas of classes; `default` holds for every project."""

    def __init__(self, service: Service) -> None:
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        single, rule = "/os-quota-class-sets/{class_name}", "volume_extension:quota_classes"
        return both(
            [
                Route("GET", single, f"{rule}:get", self.show),
                Route("PUT", single, f"{rule}:update", self.update, 200, CLASS_SET),
            ]
        )

    async def show(self, call: Call) -> dict[str, Any]:
        """Limits of a class."""
        call.allow()
        name = call.variables["class_name"]
        async with self._database.read() as db:
            limits = await quotas.defaults(db, name)
        return {"quota_class_set": {"id": name, **limits}}

    async def update(self, call: Call) -> dict[str, Any]:
        """Change some of them."""
        call.allow()
        name = call.variables["class_name"]
        if len(name) > 255:
            raise bad_request("The name of the class is too long.")
        table = quotas.CLASSES
        async with self._database.write() as db:
            known = await quotas.defaults(db, name)
            for resource, limit in wanted_limits(call.part("quota_class_set"), known).items():
                same = (table.c.class_name == name, table.c.resource == resource)
                await rows.delete(db, table, *same)
                row = {"class_name": name, "resource": resource, "hard_limit": limit}
                await rows.insert(db, table, row)
            limits = await quotas.defaults(db, name)
        return {"quota_class_set": limits}


class Limits:
    """What a project may use and does."""

    def __init__(self, service: Service) -> None:
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        return both([Route("GET", "/limits", "limits_extension:used_limits", self.show)])

    async def show(self, call: Call) -> dict[str, Any]:
        """The caller's project; from 3.39 an administrator may name another."""
        call.allow(of={"project_id": call.identity.project_id})
        project_id = call.identity.project_id
        other = call.query.get("project_id") or call.query.get("tenant_id")
        if other and call.microversion >= (3, 39) and call.may("context_is_admin"):
            project_id = other
        async with self._database.read() as db:
            absolute = await self._absolute(db, project_id)
        return {"limits": {"rate": [], "absolute": absolute}}

    async def _absolute(self, db: Connection, project_id: str) -> dict[str, int]:
        figures = {
            "limit": await quotas.limits_of(db, project_id),
            "used": await quotas.used_by(db, project_id),
        }
        return {name: figures[kind][resource] for name, (kind, resource) in ABSOLUTE.items()}
