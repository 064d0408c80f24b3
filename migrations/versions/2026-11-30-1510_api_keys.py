"""API keys, their secrets and what they were used for."""

revision = "2026_11_30_1510"
down_revision = "2026_11_30_1500"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
