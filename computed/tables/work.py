"""What was promised with 202 and is not done yet; see core/work.py."""

from __future__ import annotations

from computed.tables.metadata import metadata
from core.work import work_table

work = work_table("compute_work", metadata)
