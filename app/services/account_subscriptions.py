"""The subscription of an account: that of its address, which was proven when it registered."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.crypto import Keyring
from app.models import Account, Subscriber
from app.services import consent_texts, consents, languages, reauthentication, subscriptions
from app.services.context import Client
from app.services.emails import EmailAddress
from app.services.subscriptions import Choice

SOURCE = "account"


def first_choice(locale: str) -> Choice:
    """What one click gives: everything, in the account's language, as soon as it is sent."""
    return Choice((), languages.nearest(locale), "each")


async def find(session: AsyncSession, account_id: UUID) -> Subscriber | None:
    """None for an address that was never subscribed."""
    of_address = Subscriber.email_key == Account.email_key
    query = select(Subscriber).join(Account, of_address).where(Account.id == account_id)
    return (await session.scalars(query)).one_or_none()


async def subscribe(
    session: AsyncSession,
    account_id: UUID,
    wishes: Mapping[str, Any],
    *,
    text_version: str | None,
    client: Client,
    keyring: Keyring,
    now: datetime,
) -> Subscriber:
    """Subscribe, come back or change; what is not wished for stays as it was chosen before.

    The account is locked first, so that a change of its address happens before or after. Raises
    `UnknownTopic` and `UnknownConsentText`.
    """
    consent_texts.check(text_version)
    account = await reauthentication.own_account(session, account_id)
    choice = await _choice(session, account, wishes)
    evidence = consents.evidence(
        client,
        SOURCE,
        text_version=text_version,
        locale=choice.language,
        details={"proof": "verified_account"},
    )
    email = EmailAddress(account.email, account.email_key)
    return await subscriptions.subscribe(session, email, choice, evidence, keyring=keyring, now=now)


async def unsubscribe(
    session: AsyncSession, account_id: UUID, *, client: Client, keyring: Keyring, now: datetime
) -> None:
    """End the subscription of the account's address, if there is one."""
    account = await reauthentication.own_account(session, account_id)
    subscriber = await subscriptions.find(session, account.email_key)
    if subscriber is not None:
        evidence = consents.evidence(client, SOURCE)
        await subscriptions.unsubscribe(session, subscriber, evidence, keyring=keyring, now=now)


async def _choice(session: AsyncSession, account: Account, wishes: Mapping[str, Any]) -> Choice:
    """What was chosen before, or one click gives, with what is wished for now."""
    known = await subscriptions.find(session, account.email_key, for_update=True)
    choice = subscriptions.choice_of(known) if known else first_choice(account.locale)
    if "topics" in wishes:
        kept = choice.topics
        topics = await subscriptions.check_topics(session, wishes["topics"], allow_retired=kept)
        wishes = {**wishes, "topics": topics}
    return replace(choice, **wishes)
