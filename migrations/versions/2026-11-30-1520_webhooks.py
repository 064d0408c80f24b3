"""Webhooks: endpoints and the ledger of their deliveries."""

revision = "2026_11_30_1520"
down_revision = "2026_11_30_1510"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
