from datetime import date, datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Identified


class ApiKey(Identified, Base):
    """What an account lets one of its programs do. Its secrets are in a table of their own."""

    __tablename__ = "api_key"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    name: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]

    __table_args__ = (Index(None, "account_id", "id"),)


class ApiKeySecret(Base):
    """One secret of a key: the current one, or a former one until the end of its overlap."""

    __tablename__ = "api_key_secret"

    # SHA-256 of the whole secret.
    hash: Mapped[bytes] = mapped_column(primary_key=True)
    key_id: Mapped[UUID] = mapped_column(ForeignKey("api_key.id", ondelete="CASCADE"))
    # Its last four characters, by which its owner knows it.
    hint: Mapped[str]
    created_at: Mapped[datetime]
    # Null of the current one.
    expires_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "uq_api_key_secret_current",
            "key_id",
            unique=True,
            postgresql_where=text("expires_at IS NULL"),
        ),
        Index(None, "key_id"),
    )


class RevokedToken(Base):
    """An access token that its client has given back before it expired (RFC 7009)."""

    __tablename__ = "revoked_token"

    jti: Mapped[UUID] = mapped_column(primary_key=True)
    key_id: Mapped[UUID] = mapped_column(ForeignKey("api_key.id", ondelete="CASCADE"))
    # Until then it has to be remembered.
    expires_at: Mapped[datetime]

    __table_args__ = (Index(None, "key_id"),)


class ApiKeyUsage(Base):
    """What a key was used for on one UTC day."""

    __tablename__ = "api_key_usage"

    key_id: Mapped[UUID] = mapped_column(
        ForeignKey("api_key.id", ondelete="CASCADE"), primary_key=True
    )
    day: Mapped[date] = mapped_column(primary_key=True)
    calls: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    response_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    downloads: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    download_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
