"""Table of the names behind the journal's tokens, and the first entry that has tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None
_SEALED_FROM = "sealed_from"


def upgrade() -> None:
    """Create the table; note where names end to stand in entries themselves."""
    op.create_table(
        "subjects",
        sa.Column("token", sa.String(40), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False, index=True),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    connection = op.get_bind()
    ends = (sa.text("SELECT max(sequence) FROM journal"), sa.text("SELECT max(last) FROM archived_segments"))
    last = [connection.execute(end).scalar() or 0 for end in ends]
    facts = sa.table("facts", sa.column("name"), sa.column("value"))
    connection.execute(sa.insert(facts).values(name=_SEALED_FROM, value=str(max(last) + 1)))


def downgrade() -> None:
    """Drop the table; the names are gone with it."""
    op.execute(sa.text("DELETE FROM facts WHERE name = 'sealed_from'"))
    op.drop_table("subjects")
