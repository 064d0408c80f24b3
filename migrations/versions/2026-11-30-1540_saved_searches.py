"""Saved searches and their alerts."""

revision = "2026_11_30_1540"
down_revision = "2026_11_30_1530"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
