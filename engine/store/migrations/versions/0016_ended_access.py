"""Users: when their access ended last."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("user", sa.Column("access_ended_at", sa.Float(), nullable=True))


def downgrade() -> None:
    op.drop_column("user", "access_ended_at")
