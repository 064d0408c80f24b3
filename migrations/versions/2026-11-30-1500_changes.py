"""The change feed: every change of the public catalogue, numbered in the order of the commits."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_1500"
down_revision = "2026_11_24_1200"
branch_labels = None
depends_on = None

# Runs when the transaction is about to commit, after its last statement: the lock on the one row of
# change_feed is held for the shortest time, and whoever holds it waits for no other lock.
NUMBERING = """
    CREATE FUNCTION number_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE next_sequence bigint;
    BEGIN
        UPDATE change_feed SET last_sequence = last_sequence + 1
            RETURNING last_sequence INTO STRICT next_sequence;
        UPDATE change SET sequence = next_sequence, committed_at = clock_timestamp()
            WHERE id = NEW.id;
        PERFORM pg_notify('changes', next_sequence::text);
        RETURN NULL;
    END $$
"""
TRIGGER = """
    CREATE CONSTRAINT TRIGGER number_change AFTER INSERT ON change
        DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.sequence IS NULL) EXECUTE FUNCTION number_change()
"""
# What was public, or had been, before there was a feed.
EARLIER = """
    INSERT INTO change (id, sequence, kind, asset_id, version, occurred_at, committed_at, is_latest)
    SELECT gen_random_uuid(), row_number() OVER (ORDER BY changed_at, id),
           CASE state WHEN 'withdrawn' THEN 'withdrawn' ELSE 'created' END,
           id, version, changed_at, now(), true
      FROM (SELECT id, state, version, coalesce(withdrawn_at, published_at) AS changed_at
              FROM asset WHERE state IN ('published', 'withdrawn')) AS earlier
"""


def upgrade() -> None:
    op.create_table(
        "change_feed",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.UUID(), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("database", sa.Text(), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("ck_change_feed_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_change_feed")),
    )
    op.create_table(
        "change",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("asset_id", sa.UUID(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("committed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_latest", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('created', 'updated', 'withdrawn')", name=op.f("ck_change_kind")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_change")),
        sa.UniqueConstraint("sequence", name=op.f("uq_change_sequence")),
    )
    # A million earlier assets take longer than other steps may.
    op.execute("SET LOCAL statement_timeout = 0")
    op.execute(EARLIER)
    op.create_index(
        "ix_change_latest_sequence",
        "change",
        ["sequence"],
        unique=False,
        postgresql_where=sa.text("is_latest"),
    )
    op.create_index(
        "uq_change_latest",
        "change",
        ["asset_id"],
        unique=True,
        postgresql_where=sa.text("is_latest"),
    )
    op.create_index(
        "ix_change_committed_at",
        "change",
        ["committed_at", "asset_id"],
        unique=False,
        postgresql_where=sa.text("is_latest"),
    )
    op.execute(
        "INSERT INTO change_feed (id, epoch, last_sequence)"
        " SELECT 1, gen_random_uuid(), count(*) FROM change"
    )
    op.execute(NUMBERING)
    op.execute(TRIGGER)


def downgrade() -> None:
    op.drop_table("change")
    op.drop_table("change_feed")
    op.execute("DROP FUNCTION number_change()")
