"""EC2 credentials are found by the access key they have now, not by that of their id."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the change."""
    with op.batch_alter_table("identity_credential", schema=None) as batch_op:
        batch_op.add_column(sa.Column("lookup", sa.String(length=64), nullable=True))
        batch_op.create_unique_constraint(batch_op.f("uq_identity_credential_lookup"), ["lookup"])

    op.execute("UPDATE identity_credential SET lookup = id WHERE lower(type) = 'ec2'")
