"""For load balancers, orchestrators and Prometheus."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from app.deps import Now, ReaderDep, SettingsDep, StorageDep
from app.errors import NotFound
from app.http.metrics import metrics_response
from app.services import health
from app.settings import is_loopback

router = APIRouter(tags=["operations"])
HEADERS = {"Cache-Control": "no-store"}


@router.get("/livez")
async def get_liveness() -> JSONResponse:
    """The process answers; whether the rest does is /readyz."""
    return JSONResponse({"status": "ok"}, headers=HEADERS)


async def get_expected_revision(request: Request) -> str:
    return str(request.app.state.expected_revision)


@router.get("/readyz", responses={503: {"description": "A vital part is down"}})
async def get_readiness(
    reader: ReaderDep,
    storage: StorageDep,
    now: Now,
    expected_revision: Annotated[str, Depends(get_expected_revision)],
) -> JSONResponse:
    """Each part by name. 503 only without database or migrations; the rest may limp."""
    parts = await health.check_parts(
        reader, expected_revision=expected_revision, check_storage=storage.check, now=now
    )
    is_down = any(part.status == "down" for part in parts.values())
    is_degraded = any(part.status != "ok" for part in parts.values())
    body: dict[str, Any] = {
        "status": "down" if is_down else "degraded" if is_degraded else "ok",
        "parts": {name: {"status": part.status} for name, part in parts.items()},
    }
    return JSONResponse(body, 503 if is_down else 200, headers=HEADERS)


@router.get("/metrics", response_class=Response, include_in_schema=False)
async def get_metrics(request: Request, settings: SettingsDep) -> Response:
    """Prometheus metrics: with METRICS_TOKEN, or without one from this host alone."""
    token = settings.metrics_token.get_secret_value() if settings.metrics_token else None
    if token is None and not (request.client and is_loopback(request.client.host)):
        raise NotFound
    return metrics_response(request, token=token)
