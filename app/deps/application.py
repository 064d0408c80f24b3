"""What the application holds while it runs, and what its settings make."""

from typing import Annotated, cast

from fastapi import Depends, Request

from app.crypto import AccessTokens, PasswordHasher
from app.formats.addresses import Addresses
from app.http.key_gate import KeyGate
from app.services.context import Deployment, Newsroom
from app.settings import Settings


async def get_settings(request: Request) -> Settings:
    return cast("Settings", request.app.state.settings)


async def get_deployment(request: Request) -> Deployment:
    return cast("Deployment", request.app.state.deployment)


async def get_hasher(request: Request) -> PasswordHasher:
    return cast("PasswordHasher", request.app.state.hasher)


async def get_access_tokens(request: Request) -> AccessTokens:
    return cast("AccessTokens", request.app.state.access_tokens)


async def get_key_gate(request: Request) -> KeyGate:
    return cast("KeyGate", request.app.state.keys)


async def get_addresses(request: Request) -> Addresses:
    state = request.app.state
    return Addresses(api=state.settings.base_url, pages=state.deployment.links_url)


SettingsDep = Annotated[Settings, Depends(get_settings)]
DeploymentDep = Annotated[Deployment, Depends(get_deployment)]
HasherDep = Annotated[PasswordHasher, Depends(get_hasher)]
AccessTokensDep = Annotated[AccessTokens, Depends(get_access_tokens)]
KeyGateDep = Annotated[KeyGate, Depends(get_key_gate)]
AddressesDep = Annotated[Addresses, Depends(get_addresses)]


async def get_newsroom(settings: SettingsDep) -> Newsroom:
    return Newsroom(
        sender=settings.newsletter_sender,
        api_url=settings.base_url,
        pages_url=settings.links_url,
        bounce_domain=settings.bounce_domain,
    )


NewsroomDep = Annotated[Newsroom, Depends(get_newsroom)]


async def get_frame_ancestors(settings: SettingsDep) -> str:
    """Who may show a page in a frame, as a Content-Security-Policy says it: the browser app."""
    return " ".join(("frame-ancestors 'self'", *sorted(settings.browser_origins)))


FrameAncestors = Annotated[str, Depends(get_frame_ancestors)]
