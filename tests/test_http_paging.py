import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.paging import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    InvalidCursor,
    Page,
    decode_cursor,
    encode_cursor,
    link_next,
)

KEY = b"k" * 32
SCOPE = "/v1/assets?type=video"
VALUES: list[str | int | None] = ["2026-11-23T12:00:00Z", 42, None]


@given(
    st.lists(
        st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=50), min_size=1, max_size=3
    )
)
def test_cursor_gives_back_what_it_was_made_of(values: list[str | int | None]) -> None:
    assert decode_cursor(KEY, SCOPE, encode_cursor(KEY, SCOPE, values)) == values


def test_cursor_is_short_and_needs_no_escaping() -> None:
    cursor = encode_cursor(KEY, SCOPE, ["2026-11-23T12:00:00Z", "0193-uuid"])
    assert len(cursor) < 100
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@pytest.mark.parametrize("scope", ["/v1/assets?type=audio", "/v1/assets", "", SCOPE + "x"])
def test_cursor_of_another_list_is_refused(scope: str) -> None:
    with pytest.raises(InvalidCursor):
        decode_cursor(KEY, scope, encode_cursor(KEY, SCOPE, VALUES))


def test_cursor_of_another_key_is_refused() -> None:
    with pytest.raises(InvalidCursor):
        decode_cursor(b"x" * 32, SCOPE, encode_cursor(KEY, SCOPE, VALUES))


def test_scope_and_payload_cannot_be_shifted_against_each_other() -> None:
    cursor = encode_cursor(KEY, "ab", ["c"])
    sealed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    shifted = base64.urlsafe_b64encode(sealed[:16] + b"b" + sealed[16:]).rstrip(b"=").decode()
    with pytest.raises(InvalidCursor):
        decode_cursor(KEY, "a", shifted)


def test_any_changed_character_is_noticed() -> None:
    cursor = encode_cursor(KEY, SCOPE, VALUES)
    for index, character in enumerate(cursor):
        other = "A" if character != "A" else "B"
        with pytest.raises(InvalidCursor):
            decode_cursor(KEY, SCOPE, cursor[:index] + other + cursor[index + 1 :])


@pytest.mark.parametrize("junk", ["!", " ", "\n", "=", "%"])
def test_characters_of_no_cursor_are_not_skipped(junk: str) -> None:
    cursor = encode_cursor(KEY, SCOPE, VALUES)
    with pytest.raises(InvalidCursor):
        decode_cursor(KEY, SCOPE, cursor[:8] + junk + cursor[8:])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "junk",
        "====",
        "a",
        "ä",
        "A" * 1025,
        "../../etc/passwd",
        "AAAA\n",
        "A" * 22,
        "%00",
        "e30=",
    ],
)
def test_junk_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        decode_cursor(KEY, SCOPE, text)


def test_seal_is_sixteen_bytes_of_hmac_sha256() -> None:
    cursor = encode_cursor(KEY, "s", ["v"])
    sealed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    assert sealed[16:] == b'["v"]'
    assert sealed[:16] == hmac.new(KEY, b'cursor 1 s["v"]', hashlib.sha256).digest()[:16]


def test_refusal_is_in_the_contract() -> None:
    assert (InvalidCursor.status, InvalidCursor.code) == (400, "invalid_cursor")


def test_page_defaults() -> None:
    assert Page() == Page(limit=20, cursor=None)
    assert (DEFAULT_LIMIT, MAX_LIMIT) == (20, 100)


@pytest.mark.parametrize(
    ("target", "link"),
    [
        ("/v1/assets", '</v1/assets?cursor=NEXT>; rel="next"'),
        ("/v1/assets?limit=5", '</v1/assets?limit=5&cursor=NEXT>; rel="next"'),
        ("/v1/assets?cursor=old&limit=5", '</v1/assets?limit=5&cursor=NEXT>; rel="next"'),
        (
            "/v1/assets?q=a+%26+b&tag=&tag=x",
            '</v1/assets?q=a+%26+b&tag=&tag=x&cursor=NEXT>; rel="next"',
        ),
        (
            '/v1/a>b"c?q=>%0d%0aSet-Cookie',
            '</v1/a%3Eb%22c?q=%3E%0D%0ASet-Cookie&cursor=NEXT>; rel="next"',
        ),
        ("/v1/caf%C3%A9", '</v1/caf%C3%A9?cursor=NEXT>; rel="next"'),
    ],
)
def test_link_to_the_next_page_keeps_the_filters(target: str, link: str) -> None:
    assert link_next(target, "NEXT") == link
