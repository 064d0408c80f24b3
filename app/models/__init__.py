"""All tables, so that the metadata is complete for whoever imports this package."""

from app.models.accounts import Account
from app.models.assets import Asset
from app.models.audit_events import AuditEvent
from app.models.base import Base
from app.models.downloads import Download
from app.models.idempotency import IdempotencyKey
from app.models.login_failures import LoginFailures
from app.models.mail_outbox import OutboxMail
from app.models.renditions import Rendition
from app.models.sessions import Session
from app.models.signing_keys import StoredSigningKey
from app.models.verification_codes import (
    EmailChangeUndo,
    FailedCodes,
    VerificationCode,
    VerificationFlow,
)

__all__ = [
    "Account",
    "Asset",
    "AuditEvent",
    "Base",
    "Download",
    "EmailChangeUndo",
    "FailedCodes",
    "IdempotencyKey",
    "LoginFailures",
    "OutboxMail",
    "Rendition",
    "Session",
    "StoredSigningKey",
    "VerificationCode",
    "VerificationFlow",
]
