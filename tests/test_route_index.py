"""The application finds the same routes as FastAPI would, by trying fewer."""

import re
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import Match, Router

from app.http.route_index import RouteIndex, install_route_index
from tests.http_asgi import client_of, http_scope

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ODD_PATHS = (
    "/",
    "",
    "//",
    "/v1",
    "/v1/",
    "/v1/assets/",
    "//v1/assets",
    "/V1/assets",
    "/v1/assets.rss",
    "/v1/assetsx",
    "/v1/nothing/x",
    "/livez/",
    "/livez/x",
    "/*",
    "/{",
    "/ui/styles.css",
    "/ui",
    "/assets/a-slug",
    "/.well-known/nothing",
)


def paths_of(app: FastAPI) -> set[str]:
    """One of each route, and one that is longer."""
    templates = {context.path for context in iter_route_contexts(app.routes) if context.path}
    paths = {re.sub(r"\{[^}]+\}", "some-thing", template) for template in templates}
    return paths | {f"{path}/more" for path in paths} | set(ODD_PATHS)


def found(router: Router, path: str, method: str) -> list[tuple[Match, Any]]:
    """What the router would try with success, in its order, and what of its routes it is."""
    return [
        (match, id(route))
        for route in router.routes
        for match in [route.matches(http_scope(path, method=method))[0]]
        if match is not Match.NONE
    ]


def test_every_request_meets_the_routes_that_it_would_have_met_among_all(
    app: FastAPI,
) -> None:
    index = app.router.middleware_stack
    assert isinstance(index, RouteIndex)
    tried = 0
    for path in paths_of(app):
        part = index.part_for(path)
        tried += len(part.routes)
        assert part.routes != app.router.routes
        for method in METHODS:
            assert found(part, path, method) == found(app.router, path, method), path
    assert tried / len(paths_of(app)) < 8  # of fifty


async def test_application_may_be_part_of_another() -> None:
    inner, outer = FastAPI(), FastAPI()
    inner.add_api_route("/v1/things", lambda: "things")
    install_route_index(inner)
    outer.mount("/under/here", inner)
    async with client_of(outer) as client:
        assert (await client.get("/under/here/v1/things")).json() == "things"


@pytest.mark.parametrize("redirect_slashes", [False, True])
@pytest.mark.parametrize(
    "path", ["/a/b", "/a/b/c", "/a/x/c", "/a", "/a/", "/static/x", "/a/b/", "/z/b", "/d", "/d/e"]
)
async def test_routes_keep_their_order_and_their_answers(
    path: str, *, redirect_slashes: bool
) -> None:
    """Also where a parameter stands at the beginning of a path, or a whole application."""

    def build() -> FastAPI:
        app = FastAPI(redirect_slashes=redirect_slashes)
        static = FastAPI()
        static.add_api_route("/x", lambda: "static", methods=["GET"])
        for template in ("/a/b", "/{one}/b", "/a/{two}", "/a/b/c", "/{one}/{two}/c", "/a", "/d/"):
            app.add_api_route(template, lambda here=template: here, methods=["GET"])
        app.mount("/static", static)
        return app

    indexed = build()
    install_route_index(indexed)
    async with client_of(build()) as plain, client_of(indexed) as quick:
        for method in ("GET", "POST"):
            expected = await plain.request(method, path)
            answer = await quick.request(method, path)
            assert (answer.status_code, answer.text) == (expected.status_code, expected.text)
            for name in ("allow", "location"):
                assert answer.headers.get(name) == expected.headers.get(name)
