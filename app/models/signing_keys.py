from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base


class StoredSigningKey(Base):
    """An ES256 key pair for access tokens; the private half is sealed under SECRET_KEY."""

    __tablename__ = "signing_key"

    kid: Mapped[str] = mapped_column(primary_key=True)
    sealed_pem: Mapped[bytes]
    created_at: Mapped[datetime]
    # Published before its first use, so that every cache of the JWKS has it by then.
    signs_from: Mapped[datetime]
    # Its tokens have expired by then; set when a successor takes over.
    retires_at: Mapped[datetime | None]
