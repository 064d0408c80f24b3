from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base


class LoginFailures(Base):
    """Recent failed log-ins for an address, from one client network or ("*") from anywhere."""

    __tablename__ = "login_failures"

    address_hash: Mapped[bytes] = mapped_column(primary_key=True)
    network: Mapped[str] = mapped_column(primary_key=True)
    # Counted when an attempt begins and taken back when it succeeds, so that a hundred attempts
    # at once are a hundred.
    failures: Mapped[int]
    window_started_at: Mapped[datetime]
    last_failed_at: Mapped[datetime | None]
    blocked_until: Mapped[datetime | None]
    # How often in a row the limit was reached: each time the wait doubles.
    blocks: Mapped[int] = mapped_column(default=0)
