"""Every kind of resource of the Block Storage API: what is in this list is served."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from blockd.api.attachments import Attachments
from blockd.api.backends import Hosts, Pools, Services
from blockd.api.backups import Backups
from blockd.api.extra_specs import EncryptionTypes, ExtraSpecs
from blockd.api.group_snapshots import GroupSnapshots
from blockd.api.group_types import GroupTypes
from blockd.api.groups import Groups
from blockd.api.management import Management
from blockd.api.metadata import snapshot_metadata, volume_metadata
from blockd.api.notes import DefaultTypes, Messages, ResourceFilters, VolumeEncryption
from blockd.api.qos import QosSpecs
from blockd.api.quotas import Limits, QuotaClasses, QuotaSets
from blockd.api.snapshots import Snapshots
from blockd.api.transfers import new_transfers, old_transfers
from blockd.api.volume_actions import VolumeActions
from blockd.api.volume_types import VolumeTypes
from blockd.api.volumes import Volumes
from blockd.service import Service

RESOURCES: tuple[Callable[[Service], Any], ...] = (
    Volumes,
    VolumeActions,
    volume_metadata,
    VolumeEncryption,
    VolumeTypes,
    ExtraSpecs,
    EncryptionTypes,
    QosSpecs,
    Snapshots,
    snapshot_metadata,
    Management,
    Attachments,
    old_transfers,
    new_transfers,
    Backups,
    GroupTypes,
    Groups,
    GroupSnapshots,
    QuotaSets,
    QuotaClasses,
    Limits,
    Services,
    Hosts,
    Pools,
    Messages,
    ResourceFilters,
    DefaultTypes,
)
