"""Subscribers from a CSV file, while it comes in: chunk by chunk, each in a transaction of its own.

What was imported before a cut stays, and the same file again changes nothing. An import never
writes to anybody who has left: it ends subscriptions, but brings none back.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from app.crypto import Keyring
from app.errors import AppError, InvalidInput
from app.models import Topic
from app.services import audit_events, csv_lines, policy, subscriber_rows, subscriber_writing
from app.services.asset_fields import invalid
from app.services.auth import Transactions
from app.services.context import Editor
from app.services.csv_lines import BrokenLine, Line
from app.services.seen_addresses import SeenAddresses
from app.services.subscriber_rows import COLUMNS, Reading, Row
from app.services.subscriber_writing import Counts
from app.services.subscriptions import Choice, check_topics


class InvalidHeader(InvalidInput):
    code, title = "invalid_header", "The first line must name the columns, in UTF-8"


class TooManyLines(AppError):
    status, code = 413, "too_many_lines"
    title = "The file has too many lines; what comes before is imported, send the rest by itself"


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """What somebody says of the file: where its consents come from, and what it leaves open."""

    editor: Editor
    consent_source: str
    # For new subscribers.
    defaults: Choice
    # When the file was made, for lines without a time; None for now.
    as_of: datetime | None = None
    id: UUID = field(default_factory=uuid7)


@dataclass(slots=True)
class LineError:
    line: int
    code: str
    message: str


@dataclass(slots=True)
class Report:
    """`lines` is the sum of the next five."""

    lines: int = 0
    imported: int = 0
    updated: int = 0
    unchanged: int = 0
    # Would have brought somebody back who has left or must not be written to.
    suppressed_kept: int = 0
    errors_total: int = 0
    errors: list[LineError] = field(default_factory=list)


async def import_file(
    transactions: Transactions,
    pieces: AsyncIterator[bytes],
    order: Import,
    *,
    keyring: Keyring,
    clock: Callable[[], datetime],
) -> Report:
    """Import what comes in. Raises `InvalidHeader`, `UnknownTopic` or `TooManyLines`."""
    async with aclosing(csv_lines.split(pieces, max_bytes=policy.IMPORT_LINE_MAX_BYTES)) as groups:
        header, first = await _header_of(groups)
        importer = Importer(transactions, order, header, keyring, clock)
        await importer.begin()
        is_complete = False
        try:
            await importer.take(first)
            async for lines in groups:
                await importer.take(lines)
            await importer.take_last()
            is_complete = True
        finally:
            await importer.end(is_complete=is_complete)
    return importer.report


async def _header_of(groups: AsyncIterator[list[Line]]) -> tuple[str, list[Line]]:
    """The first line, and those which came with it."""
    async for lines in groups:
        if lines:
            try:
                return csv_lines.decode(lines[0]), lines[1:]
            except BrokenLine as error:
                raise InvalidHeader(error.message) from None
    raise InvalidHeader


def read_header(text: str) -> tuple[list[str], str]:
    """The columns in their order, and what separates them. Raises `InvalidHeader`.

    A column that we don't know might be what says that somebody has left, so none is passed over.
    """
    delimiter = csv_lines.delimiter_of(text)
    try:
        columns = [name.strip().lower() for name in csv_lines.fields(text, delimiter)]
    except BrokenLine as error:
        raise InvalidHeader(error.message) from None
    known = f"The columns are {', '.join(COLUMNS)}; only email is required"
    if "email" not in columns or len(set(columns)) < len(columns) or set(columns) - set(COLUMNS):
        raise InvalidHeader(f"A column is missing, unknown or there twice. {known}")
    return columns, delimiter


class Importer:
    """The state of one import: the lines that wait, the addresses seen, the report."""

    def __init__(
        self,
        transactions: Transactions,
        order: Import,
        header: str,
        keyring: Keyring,
        clock: Callable[[], datetime],
    ) -> None:
        self.report = Report()
        self._transactions, self._order, self._clock = transactions, order, clock
        self._columns, self._delimiter = read_header(header)
        self._keyring = keyring
        self._as_of = order.as_of or clock()
        self._defaults = order.defaults
        self._topics: frozenset[str] = frozenset()
        self._waiting: list[Line] = []
        self._seen = SeenAddresses()

    async def begin(self) -> None:
        """Check what was said of the file, and note who imports it."""
        if self._as_of > self._clock():
            raise invalid("/as_of", "invalid_time", "A file is made before it is imported")
        async with self._transactions() as session:
            defaults = self._order.defaults
            topics = await check_topics(session, defaults.topics, pointer="/default_topics")
            self._defaults = replace(defaults, topics=topics)
            self._topics = frozenset(await session.scalars(select(Topic.slug)))
            await self._audit(session, "started", {"as_of": self._as_of.isoformat()})

    async def end(self, *, is_complete: bool) -> None:
        counts = {name: count for name, count in asdict(self.report).items() if name != "errors"}
        async with self._transactions() as session:
            await self._audit(session, "ended", {**counts, "is_complete": is_complete})

    async def take(self, lines: Sequence[Line]) -> None:
        """Write as many chunks as are full by now."""
        self._waiting += [line for line in lines if not csv_lines.is_blank(line)]
        while len(self._waiting) >= policy.IMPORT_CHUNK:
            chunk = self._waiting[: policy.IMPORT_CHUNK]
            del self._waiting[: policy.IMPORT_CHUNK]
            await self._write(chunk)

    async def take_last(self) -> None:
        if self._waiting:
            await self._write(self._waiting)

    async def _write(self, chunk: Sequence[Line]) -> None:
        if self.report.lines + len(chunk) > policy.IMPORT_MAX_LINES:
            raise TooManyLines(f"Line {chunk[0].number} is the first that is not imported")
        now = self._clock()
        reading = Reading(
            columns=self._columns,
            delimiter=self._delimiter,
            topics=self._topics,
            as_of=self._as_of,
            now=now,
            keyring=self._keyring,
        )
        # In a thread, because thousands of lines take long enough for others to notice.
        rows, errors = await asyncio.to_thread(self._read, chunk, reading)
        counts = Counts()
        if rows:
            async with self._transactions() as session:
                counts = await subscriber_writing.write(
                    session, rows, self._defaults, details=self._evidence(), now=now
                )
        self._count(len(rows), counts, errors)

    def _read(self, chunk: Sequence[Line], reading: Reading) -> tuple[list[Row], list[LineError]]:
        rows: list[Row] = []
        errors: list[LineError] = []
        for line in chunk:
            try:
                row = subscriber_rows.read(line, reading)
            except BrokenLine as error:
                errors.append(LineError(line.number, error.code, error.message))
                continue
            if self._seen.add(row.email_hash):
                rows.append(row)
            else:
                message = "An earlier line has this address"
                errors.append(LineError(line.number, "duplicate_address", message))
        return rows, errors

    def _count(self, rows: int, counts: Counts, errors: Sequence[LineError]) -> None:
        report = self.report
        report.lines += rows + len(errors)
        report.imported += counts.added
        report.updated += counts.changed
        report.suppressed_kept += counts.kept
        report.unchanged += rows - counts.added - counts.changed - counts.kept
        report.errors_total += len(errors)
        report.errors += errors[: policy.IMPORT_REPORTED_ERRORS - len(report.errors)]

    def _details(self) -> dict[str, Any]:
        """What evidence and audit trail keep of the import itself."""
        return {"import_id": str(self._order.id), "consent_source": self._order.consent_source}

    def _evidence(self) -> dict[str, Any]:
        """The same with who imported, since evidence is kept for longer than the audit trail."""
        return {**self._details(), "imported_by": str(self._order.editor.account_id)}

    async def _audit(self, session: AsyncSession, step: str, details: Mapping[str, Any]) -> None:
        await audit_events.record(
            session,
            f"newsletter.import_{step}",
            account_id=self._order.editor.account_id,
            client=self._order.editor.client,
            details={**self._details(), **details},
            now=self._clock(),
        )
