"""What becomes of a newsletter subscription together with the account of its address.

A subscriber stands for one address for ever, since the links of mails name the subscriber: what
was mailed to one mailbox must give no power over another. So a subscription follows its account to
a new address as a new subscriber, and of the former only evidence is left, which names the next.
"""

from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.crypto import Keyring
from app.models import Consent, Signup, Subscriber
from app.services import consents, delivery_handover, subscriptions, suppressions
from app.services.consents import Evidence, evidence
from app.services.context import Client
from app.services.emails import EmailAddress
from app.services.subscriptions import Choice

MOVED, MOVED_BACK = "address_change", "address_change_undone"
# More changes of address than anybody makes; a chain of them has no circles.
LONGEST_CHAIN = 50


async def move(
    session: AsyncSession,
    old: EmailAddress,
    new: EmailAddress,
    *,
    client: Client,
    keyring: Keyring,
    now: datetime,
) -> None:
    """Let the subscription follow its account to an address that was proven just now.

    If that address has a subscriber already, its owner's word stands: a subscription of its own
    stays as it is, and where somebody has left, nobody is subscribed.
    """
    former = await subscriptions.find(session, old.key, for_update=True)
    if former is None:
        return
    details: dict[str, Any] = {"to": _hex(new, keyring), **asdict(subscriptions.choice_of(former))}
    if former.state == "subscribed":
        present = await subscriptions.find(session, new.key, for_update=True)
        if present is None:
            proof = await _proof(session, former.id, client, MOVED, {"from": _hex(old, keyring)})
            choice = subscriptions.choice_of(former)
            present = await subscriptions.subscribe(
                session, new, choice, proof, keyring=keyring, now=now
            )
            await delivery_handover.hand_over(session, former.id, present.id, now=now)
        details["successor"] = str(present.id)
    step = evidence(client, MOVED, details=details)
    await _let_go(session, former, "address_changed", step, keyring=keyring, now=now)


async def move_back(
    session: AsyncSession,
    current: EmailAddress,
    former: EmailAddress,
    *,
    client: Client,
    keyring: Keyring,
    now: datetime,
) -> None:
    """Undo what `move` did, for an account that goes back to a former address.

    What that address had comes back as it was, if nobody has ended it meanwhile. What began at
    the other address by an act of its own stays there, and is never brought to this one.
    """
    present = await subscriptions.find(session, current.key, for_update=True)
    if present is None or current.key == former.key:
        return
    came_by_move = await _came_by_move(session, present.id)
    hashed = consents.email_hash(former.key, keyring=keyring)
    step = await _last_move(session, Consent.email_hash == hashed)
    if step is not None and present.state == "subscribed":
        is_continued = await _end_of_chain(session, step.subscriber_id) == present.id
        if is_continued:
            restored = await _restore(session, step, former, client, keyring=keyring, now=now)
            if restored is not None and came_by_move:
                await delivery_handover.hand_over(session, present.id, restored.id, now=now)
    if came_by_move:
        back = evidence(client, MOVED_BACK, details={"to": hashed.hex()})
        await _let_go(session, present, "address_changed", back, keyring=keyring, now=now)


async def erase(
    session: AsyncSession, email_key: str, *, client: Client, keyring: Keyring, now: datetime
) -> None:
    """Delete what names the address; left are evidence and a suppression, both without it.

    The ledger's rows stay too, with the id of a subscriber who is nobody any more.
    """
    await session.execute(delete(Signup).where(Signup.email_key == email_key))
    subscriber = await subscriptions.find(session, email_key, for_update=True)
    if subscriber is not None:
        step = evidence(client, "account")
        await _let_go(session, subscriber, "erased", step, keyring=keyring, now=now)


async def find_follower(session: AsyncSession, subscriber_id: UUID) -> Subscriber | None:
    """Who a subscriber has become by changes of address; None where that leads to nobody."""
    return await session.get(Subscriber, await _end_of_chain(session, subscriber_id))


async def _proof(
    session: AsyncSession, subscriber_id: UUID, client: Client, source: str, details: dict[str, Any]
) -> Evidence:
    """Evidence for the new subscriber that stands alone: how it all began goes with it.

    That of the former one has a term of its own.
    """
    beginnings = (
        Consent.subscriber_id == subscriber_id,
        Consent.event.in_(["subscribed", "imported"]),
    )
    began = await session.scalar(_NEWEST.where(*beginnings))
    if began is None:
        return evidence(client, source, details=details)
    origin = began.details.get("origin") or {
        "event": began.event,
        "source": began.source,
        "occurred_at": began.occurred_at.isoformat(),
        "details": began.details,
    }
    details = {**details, "origin": origin}
    text_version, locale = began.text_version, began.locale
    return evidence(client, source, text_version=text_version, locale=locale, details=details)


async def _restore(
    session: AsyncSession,
    step: Consent,
    email: EmailAddress,
    client: Client,
    *,
    keyring: Keyring,
    now: datetime,
) -> Subscriber | None:
    """Subscribe an address again as it was when `step` took it away; None if it has somebody."""
    present = await subscriptions.find(session, email.key, for_update=True)
    is_restored = present is None
    if present is None:
        was = step.details
        choice = Choice(tuple(was["topics"]), was["language"], was["frequency"])
        proof = await _proof(session, step.subscriber_id, client, MOVED_BACK, {})
        present = await subscriptions.subscribe(
            session, email, choice, proof, keyring=keyring, now=now
        )
    details = {"to": _hex(email, keyring), "successor": str(present.id)}
    back = evidence(client, MOVED_BACK, details=details)
    await consents.record(
        session, step.subscriber_id, email.key, "address_changed", back, keyring=keyring, now=now
    )
    return present if is_restored else None


async def _let_go(
    session: AsyncSession,
    subscriber: Subscriber,
    event: Literal["address_changed", "erased"],
    step: Evidence,
    *,
    keyring: Keyring,
    now: datetime,
) -> None:
    """Delete a subscriber. No import may bring the address back, only its owner."""
    key = subscriber.email_key
    await consents.record(session, subscriber.id, key, event, step, keyring=keyring, now=now)
    await suppressions.add(session, key, "erased", keyring=keyring, now=now)
    await session.delete(subscriber)
    await session.flush()


async def _came_by_move(session: AsyncSession, subscriber_id: UUID) -> bool:
    beginnings = (Consent.subscriber_id == subscriber_id, Consent.event == "subscribed")
    began = await session.scalar(_NEWEST.where(*beginnings))
    return began is not None and began.source in {MOVED, MOVED_BACK}


async def _end_of_chain(session: AsyncSession, subscriber_id: UUID) -> UUID:
    for _ in range(LONGEST_CHAIN):
        step = await _last_move(session, Consent.subscriber_id == subscriber_id)
        if step is None:
            break
        subscriber_id = UUID(step.details["successor"])
    return subscriber_id


async def _last_move(session: AsyncSession, whose: ColumnElement[bool]) -> Consent | None:
    """The newest change of address that somebody has come out of."""
    moved = (Consent.event == "address_changed", Consent.details.has_key("successor"))
    return await session.scalar(_NEWEST.where(whose, *moved))


_NEWEST = select(Consent).order_by(Consent.id.desc()).limit(1)


def _hex(email: EmailAddress, keyring: Keyring) -> str:
    return consents.email_hash(email.key, keyring=keyring).hex()
