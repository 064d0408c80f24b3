from datetime import datetime

from pydantic import StrictBool

from app.schemas.account import AccountAnswer, Role
from app.schemas.base import Answer, Body


class ManagedAccount(AccountAnswer):
    suspended_at: datetime | None


class AccountList(Answer):
    items: list[ManagedAccount]
    next_cursor: str | None


class AccountPatch(Body):
    role: Role | None = None
    suspended: StrictBool | None = None
