from datetime import UTC, datetime, timedelta, timezone

import pytest
from starlette.datastructures import Headers

from app.errors import PreconditionFailed
from app.http.conditional import PreconditionRequired, check_if_match, etag, not_modified

CHANGED = datetime(2026, 11, 23, 12, 0, 0, 999_999, tzinfo=UTC)
TAG = '"v7"'


def headers(**fields: str) -> Headers:
    return Headers({name.replace("_", "-"): value for name, value in fields.items()})


def test_tag_names_the_version() -> None:
    assert etag(7) == '"v7"'


@pytest.mark.parametrize(
    "field",
    [
        '"v7"',
        'W/"v7"',
        '"v7-gzip"',
        '"v7-br"',
        'W/"v7-zstd"',
        "*",
        " * ",
        '"v5", "v6","v7"',
        '"v6" , W/"v7"',
        '"a,b", "v7"',
        ",".join(f'"v{number}"' for number in range(10_000)),
    ],
)
def test_known_version_is_not_sent_again(field: str) -> None:
    assert not_modified(headers(if_none_match=field), TAG)


@pytest.mark.parametrize(
    "field", ['"v8"', "v7", "'v7'", '"V7"', '"v77"', '"v7-gzip-br"', '"v7', "", "W/v7", '"*"', "x*"]
)
def test_other_version_is_sent(field: str) -> None:
    assert not not_modified(headers(if_none_match=field), TAG, CHANGED)


def test_tags_in_several_lines_are_one_list() -> None:
    raw = [(b"if-none-match", b'"v1"'), (b"if-none-match", b'"v7"')]
    assert not_modified(Headers(raw=raw), TAG)


@pytest.mark.parametrize(
    ("since", "fresh"),
    [
        ("Mon, 23 Nov 2026 12:00:00 GMT", True),
        ("Mon, 23 Nov 2026 12:00:01 GMT", True),
        ("Mon, 23 Nov 2026 11:59:59 GMT", False),
        ("Monday, 23-Nov-26 12:00:00 GMT", True),
        ("Mon, 23 Nov 2026 12:00:00 -0000", True),
        ("yesterday", False),
        ("", False),
        ("Mon, 99 Nov 2026 12:00:00 GMT", False),
        ("0", False),
    ],
)
def test_date_counts_by_the_second_and_only_when_valid(since: str, fresh: bool) -> None:  # noqa: FBT001  # a row of the table
    assert not_modified(headers(if_modified_since=since), TAG, CHANGED) is fresh


def test_last_change_may_be_in_any_zone() -> None:
    berlin = CHANGED.astimezone(timezone(timedelta(hours=1)))
    assert not_modified(headers(if_modified_since="Mon, 23 Nov 2026 12:00:00 GMT"), TAG, berlin)


def test_date_does_not_count_beside_a_tag() -> None:
    both = headers(if_none_match='"v6"', if_modified_since="Mon, 23 Nov 2026 12:00:00 GMT")
    assert not not_modified(both, TAG, CHANGED)


def test_date_does_not_count_without_a_date_of_ours() -> None:
    assert not not_modified(headers(if_modified_since="Mon, 23 Nov 2026 12:00:00 GMT"), TAG)


def test_request_without_conditions_is_answered() -> None:
    assert not not_modified(headers(), TAG, CHANGED)


@pytest.mark.parametrize("field", ['"v7"', 'W/"v7"', '"v7-gzip"', "*", '"v6", "v7"'])
def test_edit_of_the_current_version_passes(field: str) -> None:
    check_if_match(field, 7)


@pytest.mark.parametrize("field", ['"v6"', "v7", "", '"v70"', "7"])
@pytest.mark.parametrize("required", [True, False])
def test_edit_of_another_version_fails(field: str, required: bool) -> None:  # noqa: FBT001  # a row of the table
    with pytest.raises(PreconditionFailed):
        check_if_match(field, 7, required=required)


def test_edit_without_a_version_is_refused_where_one_is_needed() -> None:
    with pytest.raises(PreconditionRequired):
        check_if_match(None, 7)
    check_if_match(None, 7, required=False)
    assert (PreconditionRequired.status, PreconditionRequired.code) == (
        428,
        "precondition_required",
    )
