"""`/` and `/v3`: which versions there are, and where; and the list of extensions that v2 had."""

from __future__ import annotations

from typing import Any

from blockd.version import MICROVERSIONS
from core.api.call import Answer, Call
from core.api.microversion import version_text
from core.api.route import OWN, PUBLIC, Route

UPDATED = "2023-08-31T00:00:00Z"  # of the highest microversion


def version(call: Call) -> dict[str, Any]:
    """The one version's entry."""
    return {
        "id": "v3.0",
        "status": "CURRENT",
        "version": version_text(MICROVERSIONS.highest),
        "min_version": version_text(MICROVERSIONS.lowest),
        "updated": UPDATED,
        "links": [
            {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"},
            {"rel": "self", "href": call.url("v3", "")},
        ],
        "media-types": [
            {"base": "application/json", "type": "application/vnd.openstack.volume+json;version=3"}
        ],
    }


class Discovery:
    """What is served."""

    def routes(self) -> list[Route]:
        """The entry points, with and without a slash at the end."""
        return [
            Route("GET", "/", PUBLIC, self.choices, 300),
            Route("GET", "/v3", PUBLIC, self.one),
            Route("GET", "/v3/extensions", OWN, self.extensions),
            Route("GET", "/v3/{project_id}/extensions", OWN, self.extensions),
        ]

    async def choices(self, call: Call) -> dict[str, Any]:
        """All versions."""
        return {"versions": [version(call)]}

    async def one(self, call: Call) -> dict[str, Any]:
        """Version 3."""
        return {"versions": [version(call)]}

    async def extensions(self, call: Call) -> Answer:
        """What version 2 called extensions: all of it is part of version 3."""
        del call
        shown = [
            {
                "alias": alias,
                "name": name,
                "description": f"{name} support.",
                "updated": "2013-06-27T00:00:00+00:00",
                "links": [],
            }
            for alias, name in EXTENSIONS.items()
        ]
        return Answer({"extensions": shown})


EXTENSIONS = {
    "OS-SCH-HNT": "SchedulerHints",
    "backups": "Backups",
    "capabilities": "Capabilities",
    "encryption": "VolumeEncryptionMetadata",
    "os-admin-actions": "AdminActions",
    "os-availability-zone": "AvailabilityZones",
    "os-extended-services": "ExtendedServices",
    "os-extended-snapshot-attributes": "ExtendedSnapshotAttributes",
    "os-hosts": "Hosts",
    "os-quota-class-sets": "QuotaClasses",
    "os-quota-sets": "Quotas",
    "os-services": "Services",
    "os-snapshot-actions": "SnapshotActions",
    "os-snapshot-manage": "SnapshotManage",
    "os-snapshot-unmanage": "SnapshotUnmanage",
    "os-types-extra-specs": "TypesExtraSpecs",
    "os-types-manage": "TypesManage",
    "os-used-limits": "UsedLimits",
    "os-vol-host-attr": "VolumeHostAttribute",
    "os-vol-image-meta": "VolumeImageMetadata",
    "os-vol-mig-status-attr": "VolumeMigStatusAttribute",
    "os-vol-tenant-attr": "VolumeTenantAttribute",
    "os-volume-actions": "VolumeActions",
    "os-volume-encryption-metadata": "VolumeEncryptionMetadata",
    "os-volume-manage": "VolumeManage",
    "os-volume-transfer": "VolumeTransfer",
    "os-volume-type-access": "VolumeTypeAccess",
    "os-volume-unmanage": "VolumeUnmanage",
    "qos-specs": "Qos_specs_manage",
    "scheduler-stats": "Scheduler_stats",
}
