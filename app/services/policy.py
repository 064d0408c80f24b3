"""The policy numbers, each once, and the pure functions that apply them.

Where the product's own rules differ from OWASP and NIST, docs/security.md says so and why.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

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

# How long a password that was given vouches for whoever gave it, before something grave.
RECENT_PASSWORD = timedelta(minutes=15)

# API keys
MAX_API_KEYS_PER_ACCOUNT = 50
KEY_OVERLAP = timedelta(hours=24)
KEY_OVERLAP_LONGEST = timedelta(days=7)
KEY_TOKEN_LIFETIME = timedelta(hours=1)
# What is known of a key is read again after so long, and so a revoked one ends within a second,
# whatever goes unheard.
KEY_RECORD_MAX_AGE = timedelta(milliseconds=500)
# An answer under way is held back for so long while the database, which knows its key, is away.
KEY_CHECK_PATIENCE = timedelta(seconds=30)
KEY_CALLS_PER_MINUTE = 1_200
KEY_CALLS_PER_DAY = 200_000
# What a killed process has not stored of its counts.
KEY_USAGE_FLUSH_INTERVAL = timedelta(seconds=1)
USAGE_SHOWN = timedelta(days=30)

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

# Uploads
MAX_OPEN_UPLOADS = 20
MAX_OPEN_UPLOAD_BYTES = 2 * 1024**4
# Counted from the last byte.
UPLOAD_LIFETIME = timedelta(days=7)
# Whoever appends has the upload to itself for so long, and again with all that it writes. Short,
# because a client whose server died comes back within ten seconds and would not wait longer.
UPLOAD_LEASE = timedelta(seconds=8)
UPLOAD_FLUSH_INTERVAL = timedelta(seconds=3)
# A sender that was silent for so long gives way to another request for the same upload.
UPLOAD_SILENCE = timedelta(seconds=1)
FILENAME_MAX_BYTES = 255

# Stored objects. What nobody refers to yet may be about to be referred to; what a newer file has
# taken the place of may have been replaced by mistake.
KEEP_UNREFERENCED_OBJECT = timedelta(hours=24)
KEEP_REPLACED_RENDITION = timedelta(days=30)

# Exports
EXPORT_INTERVAL = timedelta(hours=1)
KEPT_EXPORTS = 3
# Withdrawals of the same moment share the export that follows them.
WITHDRAWAL_EXPORT_DELAY = timedelta(seconds=10)
# Whatever fails, no file with a withdrawn asset in it is given out for longer. The largest
# catalogues take a minute to write, and one that was begun just before comes first.
WITHDRAWN_IN_EXPORTS_AT_MOST = timedelta(minutes=5)
# A new installation's worker has written the first one by then.
EXPORT_RETRY_AFTER = timedelta(seconds=10)

# Sitemaps: fewer than the 50,000 addresses that one may hold, to be written in a moment.
SITEMAP_PAGE_SIZE = 1_000

# Saved searches
MAX_SAVED_SEARCHES = 50
SAVED_FILTER_MAX_VALUES = 50
# One mail for all of an account's searches, and what matches meanwhile is in the next.
ALERT_MAIL_INTERVAL = timedelta(minutes=15)
ALERT_MAIL_ASSETS = 10
# A correction may let an asset match for the first time for so long after it was published. Matches
# are kept longer, so that none is taken for the first one again.
ALERT_CORRECTION_TERM = timedelta(days=30)
KEEP_SAVED_SEARCH_MATCH = timedelta(days=60)
# Searches and changes that one transaction goes through, and searches and matches of one statement,
# which would not end in its time if all of those searches matched all of those changes.
ALERT_SEARCHES = 500
ALERT_CHANGES = 200
ALERT_STATEMENT_SEARCHES = 100
ALERT_STATEMENT_MATCHES = 10_000

# Harvests (OAI-PMH): records of a page, and the bytes of documents after which it ends earlier.
HARVEST_PAGE_SIZE = 100
HARVEST_PAGE_BYTES = 4 * 1024**2
# How long an answer waits for changes that are just being committed.
HARVEST_COMMIT_PATIENCE = timedelta(seconds=2)

# Retention; docs/security.md lists each with its reason.
KEEP_PENDING_FLOW = timedelta(hours=48)
KEEP_ENDED_SESSION = timedelta(days=30)
KEEP_FINISHED_MAIL = timedelta(days=14)
KEEP_FAILED_CODE_COUNTS = timedelta(days=7)
KEEP_LOGIN_FAILURES = timedelta(days=1)
KEEP_IDEMPOTENCY_KEY = timedelta(hours=24)
KEEP_AUDIT_EVENT = timedelta(days=365)
KEEP_QUEUE_LOG = timedelta(days=1)
KEEP_WEBHOOK_DELIVERY = timedelta(days=30)
KEEP_KEY_USAGE = timedelta(days=400)
KEEP_ENDED_KEY = timedelta(days=400)

# Mail delivery
MAIL_LEASE = timedelta(minutes=2)
MAIL_RETRY_DELAYS = tuple(timedelta(seconds=s) for s in (15, 30, 60, 120, 300, 600))
MAIL_GIVE_UP = timedelta(hours=31)

# Newsletter
SIGNUP_LIFETIME = timedelta(days=7)
SIGNUP_MAIL_INTERVAL = timedelta(hours=24)
# Of a request to unsubscribe, in which nothing need be, or for an access token.
FORM_MAX_BYTES = 8 * 1024
MAX_TEST_RECIPIENTS = 10
TEST_MAILS_PER_EDITION_AND_HOUR = 50
EDITION_BODY_MAX_LENGTH = 200_000
EDITION_MAX_ASSETS = 100
# Far more than a letter needs, and rendered within a second whoever wrote it: characters that mean
# something to Markdown, blocks, tags of HTML, and elements inside each other.
EDITION_MAX_MARKUP = 20_000
EDITION_MAX_BLOCKS = 20_000
EDITION_MAX_TAGS = 5_000
EDITION_MAX_NESTING = 100
# Lists of mails show no more of a subject.
EDITION_SUBJECT_ADVISED_LENGTH = 150
# Gmail cuts a longer HTML part off.
EDITION_HTML_ADVISED_BYTES = 102_400
EDITION_PREHEADER_MAX_LENGTH = 300
# Editors see the HTML in a frame, by an address that works for so long.
EDITION_PREVIEW_LIFETIME = timedelta(minutes=15)
# The mails of so long tell an edition's speed, and so many kinds of failure are shown with it.
EDITION_RATE_WINDOW = timedelta(minutes=1)
SHOWN_FAILURES = 10
# Subscribers looked at in one transaction of the fan-out.
FAN_OUT_CHUNK = 20_000
# A claim of a mail ends so late that its mail server has had every time to answer.
DELIVERY_LEASE = timedelta(minutes=4)
DELIVERY_RETRY_DELAYS = tuple(timedelta(minutes=m) for m in (1, 5, 15, 60, 240))
DELIVERY_GIVE_UP = timedelta(hours=31)
# How often a mail is sent again of which nobody knows whether it has arrived.
MAX_DOUBTS = 2
# Mails refused for what they are, among the latest so many, pause their edition.
REFUSALS_LOOKED_AT = 50
REFUSALS_BEFORE_PAUSE = 25
# So many dead mailboxes in a row are no list, but a server that refuses everybody.
FAILURES_BEFORE_PAUSE = 45
# From so many in a row on, without one mail that was taken, they end no subscription any more.
FAILURES_NOT_BELIEVED = 10
# A domain that asks for less gets half as much at once, and a tenth more each half-minute.
SLOWED_RATE_LOWEST = 0.2
# Answers to mails that were on their way together are one word.
SLOW_DOWN_INTERVAL = timedelta(seconds=5)
RATE_RECOVERY_INTERVAL = timedelta(seconds=30)
RATE_RECOVERY_FACTOR = 1.1
# A domain's own limit ends after so long without a word, or at so many times what it began with.
RATE_RECOVERY_QUIET = timedelta(hours=1)
RATE_RECOVERY_ENOUGH = 20
# What a limited sender may catch up with after a pause.
RATE_BURST = timedelta(milliseconds=200)
# How far ahead a domain's turns are given: soon enough to obey when it asks for less once more.
TURNS_AHEAD = timedelta(seconds=30)
# Who gets no turn asks again by then.
TURN_ASKED_AGAIN = timedelta(minutes=15)
# Bounces
BOUNCE_SCORE_LIMIT = 5.0
BOUNCE_HALF_LIFE = timedelta(days=14)
INBOUND_MAIL_MAX_BYTES = 10 * 1024 * 1024
# Digests leave at this hour (UTC), weekly ones on Mondays.
DIGEST_HOUR = 6
# They end so much earlier: by then, whatever was being published in that instant has appeared.
DIGEST_MARGIN = timedelta(minutes=5)
DIGEST_MAX_ASSETS = 40
# Import and export
IMPORT_MAX_BYTES = 1024**3
IMPORT_CHUNK = 2_000
# What is remembered of each address to find those that come twice takes 64 MiB for so many.
IMPORT_MAX_LINES = 5_000_000
IMPORT_LINE_MAX_BYTES = 16 * 1024
IMPORT_FIELD_MAX_LENGTH = 4_000
IMPORT_REPORTED_ERRORS = 1_000
# Subscribers looked at in one statement of an export.
EXPORT_CHUNK = 2_000
KEEP_CONSENT = timedelta(days=3 * 365)
KEEP_DELIVERY = timedelta(days=365)

# Webhooks
MAX_WEBHOOKS_PER_ACCOUNT = 10
# The pauses between ten attempts (Standard Webhooks 1.0.0): 75 hours and 35 minutes in all. A tenth
# more or less, at random, so that what failed together does not come again together.
WEBHOOK_RETRY_DELAYS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    *(timedelta(hours=h) for h in (2, 5, 10, 14, 20, 24)),
)
WEBHOOK_RETRY_JITTER = 0.1
# An endpoint that was never proven is asked less often than one that was.
WEBHOOK_CHALLENGE_ATTEMPTS = 4
# Each goes to an address that has agreed to nothing yet.
WEBHOOK_CHALLENGES_PER_HOUR = 20
WEBHOOK_RETRY_AFTER_LONGEST = timedelta(hours=24)
# The peace of an endpoint that is overloaded and does not say for how long.
WEBHOOK_HOLD = timedelta(seconds=5)
# Far more than an attempt may take; then another worker takes the delivery up.
WEBHOOK_LEASE = timedelta(minutes=1)
# To one endpoint, by all workers; one that fails is tried by one message at a time.
WEBHOOKS_AT_ONCE = 10
WEBHOOK_DISABLED_AFTER = timedelta(days=5)
WEBHOOK_SECRET_OVERLAP = timedelta(hours=24)
# Rows that one transaction adds to the ledger; results wait for as long as it takes.
WEBHOOK_FAN_OUT_ROWS = 1_000
# An endpoint that was away goes on with the latest so many changes at most.
WEBHOOK_CATCH_UP = 10_000
WEBHOOK_REPLAY_MAX = 10_000
# Standard Webhooks asks for less than 20 kB.
WEBHOOK_PAYLOAD_MAX_BYTES = 20_000
WEBHOOK_EXCERPT_BYTES = 1_024
# New matches of a saved search that one message names, well within its size.
WEBHOOK_MATCHES_PER_MESSAGE = 300

# Files of assets
# A worker that was silent for so long is taken for dead, and its file is taken up by another.
PROCESSING_LEASE = timedelta(minutes=1)
PROCESSING_RETRY_DELAYS = tuple(timedelta(seconds=s) for s in (5, 15, 60, 300, 600))
# The host may end a decoder for want of memory once or twice; then it is the file that needs it.
MAX_INTERRUPTIONS = 3
# What a decoder would unpack into a gigabyte. The largest cameras make a third of it.
MAX_PICTURE_PIXELS = 400_000_000
MAX_MEDIA_DURATION = timedelta(hours=48)
# Editors see the poster and preview of a draft by an address that works for so long.
DRAFT_PREVIEW_LIFETIME = timedelta(hours=1)
# Pixels, of the posters that lists show.
SMALL_POSTER_WIDTH = 480

# Captions
CAPTION_MAX_BYTES = 2 * 1024 * 1024
CAPTION_LATEST = timedelta(days=7)
MAX_CAPTIONS_PER_ASSET = 60

# Keywords
KEYWORD_MAX_LENGTH = 100
MAX_KEYWORDS_PER_ASSET = 100

# Changes
CHANGES_DEFAULT_LIMIT = 100
CHANGES_MAX_LIMIT = 1_000
# A page of long documents ends at its first item past this, whatever its limit.
CHANGES_PAGE_BYTES = 4 * 1024 * 1024
# Seconds, since clients name them so.
CHANGES_LONGEST_WAIT = 60
# While announcements go unheard, all who wait share one query in each of these.
CHANGES_POLL_INTERVAL = timedelta(seconds=1)
# Of a stream: what a slow reader may make us hold, and how often a silent one shows that it lives.
CHANGES_STREAM_LIMIT = 100
CHANGES_STREAM_BYTES = 256 * 1024
CHANGES_HEARTBEAT = timedelta(seconds=15)
CHANGES_RECONNECT = timedelta(seconds=2)
# So many published assets are compared with the feed in one statement.
CHANGES_COMPARED = 5_000
# Whoever is answered for long is asked for again so often: access that is lost ends within a
# second, also where a check itself may know half a second's old state.
ACCESS_CHECK_INTERVAL = timedelta(milliseconds=400)
# Of a process's 2,000 connections; who has so many needs no more to be told of the same changes.
WAITS_PER_CREDENTIAL = 100
WAIT_RETRY_AFTER = timedelta(seconds=30)

# Idempotency keys
IDEMPOTENCY_LEASE = timedelta(minutes=1)
IDEMPOTENCY_KEY_MAX_LENGTH = 255

# Lists and search
# Totals are exact up to here; relevance ranks, and filtered facets count, this many newest hits.
COUNTED_HITS = 10_000
# Phrases are looked for in so many of the newest assets that have all the words.
PHRASE_CANDIDATES = 5_000
QUERY_MAX_LENGTH = 200
# Shorter ones stand for too many words to be completed.
COMPLETED_WORD_MIN_LENGTH = 3
# A last word that so many assets have is not taken for the beginning of others.
COMMON_WORD_ASSETS = 1_000
FACET_VALUES = 50
MAX_FACETS = 10
# A sort key must fit into a cursor.
SORTED_TITLE_LENGTH = 100
# Of one asset, far below the mebibyte that a vector may hold.
INDEXED_CHARACTERS = 250_000
# Of summary and body in each language: news says first what matters most.
RANKED_WORDS = 60
SNIPPET_CHARACTERS = 160
MATCHES_PER_ASSET = 10


def is_expired(expires_at: datetime, now: datetime) -> bool:
    """The one boundary: valid until the last moment before, refused from `expires_at` on."""
    return now >= expires_at


def largest_upload(max_upload_bytes: int | None) -> int:
    """The size that one file may have, given the setting: never more than all files together."""
    return min(max_upload_bytes or MAX_OPEN_UPLOAD_BYTES, MAX_OPEN_UPLOAD_BYTES)


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


def delivery_retry_delay(attempts: int) -> timedelta:
    """The pause of one recipient's mail after so many attempts that failed for now."""
    return DELIVERY_RETRY_DELAYS[min(max(attempts, 1), len(DELIVERY_RETRY_DELAYS)) - 1]


def processing_retry_delay(attempts: int) -> timedelta:
    """The pause after the given number of tries at a file that our own faults have ended."""
    return PROCESSING_RETRY_DELAYS[min(attempts, len(PROCESSING_RETRY_DELAYS)) - 1]


def webhook_retry_delay(attempts: int, *, most: int | None = None) -> timedelta | None:
    """The pause after so many attempts that failed; None when there is to be no other."""
    if attempts > len(WEBHOOK_RETRY_DELAYS) or (most is not None and attempts >= most):
        return None
    return WEBHOOK_RETRY_DELAYS[attempts - 1]
