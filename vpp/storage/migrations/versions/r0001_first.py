"""The first schema: journal, registry, frames, counters."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables and the two counters at zero."""
    _create_decisions()
    _create_measurements()
    counters = op.create_table(
        "counters",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(counters, [{"name": "leader_epoch", "value": 0}, {"name": "command_id", "value": 0}])


def downgrade() -> None:
    """Drop every table."""
    for table in ("counters", "telemetry_frames", "interval_frames", "registry", "journal"):
        op.drop_table(table)


def _create_decisions() -> None:
    op.create_table(
        "journal",
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(80), nullable=False),
        sa.Column("at_s", sa.Double, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
    )
    op.create_index("ix_journal_kind", "journal", ["kind"])
    op.create_table(
        "registry",
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("id", sa.String(255), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.UniqueConstraint("kind", "id", name="uq_registry_kind_id"),
    )


def _create_measurements() -> None:
    op.create_table(
        "interval_frames",
        sa.Column("start_s", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("n_rows", sa.Integer, nullable=False),
        sa.Column("mean_kw", sa.LargeBinary, nullable=False),
        sa.Column("completeness", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "telemetry_frames",
        sa.Column("frame", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("cycle", sa.BigInteger, nullable=False),
        sa.Column("at_s", sa.Double, nullable=False),
        sa.Column("samples", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_telemetry_frames_at_s", "telemetry_frames", ["at_s"])
