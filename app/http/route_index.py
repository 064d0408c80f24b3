"""Finds the route of a request without trying all."""

from fastapi import APIRouter, FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

# Of routes that any path may mean.
_ANYWHERE = "*"


def install_route_index(app: FastAPI) -> None:
    """For an application whose routes are all there."""
    app.router.middleware_stack = RouteIndex(app.router)


class RouteIndex:
    """Gives a request to a router of those routes that begin with the same two segments.

    FastAPI tries all of them in their order, at some microseconds each: for the last of 150 that
    took longer than all the rest of a request.
    """

    def __init__(self, router: APIRouter) -> None:
        self._whole = router
        self._parts: dict[str, APIRouter] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        router = self._whole
        # Under another application, the path begins with that one's.
        if scope["type"] == "http" and not scope.get("root_path"):
            scope.setdefault("router", router)
            router = self.part_for(scope["path"])
        await router.app(scope, receive, send)

    def part_for(self, path: str) -> APIRouter:
        """A router of the routes that this path may mean."""
        self._parts = self._parts or _divide(self._whole)
        return self._parts.get(_beginning(path), self._parts[_ANYWHERE])


def _divide(whole: APIRouter) -> dict[str, APIRouter]:
    """Keeps the order, by which FastAPI decides between two that match."""
    known = [(route, _beginnings(route)) for route in whole.routes]
    parts: dict[str, APIRouter] = {}
    for each in {_ANYWHERE}.union(*(beginnings for _, beginnings in known)):
        part = parts[each] = APIRouter(redirect_slashes=whole.redirect_slashes)
        part.routes += [
            route for route, beginnings in known if not beginnings.isdisjoint({each, _ANYWHERE})
        ]
    return parts


def _beginnings(route: BaseRoute) -> set[str]:
    """Those of a route, or of all routes of a router that was included."""
    contexts = list(iter_route_contexts([route]))
    paths = [each.path if isinstance(each.original_route, Route) else None for each in contexts]
    beginnings = {_ANYWHERE if path is None else _beginning(path) for path in paths}
    return {_ANYWHERE if "{" in each else each for each in beginnings}


def _beginning(path: str) -> str:
    """Without a last slash, for which FastAPI may look at the same path with one."""
    return "/".join(path.split("/", 3)[:3]).rstrip("/")
