"""For a mail server that hands in over HTTP what comes back: bounces and complaints."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from app.crypto import InvalidToken, equal
from app.deps import NO_STORE, DeploymentDep, Now, SettingsDep, Transactions
from app.errors import BodyTooLarge, LoginRequired, NotFound, UnsupportedMediaType
from app.http.openapi import refusals
from app.http.openapi_security import INBOUND
from app.schemas.inbound_mail import InboundMailAnswer
from app.services import bounces

router = APIRouter(prefix="/v1/mail", tags=["newsletter"], dependencies=[NO_STORE])

MAIL_TYPES = ("message/rfc822", "message/global")
MAIL = {
    "required": True,
    "content": {each: {"schema": {"type": "string", "format": "binary"}} for each in MAIL_TYPES},
}


class MailExpected(UnsupportedMediaType):
    title = "Send the mail as it came, as message/rfc822"


class InvalidInboundToken(InvalidToken):
    title = "The token is not INBOUND_TOKEN"


async def check_inbound_token(request: Request, settings: SettingsDep) -> None:
    """INBOUND_TOKEN; there is nothing here where it is not set."""
    if settings.inbound_token is None:
        raise NotFound
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise LoginRequired("Send INBOUND_TOKEN as a Bearer token")
    if not equal(token.encode(), settings.inbound_token.get_secret_value().encode()):
        raise InvalidInboundToken


@router.post(
    "/inbound",
    status_code=202,
    dependencies=[Depends(check_inbound_token)],
    responses=refusals(LoginRequired, InvalidInboundToken, NotFound, BodyTooLarge, MailExpected),
    openapi_extra={"requestBody": MAIL, "security": [{INBOUND: []}]},
)
async def take_inbound_mail(
    request: Request,
    transactions: Transactions,
    deployment: DeploymentDep,
    now: Now,
    recipient: Annotated[
        list[str] | None,
        Query(max_length=20, description="To whom the envelope (RCPT TO) says that it came"),
    ] = None,
) -> InboundMailAnswer:
    """Take a bounce (RFC 3464) or a complaint (ARF, RFC 5965), headers and all.

    It counts only with a token of the mail that it is about, and only once.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in MAIL_TYPES:
        raise MailExpected
    raw = await request.body()
    # A plus sign that was not escaped has become a space, which no address has.
    recipients = [each.replace(" ", "+") for each in recipient or ()]
    async with transactions() as session:
        outcome = await bounces.take_in(
            session, raw, recipients, keyring=deployment.keyring, now=now
        )
    return InboundMailAnswer(outcome=outcome)
