"""The policy numbers, each once, and the pure functions that apply them.

Where the product's own rules differ from OWASP and NIST, docs/security.md says so and why.
"""

import string
import unicodedata
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from importlib import resources

from app.errors import FieldError

# Verification codes
CODE_DIGITS = 8
CODE_LIFETIME = timedelta(minutes=30)
CODE_MAX_ATTEMPTS = 5
# A code mail that waited longer than this is given a fresh code before it leaves.
CODE_FRESH_AT_SENDING = timedelta(minutes=5)
CODE_COOLDOWN = timedelta(seconds=60)
CODE_MAILS_PER_HOUR = 5
CODE_MAILS_PER_DAY = 10
# NIST SP 800-63B-4, 3.2.2 allows 100 failures in a row; 50 a day keeps 8 digits far from luck.
FAILED_CODES_PER_ADDRESS_AND_DAY = 50
FAILED_CODES_PER_DAY = 20_000
RESET_TOKEN_LIFETIME = timedelta(minutes=15)
UNKNOWN_ADDRESS_MAIL_INTERVAL = timedelta(days=1)
EMAIL_CHANGE_UNDO_LIFETIME = timedelta(days=7)

# Passwords
PASSWORD_MIN_LENGTH = 12
PASSWORD_MAX_LENGTH = 128
PASSWORD_MAX_BYTES = 1024
PASSWORD_MIN_DISTINCT = 5
EMAIL_PART_MIN_LENGTH = 4

# Sessions
ACCESS_TOKEN_LIFETIME = timedelta(minutes=10)
REFRESH_IDLE_LIFETIME = timedelta(days=30)
REFRESH_ABSOLUTE_LIFETIME = timedelta(days=180)
REFRESH_GRACE = timedelta(seconds=30)
MAX_SESSIONS_PER_ACCOUNT = 50

# Log-in throttle
LOGIN_FAILURES_PER_NETWORK = 10
LOGIN_FAILURE_WINDOW = timedelta(minutes=15)
LOGIN_BLOCK_LONGEST = timedelta(hours=4)
LOGIN_FAILURES_BEFORE_DELAY = 20
LOGIN_DELAY_LONGEST = timedelta(seconds=30)

# Signing keys: published this long before their first use, so that every JWKS cache has them.
SIGNING_KEY_LEAD = timedelta(minutes=15)
SIGNING_KEY_RELOAD_INTERVAL = timedelta(minutes=1)
JWKS_MAX_AGE = timedelta(minutes=5)

# Downloads
DOWNLOAD_URL_LIFETIME = timedelta(minutes=15)

# Retention; docs/security.md lists each with its reason.
KEEP_PENDING_FLOW = timedelta(hours=48)
KEEP_ENDED_SESSION = timedelta(days=30)
KEEP_FINISHED_MAIL = timedelta(days=14)
KEEP_FAILED_CODE_COUNTS = timedelta(days=7)
KEEP_LOGIN_FAILURES = timedelta(days=1)
KEEP_IDEMPOTENCY_KEY = timedelta(hours=24)
KEEP_AUDIT_EVENT = timedelta(days=365)
KEEP_QUEUE_LOG = timedelta(days=1)

# Mail delivery
MAIL_LEASE = timedelta(minutes=2)
MAIL_RETRY_DELAYS = tuple(timedelta(seconds=s) for s in (15, 30, 60, 120, 300, 600))
MAIL_GIVE_UP = timedelta(hours=31)

# Idempotency keys
IDEMPOTENCY_LEASE = timedelta(minutes=1)
IDEMPOTENCY_KEY_MAX_LENGTH = 255


def is_expired(expires_at: datetime, now: datetime) -> bool:
    """The one boundary: valid until the last moment before, refused from `expires_at` on."""
    return now >= expires_at


def next_code_mail_at(sent: Sequence[datetime], now: datetime) -> datetime:
    """When an address may get its next code mail; `sent` are the times of the past day's, sorted.

    Five an hour and ten a day, then one an hour: never none, or a stranger who asks for codes in
    somebody's name could keep that person out.
    """
    last_hour = [at for at in sent if at > now - timedelta(hours=1)]
    last_day = [at for at in sent if at > now - timedelta(days=1)]
    if len(last_hour) < CODE_MAILS_PER_HOUR and len(last_day) < CODE_MAILS_PER_DAY:
        return now
    an_hour_after_last = last_day[-1] + timedelta(hours=1)
    if len(last_day) >= CODE_MAILS_PER_DAY:
        return max(now, an_hour_after_last)
    return last_hour[-CODE_MAILS_PER_HOUR] + timedelta(hours=1)


