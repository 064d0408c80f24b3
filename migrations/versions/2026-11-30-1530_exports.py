"""Exports: snapshots of the catalogue as files."""

revision = "2026_11_30_1530"
down_revision = "2026_11_30_1520"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
