"""The newsletter: subscribers, consent, editions and the ledger of their mails."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_24_1200"
down_revision = "2026_11_24_0000"
branch_labels = None
depends_on = None

# What a new installation offers; its editors make them their own.
FIRST_TOPICS = (
    (
        "stories",
        "story",
        {
            "en": {"name": "Stories", "description": "Written reports and what belongs to them"},
            "fr": {"name": "Articles", "description": "Les articles et ce qui les accompagne"},
        },
    ),
    (
        "videos",
        "video",
        {
            "en": {"name": "Video", "description": "New footage in broadcast quality"},
            "fr": {"name": "Vidéo", "description": "Nouvelles images en qualité de diffusion"},
        },
    ),
    (
        "images",
        "image",
        {
            "en": {"name": "Photos", "description": "New photographs"},
            "fr": {"name": "Photos", "description": "Nouvelles photographies"},
        },
    ),
    (
        "audio",
        "audio",
        {
            "en": {"name": "Audio", "description": "New interviews and sounds"},
            "fr": {"name": "Audio", "description": "Nouveaux entretiens et sons"},
        },
    ),
)


def upgrade() -> None:
    op.create_table(
        "newsletter_consent",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("email_hash", sa.LargeBinary(), nullable=False),
        sa.Column("subscriber_id", sa.UUID(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("text_version", sa.Text(), nullable=True),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("network", sa.Text(), nullable=True),
        sa.Column("user_agent", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "event IN ('requested', 'subscribed', 'changed', 'unsubscribed', 'suppressed', "
            "'address_changed', 'imported', 'erased')",
            name=op.f("ck_newsletter_consent_event"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_newsletter_consent")),
    )
    op.create_index(
        op.f("ix_newsletter_consent_email_hash"), "newsletter_consent", ["email_hash"], unique=False
    )
    op.create_index(
        op.f("ix_newsletter_consent_occurred_at"),
        "newsletter_consent",
        ["occurred_at"],
        unique=False,
    )
    op.create_index(
        op.f("ix_newsletter_consent_subscriber_id"),
        "newsletter_consent",
        ["subscriber_id"],
        unique=False,
    )
    op.create_table(
        "newsletter_delivery",
        sa.Column("edition_id", sa.UUID(), nullable=False),
        sa.Column("subscriber_id", sa.UUID(), nullable=False),
        sa.Column("variant", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("has_slot", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("doubts", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("first_tried_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("smtp_code", sa.SmallInteger(), nullable=True),
        sa.Column("smtp_status", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("bounced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("complained_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unsubscribed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'leased', 'sending', 'deferred', "
            "'sent', 'failed', 'unknown', 'skipped')",
            name=op.f("ck_newsletter_delivery_state"),
        ),
        sa.PrimaryKeyConstraint("edition_id", "subscriber_id", name=op.f("pk_newsletter_delivery")),
    )
    op.create_index(
        "ix_newsletter_delivery_due",
        "newsletter_delivery",
        ["edition_id", "due_at", "subscriber_id"],
        unique=False,
        postgresql_where=sa.text("state IN ('pending', 'leased', 'sending', 'deferred')"),
    )
    op.create_table(
        "newsletter_rate",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("allowed", sa.Double(), nullable=True),
        sa.Column("current", sa.Double(), nullable=True),
        sa.Column("given_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("slowed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("slowed_to", sa.Double(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_newsletter_rate")),
    )
    op.create_table(
        "newsletter_signup",
        sa.Column("email_key", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("request", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("mailed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("email_key", name=op.f("pk_newsletter_signup")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_newsletter_signup_token_hash")),
    )
    op.create_index(
        op.f("ix_newsletter_signup_expires_at"), "newsletter_signup", ["expires_at"], unique=False
    )
    op.create_table(
        "newsletter_subscriber",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_key", sa.Text(), nullable=False),
        sa.Column(
            "domain",
            sa.Text(),
            sa.Computed("lower(split_part(email_key, '@', 2))", persisted=True),
            nullable=False,
        ),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("topics", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("frequency", sa.Text(), nullable=False),
        sa.Column("subscribed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("bounce_score", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column("bounced_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "frequency IN ('each', 'daily', 'weekly')",
            name=op.f("ck_newsletter_subscriber_frequency"),
        ),
        sa.CheckConstraint(
            "state IN ('subscribed', 'unsubscribed', 'suppressed')",
            name=op.f("ck_newsletter_subscriber_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_newsletter_subscriber")),
        sa.UniqueConstraint("email_key", name=op.f("uq_newsletter_subscriber_email_key")),
    )
    op.create_table(
        "newsletter_suppression",
        sa.Column("email_hash", sa.LargeBinary(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "reason IN ('hard_bounce', 'soft_bounces', 'complaint', 'erased', 'editor')",
            name=op.f("ck_newsletter_suppression_reason"),
        ),
        sa.PrimaryKeyConstraint("email_hash", name=op.f("pk_newsletter_suppression")),
    )
    op.create_table(
        "newsletter_topic",
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("labels", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("terms", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name=op.f("ck_newsletter_topic_slug")
        ),
        sa.PrimaryKeyConstraint("slug", name=op.f("pk_newsletter_topic")),
    )
    op.create_table(
        "newsletter_edition",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("frequency", sa.Text(), nullable=False),
        sa.Column("topics", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("translations", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("from_name", sa.Text(), nullable=True),
        sa.Column("in_archive", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("pause_reason", sa.Text(), nullable=True),
        sa.Column("send_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.UUID(), nullable=True),
        sa.Column("fanned_out_to", sa.UUID(), nullable=True),
        sa.Column("fanned_out_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recipients", sa.Integer(), nullable=False),
        sa.Column("totals", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint(
            "frequency IN ('each', 'daily', 'weekly')", name=op.f("ck_newsletter_edition_frequency")
        ),
        sa.CheckConstraint(
            "kind IN ('edition', 'digest')", name=op.f("ck_newsletter_edition_kind")
        ),
        sa.CheckConstraint(
            "state IN ('draft', 'scheduled', 'sending', 'paused', 'sent', 'cancelled')",
            name=op.f("ck_newsletter_edition_state"),
        ),
        sa.ForeignKeyConstraint(
            ["created_by"],
            ["account.id"],
            name=op.f("fk_newsletter_edition_created_by_account"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_newsletter_edition")),
        sa.UniqueConstraint("number", name=op.f("uq_newsletter_edition_number")),
    )
    op.create_index(
        "ix_newsletter_edition_active",
        "newsletter_edition",
        ["state", "send_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('scheduled', 'sending', 'paused')"),
    )
    op.create_index(
        op.f("ix_newsletter_edition_created_by"), "newsletter_edition", ["created_by"], unique=False
    )
    op.create_index(
        op.f("ix_newsletter_edition_started_at_id"),
        "newsletter_edition",
        ["started_at", "id"],
        unique=False,
    )
    op.create_table(
        "newsletter_digest",
        sa.Column("frequency", sa.Text(), nullable=False),
        sa.Column("covered_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("edition_id", sa.UUID(), nullable=True),
        sa.CheckConstraint(
            "frequency IN ('daily', 'weekly')", name=op.f("ck_newsletter_digest_frequency")
        ),
        sa.ForeignKeyConstraint(
            ["edition_id"],
            ["newsletter_edition.id"],
            name=op.f("fk_newsletter_digest_edition_id_newsletter_edition"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("frequency", name=op.f("pk_newsletter_digest")),
    )
    op.create_index(
        op.f("ix_newsletter_digest_edition_id"), "newsletter_digest", ["edition_id"], unique=False
    )
    op.create_table(
        "newsletter_message",
        sa.Column("edition_id", sa.UUID(), nullable=False),
        sa.Column("variant", sa.SmallInteger(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("topics", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("preheader", sa.Text(), nullable=False),
        sa.Column("frozen", sa.LargeBinary(), nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["edition_id"],
            ["newsletter_edition.id"],
            name=op.f("fk_newsletter_message_edition_id_newsletter_edition"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("edition_id", "variant", name=op.f("pk_newsletter_message")),
    )
    # Evidence is added, and one day deleted by its term; nobody rewrites it.
    op.execute("""
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME; END $$
    """)
    op.execute("""
        CREATE TRIGGER never_changed BEFORE UPDATE ON newsletter_consent
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """)
    topics = sa.table(
        "newsletter_topic",
        sa.column("slug", sa.Text),
        sa.column("labels", postgresql.JSONB),
        sa.column("terms", postgresql.ARRAY(sa.Text)),
        sa.column("position", sa.Integer),
    )
    op.bulk_insert(
        topics,
        [
            {"slug": slug, "labels": labels, "terms": [f"type:{asset_type}"], "position": position}
            for position, (slug, asset_type, labels) in enumerate(FIRST_TOPICS)
        ],
    )


def downgrade() -> None:
    op.drop_table("newsletter_message")
    op.drop_index(op.f("ix_newsletter_digest_edition_id"), table_name="newsletter_digest")
    op.drop_table("newsletter_digest")
    op.drop_index(op.f("ix_newsletter_edition_started_at_id"), table_name="newsletter_edition")
    op.drop_index(op.f("ix_newsletter_edition_created_by"), table_name="newsletter_edition")
    op.drop_index(
        "ix_newsletter_edition_active",
        table_name="newsletter_edition",
        postgresql_where=sa.text("state IN ('scheduled', 'sending', 'paused')"),
    )
    op.drop_table("newsletter_edition")
    op.drop_table("newsletter_topic")
    op.drop_table("newsletter_suppression")
    op.drop_table("newsletter_subscriber")
    op.drop_index(op.f("ix_newsletter_signup_expires_at"), table_name="newsletter_signup")
    op.drop_table("newsletter_signup")
    op.drop_table("newsletter_rate")
    op.drop_index(
        "ix_newsletter_delivery_due",
        table_name="newsletter_delivery",
        postgresql_where=sa.text("state IN ('pending', 'leased', 'sending', 'deferred')"),
    )
    op.drop_table("newsletter_delivery")
    op.drop_index(op.f("ix_newsletter_consent_subscriber_id"), table_name="newsletter_consent")
    op.drop_index(op.f("ix_newsletter_consent_occurred_at"), table_name="newsletter_consent")
    op.drop_index(op.f("ix_newsletter_consent_email_hash"), table_name="newsletter_consent")
    op.drop_table("newsletter_consent")
    op.execute("DROP FUNCTION refuse_change")
