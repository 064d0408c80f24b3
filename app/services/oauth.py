"""OAuth 2.0 for API keys: the client credentials grant (RFC 6749) and revocation (RFC 7009)."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import parse_qsl, unquote_plus
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.crypto import CLOCK_LEEWAY, KEY_PREFIX, AccessTokens, ClientClaims, InvalidToken
from app.models import RevokedToken
from app.services import audit_events, key_events, policy
from app.services.auth import KEY_SCOPES
from app.services.context import Client
from app.services.key_records import KeyCaller

GRANT_TYPE = "client_credentials"
Code = Literal[
    "invalid_request",
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "unsupported_token_type",
]


class OAuthError(Exception):
    """A refusal in the form of RFC 6749, section 5.2, and not of our other errors."""

    def __init__(self, code: Code, description: str) -> None:
        super().__init__(description)
        self.code = code
        self.description = description


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client says it is, and the API key that proves it."""

    client_id: UUID
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class IssuedToken:
    access_token: str = field(repr=False)
    expires_in: int
    scope: str


def read_form(body: bytes, content_type: str) -> Mapping[str, str]:
    """The parameters of a request (RFC 6749, appendix B); empty ones count as left out."""
    if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise OAuthError("invalid_request", "Send application/x-www-form-urlencoded")
    try:
        text = body.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError:
        raise OAuthError("invalid_request", "The body is not a well-formed form") from None
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise OAuthError("invalid_request", "A parameter is sent more than once")
    return {name: value for name, value in pairs if value}


def read_credentials(form: Mapping[str, str], authorization: str | None) -> Credentials:
    """From HTTP Basic or the form, never both (RFC 6749, section 2.3)."""
    client_id, secret = form.get("client_id"), form.get("client_secret")
    if authorization is not None:
        if secret is not None:
            raise OAuthError("invalid_request", "Authenticate in one way: by header or by form")
        basic_id, secret = _basic(authorization)
        if client_id not in {None, basic_id}:
            raise OAuthError("invalid_request", "client_id is not that of the header")
        client_id = basic_id
    if client_id is None or secret is None:
        raise OAuthError("invalid_client", "The client does not authenticate")
    try:
        return Credentials(UUID(client_id), secret)
    except ValueError:
        raise unknown_client() from None


def unknown_client() -> OAuthError:
    """Alike for an unknown id, a wrong secret, and a key or an account that has ended."""
    return OAuthError("invalid_client", "There is no such client, or its secret is wrong")


def issue(
    tokens: AccessTokens, caller: KeyCaller, form: Mapping[str, str], *, now: datetime
) -> IssuedToken:
    """An access token for an hour, or for as long as the key still lives."""
    grant_type = form.get("grant_type")
    if grant_type is None:
        raise OAuthError("invalid_request", "grant_type is missing")
    if grant_type != GRANT_TYPE:
        raise OAuthError("unsupported_grant_type", f"The only grant type is {GRANT_TYPE}")
    scope = _scope(form.get("scope"), caller)
    lifetime = policy.KEY_TOKEN_LIFETIME
    if caller.expires_at is not None:
        lifetime = min(lifetime, caller.expires_at - now)
    token = tokens.issue_to_client(key_id=caller.key_id, scope=scope, now=now, lifetime=lifetime)
    return IssuedToken(token, max(1, lifetime // timedelta(seconds=1)), scope)


async def revoke(
    session: AsyncSession,
    tokens: AccessTokens,
    caller: KeyCaller,
    form: Mapping[str, str],
    *,
    client: Client,
    now: datetime,
) -> None:
    """End one of the client's own access tokens; any that is not good is as good as ended."""
    token = form.get("token")
    if token is None:
        raise OAuthError("invalid_request", "token is missing")
    if token.startswith(KEY_PREFIX):
        description = "A key is revoked by its owner: DELETE /v1/api-keys/{id}"
        raise OAuthError("unsupported_token_type", description)
    claims = _claims(tokens, token, now)
    if claims is None:
        return
    if claims.key_id != caller.key_id:
        raise OAuthError("unauthorized_client", "The token was issued to another client")
    kept_until = claims.expires_at + CLOCK_LEEWAY
    values = {"jti": claims.token_id, "key_id": caller.key_id, "expires_at": kept_until}
    statement = insert(RevokedToken).values(**values).on_conflict_do_nothing()
    if await session.scalar(statement.returning(RevokedToken.jti)) is None:
        return
    details = {"key_id": str(caller.key_id), "jti": str(claims.token_id)}
    await audit_events.record(
        session,
        "api_key_token_revoked",
        account_id=caller.account_id,
        client=client,
        now=now,
        details=details,
    )
    await key_events.announce(session, caller.account_id)


def _claims(tokens: AccessTokens, token: str, now: datetime) -> ClientClaims | None:
    try:
        return tokens.verify_client(token, now=now)
    except InvalidToken:
        return None


def _basic(authorization: str) -> tuple[str, str]:
    """Id and secret, each encoded as in a form before they were put together (section 2.3.1)."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise OAuthError("invalid_client", "Authenticate by HTTP Basic or in the form")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode("ascii")
    except ValueError:
        raise OAuthError("invalid_client", "The header is not well-formed") from None
    client_id, _, secret = decoded.partition(":")
    return unquote_plus(client_id), unquote_plus(secret)


_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*")


def _scope(wanted: str | None, caller: KeyCaller) -> str:
    """What is asked for, which may be less than the key has but never more (section 3.3)."""
    scopes = caller.scopes
    if wanted is not None:
        if not _SCOPE.fullmatch(wanted):
            raise OAuthError("invalid_scope", "scope is not well-formed")
        scopes = frozenset(wanted.split(" "))
        if not scopes <= caller.scopes:
            raise OAuthError("invalid_scope", "The key does not have all of these scopes")
    return " ".join(scope for scope in KEY_SCOPES if scope in scopes)
