"""JSON bodies without the parts on which parsers disagree (I-JSON, RFC 7493).

Python's parser takes UTF-16, byte order marks, NaN, duplicate keys and lone surrogates. Each of
them has made two systems read two different requests, or made one of them fail.
"""

import json
import re
from collections.abc import Callable, Coroutine, Iterator
from math import isinf
from typing import Any

from fastapi import Request, Response, params
from fastapi.routing import APIRoute
from typing_extensions import override

from app.errors import InvalidInput, MalformedBody, UnsupportedMediaType

MAX_DEPTH = 32
# A megabyte of empty arrays would keep the event loop busy for half a second.
MAX_CONTAINERS = 20_000
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

_JSON_TYPE = re.compile(r'application/json *(; *charset="?utf-8"? *)?', re.IGNORECASE)
_PATCH_TYPE = re.compile(
    r'application/(merge-patch\+)?json *(; *charset="?utf-8"? *)?', re.IGNORECASE
)
# Nothing else can come out as a NUL, a lone surrogate or an integer beyond int64.
_SUSPICIOUS = re.compile(r"\\u(?:0000|[dD][89a-fA-F])|[0-9]{19}")
_TOO_DEEP = f"Arrays and objects are nested more than {MAX_DEPTH} deep"


class StrictJsonRoute(APIRoute):
    """The route class of every router with calls that take JSON; forms and raw bodies pass it by.

    FastAPI's own handler would answer 400 to whatever goes wrong while it reads a body, so the
    body is read and parsed before that, and handed over as parsed.
    """

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        field = self.body_field
        if field is None or isinstance(field.field_info, params.Form):
            return handle

        async def parse_and_handle(request: Request) -> Response:
            parsed = _ParsedRequest(request.scope, request.receive)
            if body := await parsed.body():
                check_content_type(request.method, request.headers.get("content-type", ""))
                parsed.value = parse(body)
            return await handle(parsed)

        return parse_and_handle


class _ParsedRequest(Request):
    value: Any = None

    @override
    async def json(self) -> Any:
        return self.value


def check_content_type(method: str, content_type: str) -> None:
    """Refuse what a foreign page can send without asking: forms and text/plain are no JSON."""
    if not (_PATCH_TYPE if method == "PATCH" else _JSON_TYPE).fullmatch(content_type.strip()):
        raise UnsupportedMediaType


def parse(body: bytes) -> Any:
    """The value of a body. Raises `MalformedBody` or `InvalidInput`, neither with its content."""
    text = _decode(body)
    containers = text.count("{") + text.count("[")  # at most: some may stand in strings
    if containers > MAX_CONTAINERS:
        raise MalformedBody(f"There are more than {MAX_CONTAINERS} arrays and objects")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise MalformedBody(f"The body is not valid JSON at {place}") from None
    except RecursionError:
        raise MalformedBody(_TOO_DEEP) from None
    except ValueError:  # Python refuses to convert thousands of digits
        raise _invalid("", "number_out_of_range", "This number has too many digits") from None
    if containers > MAX_DEPTH or _SUSPICIOUS.search(text):
        _check_values(value)
    return value


def _decode(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedBody("The body is not UTF-8") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedBody("An object has the same key twice")
    return members


def _finite(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise MalformedBody("A number is too large")
    return number


def _refuse_constant(_: str) -> None:
    raise MalformedBody("NaN and Infinity are not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse_constant
)

# A container, the place of the one around it, and its key or index there.
_Place = tuple[dict[str, Any] | list[Any], Any, str | int]


def _check_values(root: Any) -> None:
    """Go through the containers, one depth after the other."""
    places: list[_Place] = [([root], None, "")]
    for _ in range(MAX_DEPTH + 1):
        places = [inner for place in places for inner in _check_members(place)]
        if not places:
            return
    raise MalformedBody(_TOO_DEEP)


def _check_members(place: _Place) -> Iterator[_Place]:
    """Check the strings and numbers of a container, and give the containers in it."""
    container = place[0]
    members = container.items() if isinstance(container, dict) else enumerate(container)
    for key, value in members:
        if isinstance(key, str):
            _check_text(key, place, None)
        if isinstance(value, dict | list):
            yield value, place, key
        elif isinstance(value, str):
            _check_text(value, place, key)
        elif isinstance(value, int) and not INT64_MIN <= value <= INT64_MAX:
            message = "This number does not fit into 64 bits"
            raise _invalid(_pointer(place, key), "number_out_of_range", message)


def _check_text(text: str, place: _Place, key: str | int | None) -> None:
    if "\0" in text:
        raise _invalid(_pointer(place, key), "nul_character", "NUL is not allowed in text")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise MalformedBody("Text has half of a surrogate pair") from None


def _pointer(place: _Place, key: str | int | None) -> str:
    """The JSON pointer (RFC 6901) of a member, or without `key` of the container itself."""
    keys: list[str | int] = [] if key is None else [key]
    while place[1] is not None:
        keys.append(place[2])
        place = place[1]
    # The outermost list is our own.
    return "".join(
        "/" + str(each).replace("~", "~0").replace("/", "~1") for each in reversed(keys[:-1])
    )


def _invalid(pointer: str, code: str, message: str) -> InvalidInput:
    return InvalidInput(errors=[{"pointer": pointer, "code": code, "message": message}])
