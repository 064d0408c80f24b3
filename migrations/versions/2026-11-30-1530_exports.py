"""Exports: snapshots of the catalogue as files."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_1530"
down_revision = "2026_11_30_1520"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "export",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("epoch", sa.UUID(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("assets", sa.Integer(), nullable=False),
        sa.CheckConstraint("sequence >= 0", name=op.f("ck_export_sequence")),
        sa.CheckConstraint("assets >= 0", name=op.f("ck_export_assets")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_export")),
    )
    op.create_table(
        "export_file",
        sa.Column("export_id", sa.UUID(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("object_key", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "format IN ('ndjson', 'ndjson.gz', 'ndjson.zst')", name=op.f("ck_export_file_format")
        ),
        sa.CheckConstraint("size_bytes >= 0", name=op.f("ck_export_file_size_bytes")),
        sa.CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name=op.f("ck_export_file_sha256")),
        sa.ForeignKeyConstraint(
            ["export_id"],
            ["export.id"],
            name=op.f("fk_export_file_export_id_export"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["object_key"],
            ["stored_object.key"],
            name=op.f("fk_export_file_object_key_stored_object"),
        ),
        sa.PrimaryKeyConstraint("export_id", "format", name=op.f("pk_export_file")),
    )
    op.create_index(op.f("ix_export_file_object_key"), "export_file", ["object_key"], unique=False)
    # Withdrawals are few, and each request for an export asks whether there was a later one.
    op.execute("SET LOCAL statement_timeout = 0")
    op.create_index(
        "ix_change_withdrawn",
        "change",
        ["sequence"],
        unique=False,
        postgresql_where=sa.text("kind = 'withdrawn'"),
    )


def downgrade() -> None:
    op.drop_index("ix_change_withdrawn", table_name="change")
    op.drop_table("export_file")
    op.drop_table("export")
