"""For load balancers, orchestrators and Prometheus."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from app.deps import NO_STORE, Now, ReaderDep, SettingsDep, StorageDep
from app.errors import NotFound
from app.http.metrics import metrics_response
from app.schemas.health import Liveness, PartHealth, Readiness
from app.services import health
from app.settings import is_loopback

router = APIRouter(tags=["operations"], dependencies=[NO_STORE])


@router.get("/livez")
async def get_liveness() -> Liveness:
    """The process answers; whether the rest does is /readyz."""
    return Liveness(status="ok")


async def get_expected_revision(request: Request) -> str:
    return str(request.app.state.expected_revision)


@router.get("/readyz", responses={503: {"description": "A vital part is down", "model": Readiness}})
async def get_readiness(
    response: Response,
    reader: ReaderDep,
    storage: StorageDep,
    now: Now,
    expected_revision: Annotated[str, Depends(get_expected_revision)],
) -> Readiness:
    """Each part by name. 503 only without database or migrations; the rest may limp."""
    parts = await health.check_parts(
        reader, expected_revision=expected_revision, check_storage=storage.check, now=now
    )
    is_down = any(part.status == "down" for part in parts.values())
    is_degraded = any(part.status != "ok" for part in parts.values())
    if is_down:
        response.status_code = 503
    return Readiness(
        status="down" if is_down else "degraded" if is_degraded else "ok",
        parts={name: PartHealth(status=part.status) for name, part in parts.items()},
    )


@router.get("/metrics", response_class=Response, include_in_schema=False)
async def get_metrics(request: Request, settings: SettingsDep) -> Response:
    """Prometheus metrics: with METRICS_TOKEN; without one only in development, for this host."""
    token = settings.metrics_token.get_secret_value() if settings.metrics_token else None
    is_local = request.client is not None and is_loopback(request.client.host)
    if token is None and (settings.is_production or not is_local):
        raise NotFound
    return metrics_response(request, token=token)
