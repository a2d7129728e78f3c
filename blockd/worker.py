"""Does what block storage promised with 202; see core/worker.py."""

from __future__ import annotations

from blockd import messages, work
from blockd.deeds.table import DEEDS
from blockd.service import Service
from core.worker import Worker


def worker_of(service: Service) -> Worker[Service]:
    """One process's share of the work."""
    return Worker(service, work.BOOK, DEEDS, tidy=messages.forget_before)
