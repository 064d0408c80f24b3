"""All tables, so that the metadata is complete for whoever imports this package."""

from app.models.accounts import Account
from app.models.api_keys import ApiKey, ApiKeySecret, ApiKeyUsage, RevokedToken
from app.models.asset_search import AssetSearch, FacetCount
from app.models.assets import Asset, AssetRelation, AssetVersion
from app.models.audit_events import AuditEvent
from app.models.base import Base
from app.models.captions import Caption
from app.models.changes import Change, ChangeFeed
from app.models.collections import Collection, CollectionItem
from app.models.downloads import Download
from app.models.editions import Delivery, Edition, EditionMessage, MailRate
from app.models.exports import Export, ExportFile
from app.models.idempotency import IdempotencyKey
from app.models.keywords import Keyword
from app.models.login_failures import LoginFailures
from app.models.mail_outbox import OutboxMail
from app.models.newsletter import (
    Consent,
    DigestProgress,
    Signup,
    Subscriber,
    Suppression,
    Topic,
)
from app.models.renditions import CondemnedObject, Rendition, StoredObject
from app.models.saved_searches import SavedSearch, SavedSearchMatch
from app.models.sessions import Session
from app.models.signing_keys import StoredSigningKey
from app.models.uploads import Upload, UploadPart
from app.models.verification_codes import (
    EmailChangeUndo,
    FailedCodes,
    VerificationCode,
    VerificationFlow,
)
from app.models.webhooks import WebhookDelivery, WebhookEndpoint

__all__ = [
    "Account",
    "ApiKey",
    "ApiKeySecret",
    "ApiKeyUsage",
    "Asset",
    "AssetRelation",
    "AssetSearch",
    "AssetVersion",
    "AuditEvent",
    "Base",
    "Caption",
    "Change",
    "ChangeFeed",
    "Collection",
    "CollectionItem",
    "CondemnedObject",
    "Consent",
    "Delivery",
    "DigestProgress",
    "Download",
    "Edition",
    "EditionMessage",
    "EmailChangeUndo",
    "Export",
    "ExportFile",
    "FacetCount",
    "FailedCodes",
    "IdempotencyKey",
    "Keyword",
    "LoginFailures",
    "MailRate",
    "OutboxMail",
    "Rendition",
    "RevokedToken",
    "SavedSearch",
    "SavedSearchMatch",
    "Session",
    "Signup",
    "StoredObject",
    "StoredSigningKey",
    "Subscriber",
    "Suppression",
    "Topic",
    "Upload",
    "UploadPart",
    "VerificationCode",
    "VerificationFlow",
    "WebhookDelivery",
    "WebhookEndpoint",
]
