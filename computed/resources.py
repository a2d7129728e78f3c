"""Every kind of resource of the Compute API: what is in this list is served."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from computed.api.accounts import Limits, Quotas, Usage
from computed.api.aggregates import Aggregates, ServerGroups
from computed.api.backends import Hypervisors, OldHosts, Services, Zones
from computed.api.events import Events
from computed.api.flavors import Flavors
from computed.api.host_calls import HostCalls
from computed.api.keypairs import Keypairs
from computed.api.plugs import Interfaces, VolumeAttachments
from computed.api.proxies import ImageProxy, NetworkProxy
from computed.api.records import Consoles, Facts, InstanceActions, Migrations
from computed.api.server_actions import ServerActions
from computed.api.server_items import Metadata, Password, Tags
from computed.api.servers import Servers
from computed.api.volume_proxy import VolumeProxy
from computed.service import Service

RESOURCES: tuple[Callable[[Service], Any], ...] = (
    HostCalls,
    Servers,
    ServerActions,
    Metadata,
    Tags,
    Password,
    VolumeAttachments,
    Interfaces,
    InstanceActions,
    Migrations,
    Consoles,
    Facts,
    Flavors,
    Keypairs,
    Services,
    Hypervisors,
    OldHosts,
    Zones,
    Aggregates,
    ServerGroups,
    Quotas,
    Limits,
    Usage,
    Events,
    ImageProxy,
    NetworkProxy,
    VolumeProxy,
)
