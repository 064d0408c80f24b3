"""The time, which every process of the application takes from here."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    return datetime.now(UTC)
