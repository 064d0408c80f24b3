"""What tests of API keys share."""

from typing import Any

import httpx

KEYS = "/v1/api-keys"
ALL_SCOPES = ["assets:read", "assets:download", "changes:read", "webhooks:manage"]


async def make_key(
    client: httpx.AsyncClient, headers: dict[str, str], **wish: Any
) -> dict[str, Any]:
    """A key that has just been made, with its secret in `key`."""
    body = {"name": "Archive", "scopes": ["assets:read"], **wish}
    response = await client.post(KEYS, json=body, headers=headers)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


def as_key(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def with_key(made: dict[str, Any]) -> dict[str, str]:
    return as_key(made["key"])


def forget_what_is_known(client: httpx.AsyncClient) -> None:
    """What the application has read of keys, as half a second would."""
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    app: Any = transport.app
    app.state.keys._records._readings.clear()
