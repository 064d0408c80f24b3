"""What an attempt at one mail means for its recipient and for the edition."""

from collections import Counter, deque
from datetime import datetime, timedelta
from uuid import UUID

from app.services import mail_outbox, policy
from app.services.bounce_verdicts import Failure, judge
from app.services.deliveries import Claim, Result


def taken(claim: Claim, answer: str, *, now: datetime) -> Result:
    code = int(answer[:3]) if answer[:3].isdigit() else None
    return Result(
        claim,
        "sent",
        now,
        smtp_code=code,
        reason=mail_outbox.presentable(answer, claim.to),
    )


def refused(
    claim: Claim, reason: str, *, code: int | None, status: str | None, now: datetime
) -> Result:
    """For good: the server has said so, or no server could take it."""
    said = mail_outbox.presentable(reason, claim.to)
    return Result(claim, "failed", now, smtp_code=code, smtp_status=status, reason=said)


def postponed(
    claim: Claim,
    reason: str,
    *,
    code: int | None,
    status: str | None,
    now: datetime,
    is_doubtful: bool = False,
) -> Result:
    """Try again after a pause that grows, unless it has been tried for too long or too often.

    A mail that may have arrived is sent again only `MAX_DOUBTS` times: each may be a double.
    """
    said = mail_outbox.presentable(reason, claim.to)
    if is_doubtful and claim.doubts + 1 > policy.MAX_DOUBTS:
        return Result(claim, "unknown", now, reason=said, is_doubtful=True)
    since = claim.first_tried_at or now
    if now - since >= policy.DELIVERY_GIVE_UP:
        return refused(claim, f"given up: {reason}", code=code, status=status, now=now)
    return Result(
        claim,
        "deferred",
        now,
        due_at=now + policy.delivery_retry_delay(claim.attempts + 1),
        smtp_code=code,
        smtp_status=status,
        reason=said,
        is_doubtful=is_doubtful,
    )


def given_back(claim: Claim, *, now: datetime, pause: timedelta = timedelta(0)) -> Result:
    """It was no attempt that counts: whoever comes next takes it."""
    due_at = now + pause
    return Result(claim, "pending", now, due_at=due_at, is_free=True, has_slot=claim.has_slot)


def put_off(claim: Claim, turn: datetime, *, is_given: bool, now: datetime) -> Result:
    """Its domain's limit has a later turn for it, or a time to ask again for one."""
    return Result(claim, "deferred", now, due_at=turn, is_free=True, has_slot=is_given)


class RefusalWatch:
    """Notices when an edition is refused for what it is: then all the others would be too.

    Or for who we are, which many servers say only once they know the recipient, and some in the
    words that stand for a dead mailbox.
    """

    def __init__(self) -> None:
        self._latest: dict[UUID, deque[tuple[bool, bool]]] = {}
        self._failed_in_a_row: Counter[UUID] = Counter()

    def believes(self, result: Result) -> bool:
        """Whether a refusal that was counted tells something of its recipient.

        One of many in a row tells of the server alone, in whatever words: nobody's subscription
        may end by that.
        """
        return self._failed_in_a_row[result.claim.edition_id] < policy.FAILURES_NOT_BELIEVED

    def note(self, result: Result) -> str | None:
        """Count a result; gives the reason to pause its edition, if there is one."""
        edition_id = result.claim.edition_id
        length = policy.REFUSALS_LOOKED_AT
        latest = self._latest.setdefault(edition_id, deque(maxlen=length))
        latest.append((result.state == "failed", _is_our_fault(result)))
        if result.state == "sent":
            del self._failed_in_a_row[edition_id]
        self._failed_in_a_row[edition_id] += result.state == "failed"
        failures, refusals = (sum(each) for each in zip(*latest, strict=True))
        if refusals >= policy.REFUSALS_BEFORE_PAUSE:
            kind = "contents_refused"
        elif failures >= policy.FAILURES_BEFORE_PAUSE:
            kind = "recipients_refused"
        else:
            return None
        latest.clear()
        return f"{kind}: {result.reason}"


def _is_our_fault(result: Result) -> bool:
    failure = Failure(result.smtp_status, result.smtp_code, result.reason or "")
    return result.state == "failed" and judge(failure) == "ours"
