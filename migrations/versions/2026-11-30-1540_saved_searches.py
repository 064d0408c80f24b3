"""Saved searches and their alerts, and the index by which harvests find assets of a type."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_30_1540"
down_revision = "2026_11_30_1530"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "saved_search",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("query", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("alert", sa.Text(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.Column("watches_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("has_news", sa.Boolean(), nullable=False),
        sa.Column("mailed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_matched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "alert IN ('none', 'mail', 'webhook')", name=op.f("ck_saved_search_alert")
        ),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
            name=op.f("fk_saved_search_account_id_account"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_search")),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index(
        op.f("ix_saved_search_account_id_id"), "saved_search", ["account_id", "id"], unique=False
    )
    op.create_table(
        "saved_search_match",
        sa.Column("search_id", sa.UUID(), nullable=False),
        sa.Column("asset_id", sa.UUID(), nullable=False),
        sa.Column("matched_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["search_id"],
            ["saved_search.id"],
            name=op.f("fk_saved_search_match_search_id_saved_search"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("search_id", "asset_id", name=op.f("pk_saved_search_match")),
    )
    op.create_index(
        "ix_saved_search_match_untold",
        "saved_search_match",
        ["search_id"],
        unique=False,
        postgresql_where=sa.text("told_at IS NULL"),
    )
    op.create_index(
        op.f("ix_saved_search_match_matched_at"),
        "saved_search_match",
        ["matched_at"],
        unique=False,
    )
    # Of one short column: a million assets take a second or two, in which none is changed.
    op.create_index(op.f("ix_asset_type"), "asset", ["type"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_asset_type"), table_name="asset")
    op.drop_table("saved_search_match")
    op.drop_table("saved_search")
