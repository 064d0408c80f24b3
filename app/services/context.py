"""What services are told of the installation they run in and of the client they serve."""

from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from app.crypto import Keyring

# How a client keeps its refresh token: itself, or the browser in an HttpOnly cookie.
Transport = Literal["bearer", "cookie"]


@dataclass(frozen=True, slots=True)
class Deployment:
    """Settings and secrets of this installation, as far as the rules depend on them."""

    keyring: Keyring = field(repr=False)
    # Where links in mails point, and the origins a user may be sent back to.
    links_url: str
    return_to_origins: frozenset[str]
    # False only for load tests: no cool-downs and no budgets, but the five tries of a code stay.
    limits_on: bool = True


@dataclass(frozen=True, slots=True)
class Newsroom:
    """Under which names and addresses the newsletter is sent."""

    # NEWSLETTER_FROM: an address, or a name with one.
    sender: str
    # Where this API is, for what mailbox providers call, and where links for people point.
    api_url: str
    pages_url: str
    # Of the envelope senders (VERP); without it, bounces go to the sender's address.
    bounce_domain: str | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """Who is at the other end of the connection, before any log-in."""

    network: str
    user_agent: str | None = None
    request_id: str | None = None
    # A signed mark from an earlier log-in on this device (services/auth.py).
    device_mark: str | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """What a new session is opened for."""

    transport: Transport
    name: str | None
    client: Client


@dataclass(frozen=True, slots=True)
class Editor:
    """Who edits, and from where."""

    account_id: UUID | None
    client: Client | None


# The worker does what an editor has decided before.
WORKER = Editor(account_id=None, client=None)
