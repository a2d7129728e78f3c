"""What was promised with 202 and is not done yet: each row has a deadline, and an owner while somebody is at it.

A row is written in the transaction that puts its subject into an `-ing` status and removed in the one that ends that
status, so that nothing stays in one without somebody who will end it.
"""

from __future__ import annotations

import sqlalchemy as sa

from blockd.tables.metadata import metadata
from core.columns import id_column, number_column, object_column, text_column, time_column

work = sa.Table(
    "block_work",
    metadata,
    id_column(),
    text_column("kind"),
    text_column("subject_id", index=True),
    text_column("project_id"),
    text_column("user_id"),
    text_column("request_id"),
    object_column("parameters"),
    number_column("attempts"),
    text_column("owner", nullable=True),
    time_column("lease_us"),
    time_column("created_us"),
    time_column("deadline_us"),
)
