from datetime import datetime
from typing import Any
from uuid import UUID

from app.schemas.base import Answer


class AuditEventAnswer(Answer):
    id: UUID
    occurred_at: datetime
    action: str
    subject: str | None
    actor_id: UUID | None
    network: str | None
    request_id: str | None
    details: dict[str, Any]


class AuditEventList(Answer):
    items: list[AuditEventAnswer]
    next_cursor: str | None
