"""The Allow header of a 405 (RFC 9110, section 15.5.6)."""

from starlette.applications import Starlette
from starlette.routing import Match
from starlette.types import Scope

_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


def allowed_methods(app: Starlette, scope: Scope) -> str:
    """Every method that some route takes at this path; Starlette names those of the first one."""
    taken = [
        method
        for method in _METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in app.routes)
    ]
    return ", ".join([*taken, "HEAD"] if "GET" in taken and "HEAD" not in taken else taken)
