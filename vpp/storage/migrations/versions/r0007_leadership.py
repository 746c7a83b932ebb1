"""Table of the lease of leadership, one row, free."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table and its row."""
    leadership = op.create_table(
        "leadership",
        sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("holder", sa.String(255), nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("until_s", sa.Double, nullable=False),
        sa.Column("address", sa.String(255), nullable=False),
        sa.Column("renewals", sa.BigInteger, nullable=False),
        sa.Column("visits", sa.BigInteger, nullable=False),
    )
    free = {"one": 1, "holder": "", "epoch": 0, "until_s": 0.0, "address": "", "renewals": 0, "visits": 0}
    op.bulk_insert(leadership, [free])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("leadership")
