"""SQL tables of servers. A table is declared where its noun is; importing this package knows all."""

from __future__ import annotations

from computed.tables import flavor, host, provider, server, work
from computed.tables.metadata import metadata

__all__ = ["flavor", "host", "metadata", "provider", "server", "work"]
