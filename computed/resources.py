"""Every kind of resource of the Compute API: what is in this list is served."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from computed.api.host_calls import HostCalls
from computed.api.servers import Servers
from computed.service import Service

RESOURCES: tuple[Callable[[Service], Any], ...] = (HostCalls, Servers)
