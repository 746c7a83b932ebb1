"""Packed bodies of journal entries, beside bodies as text."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TABLES = ("journal", "torn_entries")


def upgrade() -> None:
    """Add the column; entries of before stay as they are."""
    for table in _TABLES:
        op.add_column(table, sa.Column("packed", sa.LargeBinary, nullable=True))


def downgrade() -> None:
    """Drop the column, which drops packed bodies."""
    for table in _TABLES:
        op.drop_column(table, "packed")
