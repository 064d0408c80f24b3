"""Which calls may be larger, slower or more public than others, by their path: before routing."""

from app.http.body_limits import BodyLimit
from app.http.tus import LONGEST_PAUSE, is_upload
from app.services import policy

SUBSCRIBERS_PATH = "/v1/newsletter/subscribers"
CHANGES_PATH = "/v1/changes"
# Where the links of mails lead that end them (RFC 8058).
ONE_CLICK_PREFIXES = ("/v1/newsletter/unsubscribe/", "/v1/saved-searches/stop/")


def body_limit(largest_upload: int, path: str) -> BodyLimit | None:
    """Where bodies may be larger than JSON is, or must be small."""
    if path.startswith("/v1/assets/") and "/captions/" in path:
        return BodyLimit(max_bytes=policy.CAPTION_MAX_BYTES)
    if path == SUBSCRIBERS_PATH:
        return BodyLimit(max_bytes=policy.IMPORT_MAX_BYTES, stall=LONGEST_PAUSE, total=None)
    if path.startswith((*ONE_CLICK_PREFIXES, "/oauth/")):
        return BodyLimit(max_bytes=policy.FORM_MAX_BYTES)
    if path == "/v1/mail/inbound":
        return BodyLimit(max_bytes=policy.INBOUND_MAIL_MAX_BYTES)
    if is_upload(path):
        return BodyLimit(max_bytes=largest_upload, stall=LONGEST_PAUSE, total=None)
    return None


def may_take_long(path: str) -> bool:
    """Files, lists of subscribers, which are imported while they arrive, and waits for changes."""
    return is_whole_file(path) or path in {SUBSCRIBERS_PATH, CHANGES_PATH}


def is_whole_file(path: str) -> bool:
    """A broadcast-quality file may take hours to leave or to arrive."""
    return (
        path.startswith(("/v1/files/", "/v1/exports/"))
        or is_upload(path)
        or is_shown_by_players(path)
    )


def is_shown_by_players(path: str) -> bool:
    """Pages of any site may show posters and previews, and draw them on a canvas."""
    return path.startswith("/v1/assets/") and path.endswith(("/poster.jpg", "/preview.mp4"))
