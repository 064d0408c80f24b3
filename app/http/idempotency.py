"""The Idempotency-Key header of a POST that creates something."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from app.deps import DeploymentDep, KnownCaller, Now, Transactions
from app.services import idempotency, policy
from app.services.context import Deployment
from app.services.idempotency import Claim, StoredAnswer


@dataclass(slots=True)
class Idempotency:
    """What a route does with the key: answer the replay, or remember the new answer."""

    deployment: Deployment
    claim: Claim | None = None
    earlier: StoredAnswer | None = None

    @property
    def replay(self) -> Response | None:
        """The answer of the first request with this key, if there was one."""
        if self.earlier is None:
            return None
        headers = {"Idempotent-Replayed": "true", "Cache-Control": "no-store"}
        return JSONResponse(self.earlier.body, self.earlier.status, headers=headers)

    async def remember(self, session: AsyncSession, status: int, answer: BaseModel) -> None:
        """Keep the answer, in the transaction that does the work."""
        if self.claim is not None:
            stored = StoredAnswer(status, answer.model_dump(mode="json"))
            keyring = self.deployment.keyring
            await idempotency.complete(session, self.claim, stored, keyring=keyring)

    async def remember_secret(self, session: AsyncSession, status: int) -> None:
        """Keep that it was done, where the answer holds what nobody may be shown again."""
        if self.claim is not None:
            await idempotency.complete_with_secret(session, self.claim, status)


KeyHeader = Annotated[
    str | None,
    Header(max_length=policy.IDEMPOTENCY_KEY_MAX_LENGTH, pattern=r"^[\x21-\x7e]+$"),
]


async def get_idempotency(
    request: Request,
    caller: KnownCaller,
    transactions: Transactions,
    deployment: DeploymentDep,
    now: Now,
    idempotency_key: KeyHeader = None,
) -> AsyncIterator[Idempotency]:
    """Claim the key in a transaction of its own; give it back when the request fails."""
    if idempotency_key is None:
        yield Idempotency(deployment)
        return
    claim = Claim(
        caller=idempotency.caller_name(caller.account_id, caller.key_id),
        route=f"{request.method} {request.scope['path']}",
        key=idempotency_key,
        # Keyed, since a body may hold a password.
        request_hash=deployment.keyring.digest("idempotency-request", await request.body()),
        claimed_at=now,
    )
    async with transactions() as session:
        earlier = await idempotency.claim(session, claim, keyring=deployment.keyring, now=now)
    try:
        yield Idempotency(deployment, claim, earlier)
    except BaseException:
        async with transactions() as session:
            await idempotency.release(session, claim)
        raise


IdempotencyDep = Annotated[Idempotency, Depends(get_idempotency, scope="function")]
