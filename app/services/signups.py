"""Visitors who want the newsletter: whoever names an address gets one answer, its owner a mail.

Double opt-in: nothing is subscribed before the link of that mail is pressed. Until then a request
is one row that its term deletes; only with the press does it become evidence.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import crypto
from app.crypto import Keyring
from app.errors import AppError
from app.models import Signup, Subscriber
from app.services import (
    consent_texts,
    consents,
    mail_outbox,
    newsletter_tokens,
    policy,
    subscriptions,
    suppressions,
)
from app.services.consents import Evidence
from app.services.context import Client, Deployment
from app.services.emails import EmailAddress
from app.services.mail_kinds import MailKind
from app.services.newsletter_tokens import Recipient
from app.services.subscriptions import Choice


class ConfirmationRefused(AppError):
    status, code = 422, "confirmation_refused"
    title = "This link is not complete or has expired. Subscribe again to get a new one."


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody filled in, whoever it was."""

    email: EmailAddress
    choice: Choice
    # Of the text of consent that the form showed, if it says so.
    text_version: str | None


async def request(
    session: AsyncSession, wish: Wish, *, client: Client, deployment: Deployment, now: datetime
) -> None:
    """Mail the address a link to confirm, or a notice if it is subscribed; once in 24 hours.

    Every address takes the same path with the same work. One that complained is not written to.
    Raises `UnknownTopic` and `UnknownConsentText`.
    """
    consent_texts.check(wish.text_version)
    topics = await subscriptions.check_topics(session, wish.choice.topics)
    wish = replace(wish, choice=replace(wish.choice, topics=topics))
    token = crypto.new_token()
    is_first = await _claim_mail(session, wish, token, client, deployment, now)
    subscriber = await subscriptions.find(session, wish.email.key)
    reason = await suppressions.reason(session, wish.email.key, keyring=deployment.keyring)
    mail = _mail(wish, token, subscriber, deployment)
    await mail_outbox.enqueue(
        session,
        kind=mail.kind,
        to=mail.to,
        locale=mail.locale,
        params=mail.params,
        keyring=deployment.keyring,
        now=now,
        suppressed=not is_first or reason == "complaint",
    )


async def confirm(
    session: AsyncSession, token: str, *, client: Client, keyring: Keyring, now: datetime
) -> Subscriber:
    """Subscribe the address whose owner has pressed the link; pressing again does nothing more.

    A link that was used once never subscribes again: its owner may have left in between. And a
    subscription that runs already stays as it is, for a stranger may have filled in the form.
    """
    by_token = Signup.token_hash == _token_hash(token, keyring)
    signup = await session.scalar(select(Signup).where(by_token).with_for_update())
    if signup is None or policy.is_expired(signup.expires_at, now):
        raise ConfirmationRefused
    subscriber = await subscriptions.find(session, signup.email_key, for_update=True)
    if "confirmed_at" in signup.request:
        if subscriber is None:  # erased since
            raise ConfirmationRefused
        return subscriber
    if subscriber is None or subscriber.state != "subscribed":
        subscriber = await _subscribe(session, signup, client=client, keyring=keyring, now=now)
    signup.request = {**signup.request, "confirmed_at": now.isoformat()}
    await session.flush()
    return subscriber


async def _claim_mail(
    session: AsyncSession,
    wish: Wish,
    token: str,
    client: Client,
    deployment: Deployment,
    now: datetime,
) -> bool:
    """Whether the mail of this request is the one to be sent; of many at once exactly one is.

    What an earlier mail promised stays as it is until the next may be sent.
    """
    interval = policy.SIGNUP_MAIL_INTERVAL if deployment.limits_on else timedelta(0)
    row = insert(Signup).values(
        email_key=wish.email.key,
        email=wish.email.typed,
        token_hash=_token_hash(token, deployment.keyring),
        request=_request(wish, client),
        mailed_at=now,
        expires_at=now + policy.SIGNUP_LIFETIME,
    )
    upsert = row.on_conflict_do_update(
        constraint="pk_newsletter_signup",
        set_={
            name: row.excluded[name]
            for name in ("email", "token_hash", "request", "mailed_at", "expires_at")
        },
        where=Signup.mailed_at <= now - interval,
    )
    return await session.scalar(upsert.returning(Signup.email_key)) is not None


def _request(wish: Wish, client: Client) -> dict[str, Any]:
    return {
        "topics": list(wish.choice.topics),
        "language": wish.choice.language,
        "frequency": wish.choice.frequency,
        "text_version": wish.text_version,
        # The mail shows the text itself, in the words of this day.
        "mailed_text_version": consent_texts.CURRENT,
        "network": client.network,
        "user_agent": client.user_agent,
    }


@dataclass(frozen=True, slots=True)
class _Mail:
    kind: MailKind
    to: str
    locale: str
    params: dict[str, str]


def _mail(wish: Wish, token: str, subscriber: Subscriber | None, deployment: Deployment) -> _Mail:
    """Holds nothing that the sender of the request typed, but for the address that it goes to.

    A subscriber's goes to the stored spelling (two may share a key, RFC 8264); anybody else's to
    the one that was typed, since it is that mailbox which the link proves.
    """
    pages = f"{deployment.links_url}/newsletter"
    if subscriber is not None and subscriber.state == "subscribed":
        recipient = Recipient(subscriber.id)
        own = newsletter_tokens.make("preferences", recipient, keyring=deployment.keyring)
        params = {"link": f"{pages}/preferences", "token": own}
        return _Mail("newsletter_already", subscriber.email, subscriber.language, params)
    language = wish.choice.language
    text = consent_texts.current(language)
    params = {"link": f"{pages}/confirm", "token": token, "consent_text": text}
    return _Mail("newsletter_confirm", wish.email.typed, language, params)


def _token_hash(token: str, keyring: Keyring) -> bytes:
    return keyring.digest("newsletter-signup", token)


async def _subscribe(
    session: AsyncSession, signup: Signup, *, client: Client, keyring: Keyring, now: datetime
) -> Subscriber:
    """The subscription, and the evidence of both steps: who asked, and who confirmed it."""
    asked = signup.request
    choice = Choice(tuple(asked["topics"]), asked["language"], asked["frequency"])
    confirmed = consents.evidence(
        client,
        "link",
        text_version=asked["mailed_text_version"],
        locale=choice.language,
        details=_proof(signup, now),
    )
    email = EmailAddress(signup.email, signup.email_key)
    subscriber = await subscriptions.subscribe(
        session, email, choice, confirmed, keyring=keyring, now=now
    )
    requested = _evidence_of_request(asked)
    at = signup.mailed_at
    await consents.record(
        session, subscriber.id, email.key, "requested", requested, keyring=keyring, now=at
    )
    return subscriber


def _proof(signup: Signup, now: datetime) -> dict[str, str]:
    """The mail is written in the transaction of the request, so both have one time."""
    return {
        "proof": "double_opt_in",
        "requested_at": signup.mailed_at.isoformat(),
        "requested_from": signup.request["network"],
        "mailed_at": signup.mailed_at.isoformat(),
        "confirmed_at": now.isoformat(),
    }


def _evidence_of_request(asked: dict[str, Any]) -> Evidence:
    return Evidence(
        source="form",
        network=asked["network"],
        user_agent=asked["user_agent"],
        text_version=asked["text_version"],
        locale=asked["language"],
        details={name: asked[name] for name in ("topics", "language", "frequency")},
    )