def login_block(blocks_before: int) -> timedelta:
    """How long a network waits after its tenth failure: 15 minutes, doubling each time."""
    return min(LOGIN_FAILURE_WINDOW * (1 << min(blocks_before, 10)), LOGIN_BLOCK_LONGEST)


def login_delay(failures: int) -> timedelta:
    """The pause between log-ins to one address that fail from all over: 1 s doubling to 30 s."""
    excess = failures - LOGIN_FAILURES_BEFORE_DELAY
    if excess < 0:
        return timedelta(0)
    return min(timedelta(seconds=1 << min(excess, 10)), LOGIN_DELAY_LONGEST)


def mail_retry_delay(attempts: int) -> timedelta:
    """The pause after the given number of attempts that failed for now."""
    return MAIL_RETRY_DELAYS[min(attempts, len(MAIL_RETRY_DELAYS)) - 1]


def password_problems(password: str, *, email: str) -> list[FieldError]:
    """Every rule of the password policy that this password breaks, in a fixed order."""
    normalized = unicodedata.normalize("NFC", password)
    broken = {
        "password_too_short": len(normalized) < PASSWORD_MIN_LENGTH,
        "password_too_long": _is_too_long(normalized),
        "password_has_space": any(char.isspace() for char in normalized),
        "password_needs_uppercase": not any(char.isupper() for char in normalized),
        "password_needs_lowercase": not any(char.islower() for char in normalized),
        "password_needs_number": not any(char.isdecimal() for char in normalized),
        "password_needs_symbol": not any(_is_symbol(char) for char in normalized),
        "password_too_common": _is_common(normalized),
        "password_contains_email": _contains_email(normalized, email),
    }
    return [
        {"pointer": "", "code": code, "message": PASSWORD_RULES[code]}
        for code, is_broken in broken.items()
        if is_broken
    ]


PASSWORD_RULES = {
    "password_too_short": f"Use at least {PASSWORD_MIN_LENGTH} characters.",
    "password_too_long": f"Use at most {PASSWORD_MAX_LENGTH} characters.",
    "password_has_space": "Leave out spaces.",
    "password_needs_uppercase": "Add an upper-case letter.",
    "password_needs_lowercase": "Add a lower-case letter.",
    "password_needs_number": "Add a number.",
    "password_needs_symbol": "Add a symbol, such as - ! ? # or %.",
    "password_too_common": "Choose one that is harder to guess; this one is widely used.",
    "password_contains_email": "Leave your email address out of it.",
}


def _is_too_long(password: str) -> bool:
    return len(password) > PASSWORD_MAX_LENGTH or len(password.encode()) > PASSWORD_MAX_BYTES


def _is_symbol(char: str) -> bool:
    """Punctuation or symbol of any script (Unicode general categories P and S)."""
    return unicodedata.category(char)[0] in "PS"


_LEET = str.maketrans("0134578@$!", "oleastbasi")


def _is_common(password: str) -> bool:
    """Whether it is a widely used password, dressed up with digits, symbols or look-alikes.

    The product's composition rule makes people write "Password123!" for "password" (ASVS 6.2.4
    and 6.1.2 ask for the words of the service too), so the core of the password is looked up.
    """
    lowered = password.lower()
    if len(set(lowered)) < PASSWORD_MIN_DISTINCT:
        return True
    dressing = string.digits + string.punctuation
    undressed = {lowered, lowered.rstrip(string.punctuation), lowered.strip(dressing)}
    candidates = undressed | {form.translate(_LEET) for form in undressed}
    return not candidates.isdisjoint(_common_passwords())


_CONTEXT_WORDS = ("multimedia", "multimediaaccount", "newsletter", "broadcast", "broadcaster")


@cache
def _common_passwords() -> frozenset[str]:
    listed = resources.files("app.services").joinpath("common_passwords.txt").read_text()
    return frozenset(listed.split()).union(_CONTEXT_WORDS)


def _contains_email(password: str, email: str) -> bool:
    lowered = password.lower()
    local_part, _, domain = email.lower().partition("@")
    parts = (local_part, domain, domain.partition(".")[0])
    return any(len(part) >= EMAIL_PART_MIN_LENGTH and part in lowered for part in parts)
