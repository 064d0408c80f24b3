"""Requests with an API key: known by it before routing, counted, and ended with it.

Whoever shows a key is told if it is no good, also where none is needed. The route then decides
whether the key is good enough (app/deps/authorization.py).
"""

import asyncio
import time

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.crypto import InvalidToken
from app.errors import AppError, RateLimited, ServiceUnavailable, problem
from app.http.key_gate import KeyGate
from app.http.rate_limits import is_unlimited
from app.http.shown_keys import OAUTH_PREFIX, shown_token
from app.services import policy
from app.services.key_records import KeyCaller

# In the scope's `state`: the key that asks.
KEY = "api_key"
# Seconds. With the age of what is known of the key, less than one.
_CHECKED_FOR = policy.KEY_RECORD_MAX_AGE.total_seconds() / 2


class KeyedRequestsMiddleware:
    """Lets requests with a good key pass, and counts what they are answered."""

    def __init__(self, app: ASGIApp, *, gate: KeyGate) -> None:
        self.app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_unlimited(scope):
            await self.app(scope, receive, send)
        elif scope["path"].startswith(OAUTH_PREFIX):
            # There a key authenticates in other ways, which the route knows.
            await self.app(scope, receive, _KeyedAnswer(self._gate, None, scope, receive, send))
        elif (token := shown_token(scope)) is not None:
            await self._pass(token, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _pass(self, token: str, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            caller = await self._identified(token, scope)
        except (InvalidToken, RateLimited) as refusal:
            await problem(scope, refusal)(scope, receive, send)
            return
        scope["state"][KEY] = caller
        answer = _KeyedAnswer(self._gate, token, scope, receive, send)
        try:
            await self._gate.admit(scope, caller)
        except RateLimited as refusal:
            await problem(scope, refusal)(scope, receive, answer)
            return
        await self.app(scope, receive, answer)

    async def _identified(self, token: str, scope: Scope) -> KeyCaller:
        try:
            return await self._gate.identify(token)
        except InvalidToken:
            # So that nobody gets a key's higher limits by showing anything that looks like one.
            await self._gate.count_refused(scope)
            raise


class _KeyedAnswer:
    """Counts the bytes of an answer, and sends nothing a second after its key has ended.

    That is looked at when something is about to leave: a long poll or a stream may have begun
    long before. A file that the connection sends by itself (sendfile) goes on to its end. Where the
    database is away, an answer that has not begun is a 503, and the rest of one that has waits.
    """

    def __init__(
        self, gate: KeyGate, token: str | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._gate = gate
        self._token = token
        self._scope = scope
        self._receive = receive
        self._send = send
        self._good_until = time.monotonic() + _CHECKED_FOR
        self._is_over = False

    async def __call__(self, message: Message) -> None:
        if self._is_over:
            raise ClientDisconnect
        if self._token is not None and time.monotonic() >= self._good_until:
            has_begun = message["type"] != "http.response.start"
            refusal = await self._refusal(self._token, patient=has_begun)
            if refusal is not None:
                await self._end(message, refusal)
                return
        await self._send_counted(message)

    async def _refusal(self, token: str, *, patient: bool) -> AppError | None:
        """Why nothing more may leave; the patient wait for a database that is away, for a while."""
        patience = policy.KEY_CHECK_PATIENCE.total_seconds() if patient else 0
        until = time.monotonic() + patience
        while True:
            begun = time.monotonic()
            try:
                await self._gate.identify(token)
            except ServiceUnavailable as outage:  # it says nothing of the key
                if begun >= until:
                    return outage
                await asyncio.sleep(policy.ACCESS_CHECK_INTERVAL.total_seconds())
            except AppError as refusal:
                return refusal
            else:
                self._good_until = begun + _CHECKED_FOR
                return None

    async def _end(self, message: Message, refusal: AppError) -> None:
        """Say so if the answer has not begun; else cut it off, as a client that left would."""
        self._is_over = True
        if message["type"] != "http.response.start":
            raise ClientDisconnect
        await problem(self._scope, refusal)(self._scope, self._receive, self._send_counted)

    async def _send_counted(self, message: Message) -> None:
        await self._send(message)
        caller: KeyCaller | None = self._scope["state"].get(KEY)
        size = len(message.get("body", b"")) + message.get("count", 0)
        if caller is not None and size:
            self._gate.count_bytes(caller, size)
