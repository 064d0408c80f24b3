"""API keys, their secrets and what they were used for."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_30_1510"
down_revision = "2026_11_30_1500"
branch_labels = None
depends_on = None

COUNTS = ("calls", "response_bytes", "downloads", "download_bytes")
# Until the index that counts an account and its keys together is gone.
COUNTED, NEW_NAME, BY_KEY = "uq_download_counted", "uq_download_new", "uq_download_counted_by_key"
BY_KEY_ALONE = "ix_download_key_id"


def upgrade() -> None:
    # First what is committed bit by bit, in a way that lets a broken try be repeated.
    with op.get_context().autocommit_block():
        op.execute(
            "ALTER TABLE download ADD COLUMN IF NOT EXISTS key_id uuid,"
            " ADD COLUMN IF NOT EXISTS by_key boolean NOT NULL DEFAULT false"
        )
        # A long history takes longer to index than other steps may.
        op.execute("SET statement_timeout = 0")
        _index_downloads(NEW_NAME, "rendition_id, day, account_id", "is_counted AND NOT by_key")
        _index_downloads(BY_KEY, "rendition_id, day, key_id", "is_counted AND by_key")
        _index_downloads(BY_KEY_ALONE, "key_id", "key_id IS NOT NULL", kind="INDEX")
        op.execute("SET statement_timeout = '60s'")
    op.execute(f"DROP INDEX {COUNTED}")
    op.execute(f"ALTER INDEX {NEW_NAME} RENAME TO {COUNTED}")
    _create_keys()
    _create_what_hangs_on_keys()
    op.add_column("session", sa.Column("password_proven_at", sa.DateTime(timezone=True)))
    op.create_foreign_key(
        op.f("fk_download_key_id_api_key"),
        "download",
        "api_key",
        ["key_id"],
        ["id"],
        ondelete="SET NULL",
    )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET statement_timeout = 0")
        # Whoever took a file itself and by a key counted twice, which the former index forbids.
        op.execute("UPDATE download SET is_counted = false WHERE is_counted AND by_key")
        _index_downloads(NEW_NAME, "rendition_id, day, account_id", "is_counted")
        op.execute("SET statement_timeout = '60s'")
    op.execute(f"DROP INDEX {COUNTED}")
    op.execute(f"ALTER INDEX {NEW_NAME} RENAME TO {COUNTED}")
    op.drop_column("download", "by_key")
    op.drop_column("download", "key_id")
    op.drop_column("session", "password_proven_at")
    op.drop_table("api_key_usage")
    op.drop_table("revoked_token")
    op.drop_table("api_key_secret")
    op.drop_table("api_key")


def _index_downloads(name: str, columns: str, condition: str, kind: str = "UNIQUE INDEX") -> None:
    """A broken try may have left an index that is not valid."""
    op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    op.execute(f"CREATE {kind} CONCURRENTLY {name} ON download ({columns}) WHERE {condition}")


def _create_keys() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
            name=op.f("fk_api_key_account_id_account"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
    )
    op.create_index(op.f("ix_api_key_account_id_id"), "api_key", ["account_id", "id"])


def _create_what_hangs_on_keys() -> None:
    op.create_table(
        "api_key_secret",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        _key_id(),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        _foreign_key("api_key_secret"),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_api_key_secret")),
    )
    op.create_index(
        "uq_api_key_secret_current",
        "api_key_secret",
        ["key_id"],
        unique=True,
        postgresql_where=sa.text("expires_at IS NULL"),
    )
    op.create_index(op.f("ix_api_key_secret_key_id"), "api_key_secret", ["key_id"])
    op.create_table(
        "revoked_token",
        sa.Column("jti", sa.UUID(), nullable=False),
        _key_id(),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        _foreign_key("revoked_token"),
        sa.PrimaryKeyConstraint("jti", name=op.f("pk_revoked_token")),
    )
    op.create_index(op.f("ix_revoked_token_key_id"), "revoked_token", ["key_id"])
    counts = [
        sa.Column(name, sa.BigInteger(), server_default="0", nullable=False) for name in COUNTS
    ]
    op.create_table(
        "api_key_usage",
        _key_id(),
        sa.Column("day", sa.Date(), nullable=False),
        *counts,
        _foreign_key("api_key_usage"),
        sa.PrimaryKeyConstraint("key_id", "day", name=op.f("pk_api_key_usage")),
    )


def _key_id() -> "sa.Column[object]":
    return sa.Column("key_id", sa.UUID(), nullable=False)


def _foreign_key(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_key_id_api_key")
    return sa.ForeignKeyConstraint(["key_id"], ["api_key.id"], name=name, ondelete="CASCADE")
