"""Who may call what, for the OpenAPI document: a log-in, an API key, or an OAuth 2.0 token."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from app.crypto import InvalidToken
from app.errors import LoginRequired

Security = list[dict[str, list[str]]]
Dependency = TypeVar("Dependency", bound=Callable[..., Any])

# What a key or a token may be good for. A logged-in account has them all.
SCOPES = {
    "assets:read": "Read the catalogue and its exports",
    "assets:download": "Download files",
    "changes:read": "Follow the change feed",
    "webhooks:manage": "Make and manage webhooks",
}
ACCESS_TOKEN, API_KEY, OAUTH = "access_token", "api_key", "oauth2"
CLIENT, INBOUND = "client", "inbound_token"

# For a route's `openapi_extra`, where what it takes can't be seen from its dependencies.
LOGIN_WELCOME: dict[str, Security] = {
    "security": [{}, {ACCESS_TOKEN: []}, {API_KEY: []}, {OAUTH: ["assets:read"]}]
}
# HTTP Basic, or members of the form itself (RFC 6749, section 2.3.1).
CLIENT_AUTHENTICATION: dict[str, Security] = {"security": [{CLIENT: []}, {}]}

_scopes_of: dict[Callable[..., Any], str | None] = {}
_for_people: set[Callable[..., Any]] = set()


def for_keys_with(scope: str | None, dependency: Dependency) -> Dependency:
    """Note that a dependency (app/deps) takes keys and tokens that have this scope, or any."""
    _scopes_of[dependency] = scope
    return dependency


def for_people(dependency: Dependency) -> Dependency:
    """Note that a dependency takes no key, whatever else its route depends on."""
    _for_people.add(dependency)
    return dependency


def security_schemes(server_url: str) -> dict[str, dict[str, Any]]:
    flow = {"tokenUrl": f"{server_url}/oauth/token", "scopes": SCOPES}
    return {
        ACCESS_TOKEN: {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "Of a log-in; good for ten minutes, then refreshed",
        },
        API_KEY: {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "mma_…",
            "description": "Of a broadcaster; sent as it is, good until it expires or is revoked",
        },
        OAUTH: {
            "type": "oauth2",
            "flows": {"clientCredentials": flow},
            "description": "A key's id and secret, exchanged for a token of an hour",
        },
        CLIENT: {
            "type": "http",
            "scheme": "basic",
            "description": "A key's id and the key itself (RFC 6749, 2.3.1)",
        },
        INBOUND: {
            "type": "http",
            "scheme": "bearer",
            "description": "INBOUND_TOKEN, for a mail server of ours",
        },
    }


def add_security(document: dict[str, Any], app: FastAPI) -> None:
    """Say of each operation what it takes. A route that knows better says so itself."""
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in route.methods or ():
                operation = document["paths"][route.path_format][method.lower()]
                if found := _security(route, operation["responses"]):
                    operation.setdefault("security", found)


def takes_login(operation: dict[str, Any]) -> bool:
    return {ACCESS_TOKEN: []} in operation.get("security", ())


def used_schemes(document: dict[str, Any], server_url: str) -> dict[str, dict[str, Any]]:
    used = {
        name
        for methods in document["paths"].values()
        for operation in methods.values()
        for each in operation.get("security", ())
        for name in each
    }
    schemes = security_schemes(server_url)
    return {name: scheme for name, scheme in schemes.items() if name in used}


def _security(route: APIRoute, responses: dict[str, Any]) -> Security:
    examples = _examples(responses.get("401", {}))
    if InvalidToken.code not in examples:
        return []
    found: Security = [{ACCESS_TOKEN: []}]
    dependencies = set(_dependencies(route.dependant))
    if not dependencies & _for_people:
        scopes = sorted({_scopes_of[each] or "" for each in dependencies & _scopes_of.keys()})
        for scope in scopes:
            found += [{API_KEY: []}, {OAUTH: [scope] if scope else []}]
    # Where nobody is asked to log in, a token is welcome and not needed.
    return found if LoginRequired.code in examples else [{}, *found]


def _examples(response: dict[str, Any]) -> set[str]:
    return {
        code for content in response.get("content", {}).values() for code in content["examples"]
    }


def _dependencies(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    """All that a route depends on, and what that depends on."""
    for each in dependant.dependencies:
        if each.call is not None:
            yield each.call
        yield from _dependencies(each)
