"""What harvesters may ask by OAI-PMH 2.0, and what is an error of theirs (sections 3.6 and 4)."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from app.formats.oai_pmh import FORMATS
from app.services.asset_documents import parse_id

Code = Literal[
    "badArgument",
    "badResumptionToken",
    "badVerb",
    "cannotDisseminateFormat",
    "idDoesNotExist",
    "noRecordsMatch",
]
TOKEN = "resumptionToken"  # noqa: S105  # the name of an argument
# Each type of asset is a set. Collections are none: a header must name every set of its item, and
# a tombstone no longer knows in which it was.
SETS = {"video": "Videos", "image": "Images", "audio": "Audio", "story": "Stories"}


class Refused(Exception):
    """An error of the protocol, whose answer is none of HTTP's errors."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class _Rules:
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    # Whether it gives lists, which a token alone continues.
    is_list: bool = False


_SELECTING = _Rules(
    frozenset({"metadataPrefix"}), frozenset({"from", "until", "set"}), is_list=True
)
_VERBS: Mapping[str, _Rules] = {
    "Identify": _Rules(),
    "ListMetadataFormats": _Rules(optional=frozenset({"identifier"})),
    "ListSets": _Rules(is_list=True),
    "ListIdentifiers": _SELECTING,
    "ListRecords": _SELECTING,
    "GetRecord": _Rules(frozenset({"identifier", "metadataPrefix"})),
}


def check(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The arguments, verb included, which are those that the verb takes, each once."""
    verbs = [value for name, value in pairs if name == "verb"]
    if len(verbs) != 1:
        raise Refused("badVerb", "Name one verb")
    if verbs[0] not in _VERBS:
        raise Refused("badVerb", f"The verbs are {', '.join(_VERBS)}")
    repeated = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if repeated:
        raise Refused("badArgument", "An argument is repeated")
    arguments = dict(pairs)
    _check_names(_VERBS[verbs[0]], set(arguments) - {"verb"})
    _check_syntax(arguments)
    return arguments


def _check_names(rules: _Rules, names: set[str]) -> None:
    if rules.is_list and TOKEN in names:
        if len(names) > 1:
            raise Refused("badArgument", f"{TOKEN} goes without any other argument")
        return
    if names - rules.required - rules.optional:
        raise Refused("badArgument", "The verb does not take such an argument")
    missing = sorted(rules.required - names)
    if missing:
        raise Refused("badArgument", f"The verb needs {' and '.join(missing)}")


_NAME = r"[A-Za-z0-9\-_.!~*'()]+"
_SYNTAX = {"metadataPrefix": re.compile(_NAME), "set": re.compile(f"{_NAME}(:{_NAME})*")}


def _check_syntax(arguments: Mapping[str, str]) -> None:
    """As the protocol's schema has it; whether there is such a format or set is another matter."""
    for name, pattern in _SYNTAX.items():
        if name in arguments and not pattern.fullmatch(arguments[name]):
            raise Refused("badArgument", f"This is no {name}")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records a list is of."""

    prefix: str
    # From `since` on, and before `until`.
    since: datetime | None
    until: datetime | None
    asset_type: str | None


def read_selection(arguments: Mapping[str, str]) -> Selection:
    """Raises `Refused` where there can be no such record."""
    since, until = arguments.get("from"), arguments.get("until")
    first = _begin(since) if since is not None else None
    last = _begin(until) if until is not None else None
    if since is not None and until is not None and len(since) != len(until):
        raise Refused("badArgument", "from and until must have the same granularity")
    if first is not None and last is not None and first > last:
        raise Refused("badArgument", "from is later than until")
    asset_type = arguments.get("set")
    check_prefix(arguments["metadataPrefix"])
    if asset_type is not None and asset_type not in SETS:
        raise Refused("noRecordsMatch", "There is no such set")
    end = _end(last, until) if last is not None and until is not None else None
    return Selection(arguments["metadataPrefix"], first, end, asset_type)


def check_prefix(prefix: str) -> None:
    if prefix not in FORMATS:
        raise Refused("cannotDisseminateFormat", f"The formats are {', '.join(FORMATS)}")


_DATE = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?", re.ASCII)
_DAY_LENGTH = len("2026-11-23")


def _begin(text: str) -> datetime:
    try:
        if _DATE.fullmatch(text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        pass
    message = "Write dates as 2026-11-23 or 2026-11-23T09:00:00Z"
    raise Refused("badArgument", message)


def _end(last: datetime, text: str) -> datetime | None:
    """Behind the last second or day, which belongs to the list; None behind all time."""
    granule = timedelta(days=1) if len(text) == _DAY_LENGTH else timedelta(seconds=1)
    try:
        return last + granule
    except OverflowError:
        return None


def identifier_of(asset_id: UUID, host: str) -> str:
    return f"oai:{host}:{asset_id}"


def read_identifier(identifier: str, host: str) -> UUID:
    """The asset that an identifier of ours names; `Refused` for any other."""
    asset_id = parse_id(identifier.rpartition(":")[2])
    if asset_id is None or identifier != identifier_of(asset_id, host):
        raise unknown_identifier()
    return asset_id


def unknown_identifier() -> Refused:
    return Refused("idDoesNotExist", "No record has this identifier")
