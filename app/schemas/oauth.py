from typing import Literal

from pydantic import Field

from app.schemas.base import Answer


class OAuthToken(Answer):
    """RFC 6749, section 5.1."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # RFC 6750's word
    expires_in: int = Field(description="Seconds", examples=[3600])
    scope: str = Field(examples=["assets:read assets:download"])


class OAuthErrorAnswer(Answer):
    """RFC 6749, section 5.2."""

    error: str = Field(examples=["invalid_client"])
    error_description: str


class AuthorizationServer(Answer):
    """RFC 8414, section 2."""

    issuer: str
    token_endpoint: str
    revocation_endpoint: str
    jwks_uri: str
    service_documentation: str
    scopes_supported: list[str]
    response_types_supported: list[str]
    grant_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    revocation_endpoint_auth_methods_supported: list[str]
