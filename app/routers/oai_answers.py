"""The answer to each verb of OAI-PMH, and to what is no request of it."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from fastapi import Response

from app.formats import feed, oai_pmh
from app.formats.addresses import Addresses
from app.formats.oai_pmh import Envelope, Record, Repository, Resumption
from app.http.paging import InvalidCursor, Key, decode_cursor, encode_cursor
from app.services import oai, oai_arguments
from app.services.oai import Item, Page, Place
from app.services.oai_arguments import SETS, TOKEN, Refused, Selection

PATH = "/oai"
# Far more than any request has.
_MAX_ARGUMENTS = 100


@dataclass(frozen=True, slots=True)
class Harvest:
    """What the answers are made with."""

    reader: oai.Reader
    addresses: Addresses
    admin_email: str
    token_key: bytes
    now: datetime

    @property
    def host(self) -> str:
        return urlsplit(self.addresses.api).hostname or self.addresses.api

    def envelope(self, responded_at: datetime, arguments: Mapping[str, str]) -> Envelope:
        return Envelope(responded_at, self.addresses.absolute(PATH), arguments)

    def record(self, item: Item) -> Record:
        return Record(
            identifier=oai_arguments.identifier_of(item.asset_id, self.host),
            changed_at=item.committed_at,
            set_spec=item.asset_type,
            is_deleted=item.is_deleted,
            document=json.loads(item.document) if item.document else None,
        )


async def answer(setting: Harvest, query: str) -> Response:
    """The answer to a query, which may be the contents of a form."""
    try:
        arguments = oai_arguments.check(_pairs(query))
    except Refused as refused:
        return _refusal(setting.envelope(setting.now, {}), refused)
    envelope = setting.envelope(await oai.settle(setting.reader), arguments)
    try:
        return _xml(await _ANSWER_TO[arguments["verb"]](setting, envelope))
    except Refused as refused:
        if refused.code == "badArgument":  # the arguments of such a request are not repeated
            envelope = setting.envelope(envelope.responded_at, {})
        return _refusal(envelope, refused)


def _pairs(query: str) -> Sequence[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_ARGUMENTS)
    except ValueError:
        raise Refused("badArgument", "There are too many arguments") from None


def _refusal(envelope: Envelope, refused: Refused) -> Response:
    return _xml(oai_pmh.write_error(envelope, refused.code, refused.message))


def _xml(body: bytes) -> Response:
    return Response(body, media_type=oai_pmh.MEDIA_TYPE)


async def _identify(setting: Harvest, envelope: Envelope) -> bytes:
    name = f"{feed.TITLE} of {setting.addresses.host}"
    earliest_at = await oai.earliest(setting.reader)
    return oai_pmh.write_identify(envelope, Repository(name, setting.admin_email, earliest_at))


async def _list_formats(setting: Harvest, envelope: Envelope) -> bytes:
    if "identifier" in envelope.arguments:  # each record is to be had in all formats
        await _get_item(setting, envelope)
    return oai_pmh.write_formats(envelope)


async def _list_sets(_: Harvest, envelope: Envelope) -> bytes:
    if TOKEN in envelope.arguments:
        raise Refused("badResumptionToken", "The list of sets is given whole")
    return oai_pmh.write_sets(envelope, SETS)


async def _get_record(setting: Harvest, envelope: Envelope) -> bytes:
    prefix = envelope.arguments["metadataPrefix"]
    item = await _get_item(setting, envelope)
    oai_arguments.check_prefix(prefix)

    def write() -> bytes:
        return oai_pmh.write_records(envelope, [setting.record(item)], prefix, setting.addresses)

    return await asyncio.to_thread(write)


async def _get_item(setting: Harvest, envelope: Envelope) -> Item:
    asset_id = oai_arguments.read_identifier(envelope.arguments["identifier"], setting.host)
    return await oai.get_item(setting.reader, asset_id)


async def _list_identifiers(setting: Harvest, envelope: Envelope) -> bytes:
    wanted = _read_wanted(setting, envelope.arguments)
    page, resumption = await _list(setting, envelope, wanted, with_documents=False)
    return oai_pmh.write_headers(envelope, map(setting.record, page.items), resumption)


async def _list_records(setting: Harvest, envelope: Envelope) -> bytes:
    wanted = _read_wanted(setting, envelope.arguments)
    page, resumption = await _list(setting, envelope, wanted, with_documents=True)
    prefix = wanted.selection.prefix

    def write() -> bytes:
        records = map(setting.record, page.items)
        return oai_pmh.write_records(envelope, records, prefix, setting.addresses, resumption)

    # In a thread: a hundred records take long enough to write for others to notice.
    return await asyncio.to_thread(write)


Answer = Callable[[Harvest, Envelope], Awaitable[bytes]]
_ANSWER_TO: Mapping[str, Answer] = {
    "Identify": _identify,
    "ListMetadataFormats": _list_formats,
    "ListSets": _list_sets,
    "ListIdentifiers": _list_identifiers,
    "ListRecords": _list_records,
    "GetRecord": _get_record,
}


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which list, behind which place of it, and how many items of it were given before."""

    selection: Selection
    after: Place | None = None
    cursor: int = 0


async def _list(
    setting: Harvest, envelope: Envelope, wanted: _Wanted, *, with_documents: bool
) -> tuple[Page, Resumption | None]:
    page = await oai.list_page(
        setting.reader, wanted.selection, after=wanted.after, with_documents=with_documents
    )
    if not page.items:
        raise Refused("noRecordsMatch", "There are no such records")
    if not page.has_more and wanted.after is None:
        return page, None  # the list is complete
    token = ""
    if page.has_more:
        last, given = page.items[-1], wanted.cursor + len(page.items)
        rest = _Wanted(wanted.selection, (last.committed_at, last.asset_id), given)
        token = _make_token(setting, envelope.arguments["verb"], rest)
    return page, Resumption(token, wanted.cursor)


def _make_token(setting: Harvest, verb: str, wanted: _Wanted) -> str:
    """It says all itself, so it never expires, and may be used again."""
    selection = wanted.selection
    assert wanted.after is not None  # noqa: S101  # nobody continues what has not begun
    values: list[Key] = [
        selection.prefix,
        selection.since.isoformat() if selection.since else None,
        selection.until.isoformat() if selection.until else None,
        selection.asset_type,
        wanted.after[0].isoformat(),
        str(wanted.after[1]),
        wanted.cursor,
    ]
    return encode_cursor(setting.token_key, f"oai {verb}", values)


def _read_wanted(setting: Harvest, arguments: Mapping[str, str]) -> _Wanted:
    if TOKEN not in arguments:
        return _Wanted(oai_arguments.read_selection(arguments))
    try:
        scope = f"oai {arguments['verb']}"
        values = decode_cursor(setting.token_key, scope, arguments[TOKEN])
    except InvalidCursor:
        raise Refused("badResumptionToken", "This token was not given by this list") from None
    prefix, since, until, asset_type, committed_at, asset_id, cursor = values
    selection = Selection(
        prefix=str(prefix),
        since=_moment(since) if since else None,
        until=_moment(until) if until else None,
        asset_type=str(asset_type) if asset_type else None,
    )
    return _Wanted(selection, (_moment(committed_at), UUID(str(asset_id))), int(cursor or 0))


def _moment(value: Key) -> datetime:
    return datetime.fromisoformat(str(value))
