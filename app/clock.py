"""The clock of whoever is not given another."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    return datetime.now(UTC)
