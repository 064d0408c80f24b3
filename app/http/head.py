"""HEAD for every GET (RFC 9110, section 9.3.2): FastAPI routes answer only what they name."""

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_KEY = "app.http.head"


def is_head(scope: Scope) -> bool:
    """Whether nobody will see the body: an answer without an end need not begin it."""
    return _KEY in scope


class HeadMiddleware:
    """Runs a HEAD as the GET that it asks about and lets no body out.

    `answers_head` says which paths answer HEAD themselves: those whose body is costly to make.
    """

    def __init__(self, app: ASGIApp, *, answers_head: Callable[[str], bool]) -> None:
        self.app = app
        self._answers_head = answers_head

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asks_for_head = scope["type"] == "http" and scope["method"] == "HEAD"
        if not asks_for_head or self._answers_head(scope["path"]):
            await self.app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        request = {**scope, "method": "GET", _KEY: True}
        await self.app(request, receive, send_head)
        scope.update(request, method="HEAD")  # the log outside counts by what routing found
