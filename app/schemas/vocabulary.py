"""The words of the API, for its OpenAPI document: lists that recur by name, examples and tags.

A list of words that several schemas take has one name, and generated clients have one type for it.
"""

from collections.abc import Mapping, Sequence
from typing import get_args

from app.http.openapi import Vocabulary
from app.schemas import (
    account,
    api_keys,
    asset_editing,
    asset_lists,
    assets,
    auth,
    captions,
    collections,
    editions,
    health,
    newsletter,
    saved_searches,
    webhooks,
)
from app.schemas.asset_examples import ASSET_EXAMPLES
from app.schemas.examples import EXAMPLES
from app.services import delivery_ledger, exports, languages, webhook_messages

WORD_LISTS: Mapping[str, Sequence[str]] = {
    "Alert": get_args(saved_searches.Alert),
    "ApiKeyScope": get_args(api_keys.Scope),
    "ApiKeyState": get_args(api_keys.State),
    "AssetSort": get_args(asset_lists.Sort),
    "AssetStatus": get_args(assets.AssetStatus),
    "AssetType": get_args(assets.AssetType),
    "CaptionKind": get_args(captions.Kind),
    "CollectionKind": get_args(collections.Kind),
    "ContentClass": get_args(asset_editing.ContentClass),
    "DeliveryState": get_args(delivery_ledger.LedgerState),
    "EditionKind": ("edition", "digest"),
    "EditionState": get_args(editions.State),
    "ExportFormat": get_args(exports.Format),
    "FeedSort": ("-published_at", "-updated_at"),
    "Frequency": get_args(newsletter.Frequency),
    "HealthStatus": get_args(health.Status),
    "Language": get_args(languages.Locale),
    "ManifestFormat": ("json", "aria2", "sha256sum"),
    "PersonRelation": ("shown", "heard", "mentioned"),
    "RenditionProgress": ("pending", "processing", "ready", "failed"),
    "RestrictionKind": ("geo", "time", "medium", "purpose"),
    "RestrictionRule": ("allow", "deny"),
    "Role": get_args(account.Role),
    "ShotKind": ("shot", "soundbite", "graphic", "black"),
    "SubscriptionStatus": get_args(newsletter.Status),
    "ThirdPartyKind": ("music", "archive", "other"),
    "Transport": get_args(auth.Transport),
    "WebhookDeliveryState": get_args(webhooks.WebhookDeliveryState),
    "WebhookDisabledReason": get_args(webhooks.DisabledReason),
    "WebhookEvent": get_args(webhook_messages.Event),
    "WebhookState": get_args(webhooks.WebhookState),
}

TAGS: Mapping[str, str] = {
    "auth": "Register, log in and stay logged in",
    "verification codes": "Codes and links that are mailed",
    "account": "One's own profile, address, password and data",
    "assets": "The catalogue: videos, pictures, sound and stories",
    "feeds": "The catalogue for feed readers, search engines and players",
    "collections": "Series and events",
    "keywords": "The vocabulary of the catalogue",
    "uploads": "Large files over bad lines (tus 1.0)",
    "renditions": "The files of an asset, with poster and preview",
    "downloads": "Links to files, and what was downloaded",
    "broadcasters": "Keys, changes, exports and webhooks, for machines that mirror the catalogue",
    "newsletter": "Subscriptions, editions and their archive",
    "administration": "Accounts and the audit trail, for admins",
    "operations": "Whether this server is well",
}

VOCABULARY = Vocabulary(WORD_LISTS, {**ASSET_EXAMPLES, **EXAMPLES}, TAGS)
