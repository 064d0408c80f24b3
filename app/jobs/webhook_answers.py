"""What a receiver's answer, or its silence, means for a delivery."""

import random
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from app.adapters.webhook_client import WebhookAnswer
from app.services import policy, webhook_messages, webhook_states
from app.services.webhook_claims import Claim
from app.services.webhook_outcomes import Outcome

# Answers of a receiver that has too much to do, or of what stands before one that is away.
_OVERLOADED = frozenset({429, 502, 503, 504})


def judge_answer(claim: Claim, answer: WebhookAnswer, now: datetime, seconds: float) -> Outcome:
    """Only 2xx is a success; a redirection is none, since it is not followed."""
    said = Outcome(
        claim,
        now,
        status=answer.status,
        excerpt=presentable(answer.body),
        duration_ms=_milliseconds(seconds),
    )
    error = _error(claim, answer)
    if error is None:
        return replace(said, is_delivered=True)
    asked = retry_after(answer.retry_after, now)
    hold = asked or (policy.WEBHOOK_HOLD if answer.status in _OVERLOADED else None)
    pause, is_gone = _pause(claim), answer.status == HTTPStatus.GONE
    return replace(
        said,
        error=error,
        next_at=None if pause is None or is_gone else now + max(pause, asked or pause),
        held_until=now + hold if hold else None,
        is_gone=is_gone,
    )


def judge_failure(claim: Claim, error: str, now: datetime, seconds: float) -> Outcome:
    """There was no answer at all."""
    pause = _pause(claim)
    next_at = None if pause is None else now + pause
    milliseconds = _milliseconds(seconds)
    return Outcome(claim, now, next_at=next_at, error=error, duration_ms=milliseconds)


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """What a Retry-After asks for, as seconds or a date (RFC 9110, section 10.2.3): a day at most.

    Anything that is neither is no wish.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        wish = timedelta(seconds=min(int(text[:10]), 10**9))
    else:
        try:
            wish = parsedate_to_datetime(text) - now
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(wish, timedelta(0)), policy.WEBHOOK_RETRY_AFTER_LONGEST) or None


def presentable(body: bytes) -> str | None:
    """The first kibibyte of an answer as text, without what a terminal or the database minds."""
    text = body[: policy.WEBHOOK_EXCERPT_BYTES].decode("utf-8", "replace")
    return "".join(char if char.isprintable() or char in "\n\t" else " " for char in text) or None


def _error(claim: Claim, answer: WebhookAnswer) -> str | None:
    if not HTTPStatus.OK <= answer.status < HTTPStatus.BAD_REQUEST:
        return "refused"
    if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
        return "redirected"
    is_challenge = claim.event == webhook_messages.CHALLENGE
    if is_challenge and not webhook_states.is_answered(claim.payload, answer.body):
        return "challenge_not_answered"
    return None


def _pause(claim: Claim) -> timedelta | None:
    is_challenge = claim.event == webhook_messages.CHALLENGE
    most = policy.WEBHOOK_CHALLENGE_ATTEMPTS if is_challenge else None
    pause = policy.webhook_retry_delay(claim.attempts, most=most)
    if pause is None:
        return None
    jitter = policy.WEBHOOK_RETRY_JITTER
    return pause * random.uniform(1 - jitter, 1 + jitter)  # noqa: S311  # spreads load


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
