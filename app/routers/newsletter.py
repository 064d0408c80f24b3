"""Subscribing to the newsletter: with an account by one click, without one by a mailed link."""

from dataclasses import asdict

from fastapi import APIRouter

from app.crypto import InvalidToken
from app.deps import (
    NO_STORE,
    CurrentAccount,
    CurrentClient,
    DeploymentDep,
    Now,
    PreferredLocale,
    SessionDep,
)
from app.errors import LoginRequired
from app.http.openapi import refusals
from app.http.strict_json import StrictJsonRoute
from app.schemas.newsletter import (
    ConfirmationToken,
    ConfirmedSubscription,
    SignupAnswer,
    SignupBody,
    SubscriptionAnswer,
    SubscriptionBody,
)
from app.services import account_subscriptions, newsletter_tokens, policy, signups
from app.services.consent_texts import UnknownConsentText
from app.services.emails import InvalidEmail, parse_email
from app.services.newsletter_tokens import Recipient
from app.services.signups import ConfirmationRefused, Wish
from app.services.subscriptions import Choice, UnknownTopic

router = APIRouter(
    prefix="/v1/newsletter",
    tags=["newsletter"],
    route_class=StrictJsonRoute,
    dependencies=[NO_STORE],
)

NEEDS_LOGIN = (LoginRequired, InvalidToken)


@router.get("/subscription", responses=refusals(*NEEDS_LOGIN))
async def get_subscription(caller: CurrentAccount, session: SessionDep) -> SubscriptionAnswer:
    """The subscription of one's own address; where there was none, what one click would give."""
    subscriber = await account_subscriptions.find(session, caller.account_id)
    if subscriber is not None:
        return SubscriptionAnswer.model_validate(subscriber)
    first = account_subscriptions.first_choice(caller.account["locale"])
    return SubscriptionAnswer.model_validate({"status": "unsubscribed", **asdict(first)})


@router.put("/subscription", responses=refusals(*NEEDS_LOGIN, UnknownTopic, UnknownConsentText))
async def put_subscription(
    body: SubscriptionBody,
    caller: CurrentAccount,
    session: SessionDep,
    client: CurrentClient,
    deployment: DeploymentDep,
    now: Now,
) -> SubscriptionAnswer:
    """Subscribe by one click (`{}`), come back, or change what is chosen.

    The address was proven at registration, so there is no mail to confirm.
    """
    subscriber = await account_subscriptions.subscribe(
        session,
        caller.account_id,
        body.wishes(),
        text_version=body.consent_text_version,
        client=client,
        keyring=deployment.keyring,
        now=now,
    )
    return SubscriptionAnswer.model_validate(subscriber)


@router.delete("/subscription", status_code=204, responses=refusals(*NEEDS_LOGIN))
async def delete_subscription(
    caller: CurrentAccount,
    session: SessionDep,
    client: CurrentClient,
    deployment: DeploymentDep,
    now: Now,
) -> None:
    """Leave. What was chosen is kept for the case of a return."""
    await account_subscriptions.unsubscribe(
        session, caller.account_id, client=client, keyring=deployment.keyring, now=now
    )


@router.post(
    "/subscriptions",
    status_code=202,
    responses=refusals(InvalidEmail, UnknownTopic, UnknownConsentText),
)
async def request_subscription(
    body: SignupBody,
    session: SessionDep,
    client: CurrentClient,
    deployment: DeploymentDep,
    preferred_locale: PreferredLocale,
    now: Now,
) -> SignupAnswer:
    """Ask for the newsletter without an account. The answer is the same for every address.

    A link to confirm comes by mail; sent again within a day, the request sends no other. So there
    is no need for an Idempotency-Key.
    """
    language = body.language or preferred_locale
    wish = Wish(
        parse_email(body.email),
        Choice(tuple(body.topics), language, body.frequency),
        body.consent_text_version,
    )
    await signups.request(session, wish, client=client, deployment=deployment, now=now)
    return SignupAnswer(
        email=wish.email.typed,
        link_lifetime=int(policy.SIGNUP_LIFETIME.total_seconds()),
        mail_interval=int(policy.SIGNUP_MAIL_INTERVAL.total_seconds()),
    )


@router.post("/subscriptions/confirm", responses=refusals(ConfirmationRefused))
async def confirm_subscription(
    body: ConfirmationToken,
    session: SessionDep,
    client: CurrentClient,
    deployment: DeploymentDep,
    now: Now,
) -> ConfirmedSubscription:
    """Subscribe by the mailed link. Pressed again while it lives, it gives the same answer."""
    keyring = deployment.keyring
    subscriber = await signups.confirm(session, body.token, client=client, keyring=keyring, now=now)
    answer = SubscriptionAnswer.model_validate(subscriber)
    token = newsletter_tokens.make("preferences", Recipient(subscriber.id), keyring=keyring)
    return ConfirmedSubscription.model_validate({**answer.model_dump(), "preferences_token": token})
