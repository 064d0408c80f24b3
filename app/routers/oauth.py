"""OAuth 2.0 for API keys, for programs that have a library for it; a key works by itself as well.

Errors have the form of RFC 6749, section 5.2, which such libraries read.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.deps import (
    AccessTokensDep,
    CurrentClient,
    KeyGateDep,
    Now,
    SettingsDep,
    Transactions,
)
from app.http.key_gate import KeyGate
from app.http.keyed_requests import KEY
from app.http.openapi import Responses, answer_in_headers
from app.http.openapi_security import CLIENT_AUTHENTICATION
from app.http.rate_limits import AUTH
from app.schemas.oauth import AuthorizationServer, OAuthErrorAnswer, OAuthToken
from app.services import oauth
from app.services.auth import KEY_SCOPES
from app.services.key_records import KeyCaller
from app.services.oauth import OAuthError

router = APIRouter(tags=["broadcasters"])

METHODS = ["client_secret_basic", "client_secret_post"]
# RFC 6749, section 5.1.
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
BASIC = 'Basic realm="Multimedia Account", charset="UTF-8"'


def errors_of(*codes: oauth.Code) -> dict[str, Any]:
    """For a route's `responses`: errors in the form of RFC 6749."""
    examples = {
        code: {"value": {"error": code, "error_description": "A sentence for people"}}
        for code in codes
    }
    return {
        "model": OAuthErrorAnswer,
        "description": ", ".join(f"`{code}`" for code in codes),
        "content": {"application/json": {"examples": examples}},
    }


ERRORS: Responses = {
    400: errors_of("invalid_request", "unsupported_grant_type", "invalid_scope"),
    401: errors_of("invalid_client"),
}
REVOCATION_ERRORS: Responses = {
    400: errors_of("invalid_request", "unauthorized_client", "unsupported_token_type"),
    401: errors_of("invalid_client"),
}


def form_of(required: str, **properties: str) -> dict[str, Any]:
    """For `openapi_extra`: a form, and that a client may authenticate in it."""
    described = {
        **properties,
        "client_id": "The key's id, unless HTTP Basic has it",
        "client_secret": "The key, unless HTTP Basic has it",
    }
    schema = {
        "type": "object",
        "required": [required],
        "properties": {
            name: {"type": "string", "description": text} for name, text in described.items()
        },
    }
    content = {"application/x-www-form-urlencoded": {"schema": schema}}
    return {**CLIENT_AUTHENTICATION, "requestBody": {"required": True, "content": content}}


TOKEN_FORM = form_of(
    "grant_type",
    grant_type="client_credentials",
    scope="Some of the key's scopes, separated by spaces; all if left out",
)
REVOCATION_FORM = form_of("token", token="The access token", token_type_hint="Not looked at")  # noqa: S106  # descriptions


@router.post("/oauth/token", response_model=OAuthToken, responses=ERRORS, openapi_extra=TOKEN_FORM)
async def issue_oauth_token(
    request: Request, gate: KeyGateDep, tokens: AccessTokensDep, now: Now
) -> Response:
    """Exchange a key for an access token of an hour (RFC 6749, section 4.4)."""
    try:
        form, caller = await _authenticated(request, gate)
        issued = oauth.issue(tokens, caller, form, now=now)
    except OAuthError as error:
        return _refusal(error)
    answer = OAuthToken.model_validate(issued)
    return Response(answer.model_dump_json(), media_type="application/json", headers=NO_STORE)


@router.post(
    "/oauth/revoke",
    response_class=Response,
    responses={
        **answer_in_headers(200, "The token does not work any more", "Cache-Control"),
        **REVOCATION_ERRORS,
    },
    openapi_extra=REVOCATION_FORM,
)
async def revoke_oauth_token(
    request: Request,
    gate: KeyGateDep,
    tokens: AccessTokensDep,
    transactions: Transactions,
    client: CurrentClient,
    now: Now,
) -> Response:
    """End an access token before its time (RFC 7009), everywhere within a second."""
    try:
        form, caller = await _authenticated(request, gate)
        async with transactions() as session:
            await oauth.revoke(session, tokens, caller, form, client=client, now=now)
    except OAuthError as error:
        return _refusal(error)
    return Response(headers=NO_STORE)


@router.get("/.well-known/oauth-authorization-server")
async def get_oauth_metadata(response: Response, settings: SettingsDep) -> AuthorizationServer:
    """What OAuth libraries ask for first (RFC 8414)."""
    response.headers["Cache-Control"] = "public, max-age=3600"
    base = settings.base_url
    return AuthorizationServer(
        issuer=base,
        token_endpoint=f"{base}/oauth/token",
        revocation_endpoint=f"{base}/oauth/revoke",
        jwks_uri=f"{base}/.well-known/jwks.json",
        service_documentation=f"{base}/docs",
        scopes_supported=list(KEY_SCOPES),
        response_types_supported=[],  # there is no authorization endpoint
        grant_types_supported=[oauth.GRANT_TYPE],
        token_endpoint_auth_methods_supported=METHODS,
        revocation_endpoint_auth_methods_supported=METHODS,
    )


async def _authenticated(request: Request, gate: KeyGate) -> tuple[Mapping[str, str], KeyCaller]:
    """The form and the client that sent it, whose call is counted as any other of its key's."""
    form = oauth.read_form(await request.body(), request.headers.get("content-type", ""))
    try:
        shown = oauth.read_credentials(form, request.headers.get("authorization"))
        caller = await gate.by_secret(shown.secret)
        if caller is None or caller.key_id != shown.client_id:
            raise oauth.unknown_client()
    except OAuthError as error:
        if error.code == "invalid_client":
            # Only those that fail count, so that nobody keeps others behind an address from theirs.
            await gate.count_refused(request.scope, AUTH)
        raise
    request.scope["state"][KEY] = caller
    await gate.admit(request.scope, caller)
    return form, caller


def _refusal(error: OAuthError) -> Response:
    is_unknown = error.code == "invalid_client"
    body = {"error": error.code, "error_description": error.description}
    headers = {**NO_STORE, "WWW-Authenticate": BASIC} if is_unknown else NO_STORE
    return JSONResponse(body, 401 if is_unknown else 400, headers=headers)
