"""Does what servers were promised with 202; see core/worker.py."""

from __future__ import annotations

from computed import servers
from computed.deeds.table import DEEDS
from computed.service import Service
from computed.tidying import forget
from core.worker import Worker

SIDE_BY_SIDE = 64  # most of it waits for hosts


def worker_of(service: Service) -> Worker[Service]:
    """One process's share of the work."""
    return Worker(service, servers.BOOK, DEEDS, tidy=forget, side_by_side=SIDE_BY_SIDE)
