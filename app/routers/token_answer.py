"""The answer that holds a session's tokens, in the body or in the browser's cookie."""

from datetime import datetime

from starlette.responses import Response

from app.crypto import AccessTokens
from app.http import cookies
from app.schemas.account import AccountAnswer
from app.schemas.auth import TokenAnswer
from app.services import policy
from app.services.auth import SCOPES, device_mark
from app.services.context import Deployment
from app.services.sessions import OpenedSession


def token_answer(
    opened: OpenedSession,
    response: Response,
    *,
    tokens: AccessTokens,
    deployment: Deployment,
    now: datetime,
) -> TokenAnswer:
    """Sign an access token; with the cookie transport the refresh token leaves as a cookie.

    The browser is marked too: strangers who fail to log in don't slow down a device that did.
    """
    if opened.transport == "cookie":
        mark = device_mark(opened.account.id, deployment.keyring)
        cookies.set_device_cookie(response, mark, now=now)
        cookies.set_refresh_cookie(response, opened.refresh_token, expires_at=opened.expires_at)
    return TokenAnswer(
        access_token=tokens.issue(
            account_id=opened.account.id,
            session_id=opened.id,
            scope=SCOPES[opened.account.role],
            now=now,
            lifetime=policy.ACCESS_TOKEN_LIFETIME,
        ),
        expires_in=int(policy.ACCESS_TOKEN_LIFETIME.total_seconds()),
        refresh_token=opened.refresh_token if opened.transport == "bearer" else None,
        account=AccountAnswer.model_validate(opened.account),
    )
