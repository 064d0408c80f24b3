"""Addresses that other programs know by heart (RFC 8615)."""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse

from app.deps import AccessTokensDep, SettingsDep
from app.services import policy

router = APIRouter(prefix="/.well-known", tags=["auth"])


@router.get("/jwks.json")
async def get_jwks(response: Response, tokens: AccessTokensDep) -> dict[str, list[dict[str, Any]]]:
    """The public keys of our access tokens (RFC 7517), the next one before its first use."""
    seconds = int(policy.JWKS_MAX_AGE.total_seconds())
    response.headers["Cache-Control"] = f"public, max-age={seconds}"
    return tokens.jwks()


@router.get("/change-password", status_code=302, response_class=RedirectResponse)
async def change_password_page(settings: SettingsDep) -> RedirectResponse:
    """Where password managers send people who want to change their password."""
    return RedirectResponse(f"{settings.links_url}/reset", 302)
