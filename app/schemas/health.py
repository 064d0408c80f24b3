from typing import Literal

from app.schemas.base import Answer

Status = Literal["ok", "degraded", "down"]


class Liveness(Answer):
    status: Literal["ok"]


class PartHealth(Answer):
    status: Status


class Readiness(Answer):
    status: Status
    parts: dict[str, PartHealth]
