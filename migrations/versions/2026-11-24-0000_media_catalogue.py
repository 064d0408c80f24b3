"""The whole catalogue: versions, search, uploads, captions, collections, keywords."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_24_0000"
down_revision = "2026_11_23_2010"
branch_labels = None
depends_on = None

RENDITION_STATES = "state IN ('pending', 'processing', 'ready', 'failed', 'replaced')"
EARLIER_RENDITION_STATES = "state IN ('pending', 'processing', 'ready', 'failed')"


def upgrade() -> None:
    op.create_table(
        "collection",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("translations", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("location", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("starts_on", sa.Date(), nullable=True),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('series', 'event', 'collection')", name=op.f("ck_collection_kind")
        ),
        sa.CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name=op.f("ck_collection_slug")),
        sa.CheckConstraint("ends_on >= starts_on", name=op.f("ck_collection_dates")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collection")),
        sa.UniqueConstraint("slug", name=op.f("uq_collection_slug")),
    )
    op.create_table(
        "facet_count",
        sa.Column("term", sa.Text(), nullable=False),
        sa.Column(
            "facet",
            sa.Text(),
            sa.Computed("split_part(term, ':', 1)", persisted=True),
            nullable=False,
        ),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("term", name=op.f("pk_facet_count")),
    )
    op.create_index(
        "ix_facet_count_facet_count",
        "facet_count",
        ["facet", sa.literal_column("count DESC")],
        unique=False,
        postgresql_where=sa.text("count > 0"),
    )
    op.create_table(
        "keyword",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.Column("labels", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keyword")),
        sa.UniqueConstraint("folded", name=op.f("uq_keyword_folded")),
    )
    op.create_table(
        "stored_object",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "claimed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name=op.f("ck_stored_object_sha256")),
        sa.CheckConstraint("size_bytes >= 0", name=op.f("ck_stored_object_size_bytes")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_stored_object")),
    )
    op.create_index(op.f("ix_stored_object_sha256"), "stored_object", ["sha256"], unique=False)
    op.create_table(
        "condemned_object",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("condemned_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_condemned_object")),
    )
    op.create_table(
        "asset_relation",
        sa.Column("asset_id", sa.UUID(), nullable=False),
        sa.Column("related_id", sa.UUID(), nullable=False),
        sa.Column("rel", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset_id"],
            ["asset.id"],
            name=op.f("fk_asset_relation_asset_id_asset"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["related_id"],
            ["asset.id"],
            name=op.f("fk_asset_relation_related_id_asset"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("asset_id", "related_id", name=op.f("pk_asset_relation")),
    )
    op.create_index(
        op.f("ix_asset_relation_related_id"), "asset_relation", ["related_id"], unique=False
    )
    op.create_table(
        "asset_search",
        sa.Column("asset_id", sa.UUID(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("title", sa.Text(collation="C"), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("terms", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("head", postgresql.TSVECTOR(), nullable=False),
        sa.Column("vector", postgresql.TSVECTOR(), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset_id"],
            ["asset.id"],
            name=op.f("fk_asset_search_asset_id_asset"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("asset_id", name=op.f("pk_asset_search")),
    )
    op.create_index(
        "ix_asset_search_published_at", "asset_search", ["published_at", "asset_id"], unique=False
    )
    op.create_index("ix_asset_search_title", "asset_search", ["title", "asset_id"], unique=False)
    op.create_index(
        "ix_asset_search_updated_at", "asset_search", ["updated_at", "asset_id"], unique=False
    )
    op.create_index(
        "ix_asset_search_found",
        "asset_search",
        ["terms", "vector"],
        unique=False,
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    )
    # Read to check a phrase, when unpacking would take longer than reading; and read by every
    # search, ten thousand at a time.
    op.execute("ALTER TABLE asset_search ALTER COLUMN vector SET STORAGE EXTERNAL")
    op.execute("ALTER TABLE asset_search ALTER COLUMN head SET STORAGE MAIN")
    # One vector of the vectors that a text has for its languages and weights.
    op.execute(
        "CREATE AGGREGATE tsvector_join(tsvector)"
        " (SFUNC = tsvector_concat, STYPE = tsvector, INITCOND = '')"
    )
    op.create_table(
        "asset_version",
        sa.Column("asset_id", sa.UUID(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("changes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('created', 'edited', 'scheduled', 'unscheduled', 'published', 'corrected',"
            "'files', 'rendered', 'withdrawn')",
            name=op.f("ck_asset_version_kind"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
            name=op.f("fk_asset_version_account_id_account"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["asset_id"],
            ["asset.id"],
            name=op.f("fk_asset_version_asset_id_asset"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("asset_id", "version", name=op.f("pk_asset_version")),
    )
    op.create_table(
        "caption",
        sa.Column("asset_id", sa.UUID(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("webvtt", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('captions', 'subtitles')", name=op.f("ck_caption_kind")),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["asset.id"], name=op.f("fk_caption_asset_id_asset"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("asset_id", "language", name=op.f("pk_caption")),
    )
    op.create_table(
        "collection_item",
        sa.Column("collection_id", sa.UUID(), nullable=False),
        sa.Column("asset_id", sa.UUID(), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset_id"],
            ["asset.id"],
            name=op.f("fk_collection_item_asset_id_asset"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            ["collection.id"],
            name=op.f("fk_collection_item_collection_id_collection"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("collection_id", "asset_id", name=op.f("pk_collection_item")),
    )
    op.create_index(
        op.f("ix_collection_item_asset_id"), "collection_item", ["asset_id"], unique=False
    )
    op.create_table(
        "upload",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("asset_id", sa.UUID(), nullable=False),
        sa.Column("rendition_id", sa.UUID(), nullable=True),
        sa.Column("rendition_name", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("metadata_header", sa.Text(), nullable=False),
        sa.Column("expected_sha256", sa.Text(), nullable=True),
        sa.Column("length_bytes", sa.BigInteger(), nullable=False),
        sa.Column("offset_bytes", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("lock_id", sa.UUID(), nullable=True),
        sa.Column("locked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('open', 'complete', 'ended')", name=op.f("ck_upload_state")),
        sa.CheckConstraint(
            "offset_bytes BETWEEN 0 AND length_bytes", name=op.f("ck_upload_offset_bytes")
        ),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
            name=op.f("fk_upload_account_id_account"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["asset.id"], name=op.f("fk_upload_asset_id_asset"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["rendition_id"],
            ["rendition.id"],
            name=op.f("fk_upload_rendition_id_rendition"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upload")),
    )
    op.create_index(op.f("ix_upload_account_id"), "upload", ["account_id"], unique=False)
    op.create_index(op.f("ix_upload_asset_id"), "upload", ["asset_id"], unique=False)
    op.create_index(
        "ix_upload_expires_at",
        "upload",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index(op.f("ix_upload_rendition_id"), "upload", ["rendition_id"], unique=False)
    op.create_table(
        "upload_part",
        sa.Column("upload_id", sa.UUID(), nullable=False),
        sa.Column("start_bytes", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("object_key", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["upload_id"],
            ["upload.id"],
            name=op.f("fk_upload_part_upload_id_upload"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("upload_id", "start_bytes", name=op.f("pk_upload_part")),
    )
    op.add_column(
        "asset", sa.Column("document_format", sa.Integer(), server_default="0", nullable=False)
    )
    op.add_column("asset", sa.Column("created_by", sa.UUID(), nullable=True))
    op.add_column("asset", sa.Column("publish_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("asset", sa.Column("available_until", sa.DateTime(timezone=True), nullable=True))
    op.drop_index(
        op.f("ix_asset_published"),
        table_name="asset",
        postgresql_where="(state = 'published'::text)",
    )
    op.create_index(
        "ix_asset_available_until",
        "asset",
        ["available_until"],
        unique=False,
        postgresql_where=sa.text("state = 'published' AND available_until IS NOT NULL"),
    )
    op.create_index(
        "ix_asset_document_format",
        "asset",
        ["document_format"],
        unique=False,
        postgresql_where=sa.text("state = 'published'"),
    )
    op.create_index(
        "ix_asset_publish_at",
        "asset",
        ["publish_at"],
        unique=False,
        postgresql_where=sa.text("state = 'scheduled'"),
    )
    op.create_index(
        "ix_asset_state_updated_at", "asset", ["state", "updated_at", "id"], unique=False
    )
    op.create_foreign_key(
        op.f("fk_asset_created_by_account"),
        "asset",
        "account",
        ["created_by"],
        ["id"],
        ondelete="SET NULL",
    )
    op.add_column(
        "rendition", sa.Column("progress", sa.Integer(), server_default="100", nullable=False)
    )
    op.add_column("rendition", sa.Column("due_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "rendition", sa.Column("attempts", sa.Integer(), server_default="0", nullable=False)
    )
    op.add_column("rendition", sa.Column("source_id", sa.UUID(), nullable=True))
    op.add_column("rendition", sa.Column("failure", sa.Text(), nullable=True))
    op.add_column("rendition", sa.Column("failure_detail", sa.Text(), nullable=True))
    op.add_column("rendition", sa.Column("unused_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("rendition", sa.Column("created_by", sa.UUID(), nullable=True))
    op.alter_column("rendition", "object_key", existing_type=sa.TEXT(), nullable=True)
    op.alter_column("rendition", "sha256", existing_type=sa.TEXT(), nullable=True)
    op.drop_constraint(op.f("uq_rendition_asset_id_name"), "rendition", type_="unique")
    op.create_index(op.f("ix_rendition_asset_id"), "rendition", ["asset_id"], unique=False)
    op.create_index(op.f("ix_rendition_object_key"), "rendition", ["object_key"], unique=False)
    op.create_index(
        "ix_rendition_due_at",
        "rendition",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "uq_rendition_ready",
        "rendition",
        ["asset_id", "name"],
        unique=True,
        postgresql_where=sa.text("state = 'ready'"),
    )
    op.create_foreign_key(
        op.f("fk_rendition_created_by_account"),
        "rendition",
        "account",
        ["created_by"],
        ["id"],
        ondelete="SET NULL",
    )
    op.execute("""
        INSERT INTO stored_object (key, size_bytes, sha256, created_at)
        SELECT DISTINCT ON (object_key) object_key, size_bytes, sha256, created_at FROM rendition
    """)
    op.create_foreign_key(
        op.f("fk_rendition_object_key_stored_object"),
        "rendition",
        "stored_object",
        ["object_key"],
        ["key"],
    )
    op.execute("UPDATE asset SET document = NULL WHERE state <> 'published'")
    op.create_check_constraint(
        "scheduled", "asset", "state <> 'scheduled' OR publish_at IS NOT NULL"
    )
    op.create_check_constraint(
        "document", "asset", "(state = 'published') = (document IS NOT NULL)"
    )
    op.drop_constraint(op.f("ck_rendition_state"), "rendition")
    op.create_check_constraint("state", "rendition", RENDITION_STATES)
    op.create_check_constraint("progress", "rendition", "progress BETWEEN 0 AND 100")
    op.create_check_constraint(
        "ready", "rendition", "state <> 'ready' OR (object_key IS NOT NULL AND sha256 IS NOT NULL)"
    )
    op.create_index(
        "ix_rendition_unused",
        "rendition",
        ["id"],
        unique=False,
        postgresql_where=sa.text("state IN ('replaced', 'failed') AND object_key IS NOT NULL"),
    )
    op.add_column(
        "download",
        sa.Column("is_counted", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.execute("""
        UPDATE download SET is_counted = true WHERE id IN (
            SELECT DISTINCT ON (account_id, rendition_id, day) id
              FROM download ORDER BY account_id, rendition_id, day, id)
    """)
    op.create_index(
        "uq_download_counted",
        "download",
        ["rendition_id", "day", "account_id"],
        unique=True,
        postgresql_where=sa.text("is_counted"),
    )
    op.drop_index(op.f("ix_download_rendition_id_day_account_id"), table_name="download")


def downgrade() -> None:
    op.create_index(
        op.f("ix_download_rendition_id_day_account_id"),
        "download",
        ["rendition_id", "day", "account_id"],
        unique=False,
    )
    op.drop_index(
        "uq_download_counted", table_name="download", postgresql_where=sa.text("is_counted")
    )
    op.drop_column("download", "is_counted")
    op.drop_index("ix_rendition_unused", table_name="rendition")
    op.drop_index("ix_rendition_due_at", table_name="rendition")
    op.execute("DELETE FROM rendition WHERE state <> 'ready'")
    op.drop_constraint(op.f("ck_rendition_ready"), "rendition")
    op.drop_constraint(op.f("ck_rendition_progress"), "rendition")
    op.drop_constraint(op.f("ck_rendition_state"), "rendition")
    op.create_check_constraint("state", "rendition", EARLIER_RENDITION_STATES)
    op.drop_constraint(op.f("ck_asset_document"), "asset")
    op.drop_constraint(op.f("ck_asset_scheduled"), "asset")
    op.drop_constraint(
        op.f("fk_rendition_object_key_stored_object"), "rendition", type_="foreignkey"
    )
    op.drop_constraint(op.f("fk_rendition_created_by_account"), "rendition", type_="foreignkey")
    op.drop_index(
        "uq_rendition_ready", table_name="rendition", postgresql_where=sa.text("state = 'ready'")
    )
    op.drop_index(op.f("ix_rendition_object_key"), table_name="rendition")
    op.drop_index(op.f("ix_rendition_asset_id"), table_name="rendition")
    op.create_unique_constraint(
        op.f("uq_rendition_asset_id_name"),
        "rendition",
        ["asset_id", "name"],
        postgresql_nulls_not_distinct=False,
    )
    op.alter_column("rendition", "sha256", existing_type=sa.TEXT(), nullable=False)
    op.alter_column("rendition", "object_key", existing_type=sa.TEXT(), nullable=False)
    op.drop_column("rendition", "created_by")
    op.drop_column("rendition", "unused_since")
    op.drop_column("rendition", "failure_detail")
    op.drop_column("rendition", "failure")
    op.drop_column("rendition", "source_id")
    op.drop_column("rendition", "attempts")
    op.drop_column("rendition", "due_at")
    op.drop_column("rendition", "progress")
    op.drop_constraint(op.f("fk_asset_created_by_account"), "asset", type_="foreignkey")
    op.drop_index("ix_asset_state_updated_at", table_name="asset")
    op.drop_index(
        "ix_asset_publish_at", table_name="asset", postgresql_where=sa.text("state = 'scheduled'")
    )
    op.drop_index(
        "ix_asset_document_format",
        table_name="asset",
        postgresql_where=sa.text("state = 'published'"),
    )
    op.drop_index(
        "ix_asset_available_until",
        table_name="asset",
        postgresql_where=sa.text("state = 'published' AND available_until IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_asset_published"),
        "asset",
        ["published_at", "id"],
        unique=False,
        postgresql_where="(state = 'published'::text)",
    )
    op.drop_column("asset", "available_until")
    op.drop_column("asset", "publish_at")
    op.drop_column("asset", "created_by")
    op.drop_column("asset", "document_format")
    op.drop_table("upload_part")
    op.drop_index(op.f("ix_upload_rendition_id"), table_name="upload")
    op.drop_index(
        "ix_upload_expires_at", table_name="upload", postgresql_where=sa.text("state = 'open'")
    )
    op.drop_index(op.f("ix_upload_asset_id"), table_name="upload")
    op.drop_index(op.f("ix_upload_account_id"), table_name="upload")
    op.drop_table("upload")
    op.drop_index(op.f("ix_collection_item_asset_id"), table_name="collection_item")
    op.drop_table("collection_item")
    op.drop_table("caption")
    op.drop_table("asset_version")
    op.execute("DROP AGGREGATE tsvector_join(tsvector)")
    op.drop_index(
        "ix_asset_search_found",
        table_name="asset_search",
        postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    )
    op.drop_index("ix_asset_search_updated_at", table_name="asset_search")
    op.drop_index("ix_asset_search_title", table_name="asset_search")
    op.drop_index("ix_asset_search_published_at", table_name="asset_search")
    op.drop_table("asset_search")
    op.drop_index(op.f("ix_asset_relation_related_id"), table_name="asset_relation")
    op.drop_table("asset_relation")
    op.drop_index(op.f("ix_stored_object_sha256"), table_name="stored_object")
    op.drop_table("condemned_object")
    op.drop_table("stored_object")
    op.drop_table("keyword")
    op.drop_index(
        "ix_facet_count_facet_count",
        table_name="facet_count",
        postgresql_where=sa.text("count > 0"),
    )
    op.drop_table("facet_count")
    op.drop_table("collection")
