"""One's own account: profile, export and erasure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, inspect, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.crypto import Keyring
from app.models import (
    Account,
    ApiKey,
    ApiKeySecret,
    ApiKeyUsage,
    Asset,
    AssetVersion,
    AuditEvent,
    Base,
    Download,
    EmailChangeUndo,
    FailedCodes,
    IdempotencyKey,
    LoginFailures,
    OutboxMail,
    Rendition,
    RevokedToken,
    SavedSearch,
    Session,
    Upload,
    VerificationCode,
    VerificationFlow,
    WebhookEndpoint,
)
from app.services import (
    account_newsletter,
    audit_events,
    idempotency,
    key_events,
    mail_outbox,
    newsletter_records,
    reauthentication,
    saved_searches,
    webhook_deliveries,
)
from app.services.auth import Caller, Transactions
from app.services.context import Client, Deployment
from app.services.reauthentication import PasswordCheck
from app.services.verification_flows import address_hash

# Hashes and keys say nothing about a person and would only help whoever steals the document.
_NOT_EXPORTED = frozenset(
    {"password_hash", "secret", "token_hash", "code_hash", "reset_token_hash", "sealed"}
    | {"hash", "address_hash", "scope", "email_key", "counter", "request_hash", "sealed_answer"}
    | {"sealed_secret", "sealed_previous_secret", "previous_secret_ends_at", "sealed_signing_key"}
)


async def update_profile(
    session: AsyncSession,
    account_id: UUID,
    changes: dict[str, str | None],
    *,
    client: Client,
    now: datetime,
) -> Account:
    """Apply a merge patch (RFC 7396): absent fields stay, null ones are emptied."""
    account = await reauthentication.own_account(session, account_id)
    for name, value in changes.items():
        setattr(account, name, value)
    if changes:
        account.updated_at = now
        await audit_events.record(
            session,
            "profile_changed",
            account_id=account_id,
            client=client,
            now=now,
            details={"fields": sorted(changes)},
        )
    return account


async def export(session: AsyncSession, account_id: UUID, *, keyring: Keyring) -> dict[str, Any]:
    """Everything held about a person (GDPR, articles 15 and 20), as one document."""
    account = await reauthentication.own_account(session, account_id)
    sections = {
        name: [_columns(row) for row in await session.scalars(query)]
        for name, query in _sections(account, keyring).items()
    }
    newsletter = await newsletter_records.export(
        session, account.email_key, account_id, keyring=keyring
    )
    downloads = await _downloads(session, account_id)
    assets = await _assets(session, account_id)
    own = {"account": _columns(account), "downloads": downloads, "assets": assets}
    return {**own, **sections, **newsletter}


async def erase(
    transactions: Transactions,
    check_password: PasswordCheck,
    *,
    caller: Caller,
    password: str,
    client: Client,
    deployment: Deployment,
    now: datetime,
) -> None:
    """Delete the account, now and not later; its downloads stay as bare counts."""
    checked = await check_password(password)
    await webhook_deliveries.delete_ledger(transactions, caller.account_id)
    async with transactions() as session:
        account = await reauthentication.own_account(session, caller.account_id, checked=checked)
        await _forget_address(session, account, keyring=deployment.keyring, now=now)
        await account_newsletter.erase(
            session, account.email_key, client=client, keyring=deployment.keyring, now=now
        )
        # The farewell is sealed in the outbox; with its sending the last copy of the address goes.
        await mail_outbox.notify(
            session, account, "account_deleted", deployment=deployment, now=now
        )
        await audit_events.record(
            session, "account_deleted", account_id=account.id, client=client, now=now
        )
        await audit_events.pseudonymise(session, account.id, keyring=deployment.keyring)
        await key_events.announce(session, account.id)
        await saved_searches.remove_all(session, account.id)
        # Sessions, flows, codes, undo links and API keys go with it (ON DELETE CASCADE).
        await session.delete(account)


def _sections(account: Account, keyring: Keyring) -> dict[str, Select[Any]]:
    account_id, hashed = account.id, address_hash(account.email_key, keyring)
    mine = VerificationFlow.account_id == account_id
    flow_ids = select(VerificationFlow.id).where(mine)
    key_ids = select(ApiKey.id).where(ApiKey.account_id == account_id)
    return {
        "sessions": select(Session).where(Session.account_id == account_id),
        "verification_flows": select(VerificationFlow).where(mine),
        "verification_codes": select(VerificationCode).where(
            VerificationCode.flow_id.in_(flow_ids)
        ),
        "email_change_undos": select(EmailChangeUndo).where(
            EmailChangeUndo.account_id == account_id
        ),
        "api_keys": select(ApiKey).where(ApiKey.account_id == account_id),
        "api_key_hints": select(ApiKeySecret).where(ApiKeySecret.key_id.in_(key_ids)),
        "api_key_usage": select(ApiKeyUsage).where(ApiKeyUsage.key_id.in_(key_ids)),
        "revoked_tokens": select(RevokedToken).where(RevokedToken.key_id.in_(key_ids)),
        "login_failures": select(LoginFailures).where(LoginFailures.address_hash == hashed),
        "failed_codes": select(FailedCodes).where(FailedCodes.scope == hashed),
        "idempotency_keys": select(IdempotencyKey).where(idempotency.claimed_by(account_id)),
        "mails": select(OutboxMail).where(OutboxMail.account_id == account_id),
        "audit_events": select(AuditEvent).where(AuditEvent.subject == str(account_id)),
        "asset_versions": select(AssetVersion).where(AssetVersion.account_id == account_id),
        "renditions": select(Rendition).where(Rendition.created_by == account_id),
        "saved_searches": select(SavedSearch).where(SavedSearch.account_id == account_id),
        "uploads": select(Upload).where(Upload.account_id == account_id),
        "webhooks": select(WebhookEndpoint).where(WebhookEndpoint.account_id == account_id),
    }


async def _forget_address(
    session: AsyncSession, account: Account, *, keyring: Keyring, now: datetime
) -> None:
    """Drop what no foreign key ties to the account: by its address, as its caller, unsent."""
    hashed = address_hash(account.email_key, keyring)
    flows = or_(
        VerificationFlow.email_key == account.email_key, VerificationFlow.account_id == account.id
    )
    await _cancel_unsent_mails(session, account.id, flows, now=now)
    await session.execute(delete(VerificationFlow).where(flows))
    await session.execute(delete(LoginFailures).where(LoginFailures.address_hash == hashed))
    await session.execute(delete(FailedCodes).where(FailedCodes.scope == hashed))
    await session.execute(delete(IdempotencyKey).where(idempotency.claimed_by(account.id)))


async def _cancel_unsent_mails(
    session: AsyncSession, account_id: UUID, flows: ColumnElement[bool], *, now: datetime
) -> None:
    codes = select(VerificationCode.id).join(VerificationFlow).where(flows)
    await session.execute(
        update(OutboxMail)
        .where(OutboxMail.state.in_(["pending", "sending"]))
        .where(or_(OutboxMail.account_id == account_id, OutboxMail.code_id.in_(codes)))
        .values(state="cancelled", sealed=None, finished_at=now)
    )


async def _downloads(session: AsyncSession, account_id: UUID) -> Sequence[dict[str, Any]]:
    query = (
        select(Download.occurred_at, Rendition.asset_id, Rendition.name, Download.key_id)
        .join(Rendition, Rendition.id == Download.rendition_id)
        .where(Download.account_id == account_id)
        .order_by(Download.id)
    )
    return [dict(row) for row in (await session.execute(query)).mappings()]


async def _assets(session: AsyncSession, account_id: UUID) -> Sequence[dict[str, Any]]:
    """What an editor has created; what was written there is the newsroom's, not about a person."""
    query = select(Asset.id, Asset.slug, Asset.type, Asset.created_at)
    mine = query.where(Asset.created_by == account_id).order_by(Asset.id)
    return [dict(row) for row in (await session.execute(mine)).mappings()]


def _columns(row: Base) -> dict[str, Any]:
    names = (column.key for column in inspect(type(row)).column_attrs)
    return {name: getattr(row, name) for name in names if name not in _NOT_EXPORTED}
