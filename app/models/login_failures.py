from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base


class LoginFailures(Base):
    """Recent log-ins to an address, from one client network or ("*") from anywhere."""

    __tablename__ = "login_failures"

    address_hash: Mapped[bytes] = mapped_column(primary_key=True)
    network: Mapped[str] = mapped_column(primary_key=True)
    # Begun and not (yet) successful, so that a hundred at once are a hundred.
    attempts: Mapped[int]
    # Those of them whose password is known to have been wrong.
    failures: Mapped[int] = mapped_column(default=0)
    window_started_at: Mapped[datetime]
    # Until when this network waits because log-ins fail from all over.
    may_try_at: Mapped[datetime | None]
    blocked_until: Mapped[datetime | None]
    # How often in a row the limit was reached: each time the wait doubles.
    blocks: Mapped[int] = mapped_column(default=0)
