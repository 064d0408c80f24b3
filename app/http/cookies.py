"""The cookie transport: an HttpOnly refresh token that no other site can make a browser send."""

from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from app.errors import AppError

# The prefix makes browsers insist on Secure, Path=/ and no Domain (RFC 6265bis, 4.1.3.2).
REFRESH_COOKIE = "__Host-refresh"
DEVICE_COOKIE = "__Host-device"
DEVICE_COOKIE_LIFETIME = timedelta(days=400)  # the longest that browsers keep one


class OriginNotAllowed(AppError):
    """A request with cookies must come from one of our own pages (ASVS 3.5.1)."""

    status, code, title = 403, "origin_not_allowed", "Cookies are taken from our own pages only"


def check_origin(request: Request, allowed: frozenset[str]) -> None:
    """Refuse a request that a foreign page may have caused.

    Browsers send Origin with every POST; where it is missing, Sec-Fetch-Site must vouch. A client
    that is no browser has no use for the cookie transport.
    """
    origin = request.headers.get("origin")
    if origin is not None:
        if origin.lower() not in allowed:
            raise OriginNotAllowed
    elif request.headers.get("sec-fetch-site") != "same-origin":
        raise OriginNotAllowed


def set_refresh_cookie(response: Response, token: str, *, expires_at: datetime) -> None:
    _set(response, REFRESH_COOKIE, token, expires_at=expires_at)


def clear_refresh_cookie(response: Response) -> None:
    response.delete_cookie(REFRESH_COOKIE, path="/", secure=True, httponly=True, samesite="strict")


def set_device_cookie(response: Response, mark: str, *, now: datetime) -> None:
    """Let this browser be known again at its next log-in (services/auth.py)."""
    _set(response, DEVICE_COOKIE, mark, expires_at=now + DEVICE_COOKIE_LIFETIME)


def _set(response: Response, name: str, value: str, *, expires_at: datetime) -> None:
    response.set_cookie(
        name, value, expires=expires_at, path="/", secure=True, httponly=True, samesite="strict"
    )
