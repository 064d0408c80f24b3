"""Shotlists: what each shot is numbered, and when it is, in timecode and in milliseconds."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Asset, Rendition
from app.services import asset_fields, timecodes
from app.services.timecodes import FrameCount

# What counts while an asset has no file.
_NO_FILE = FrameCount()
_TIMES = (("timecode_in", "start_ms"), ("timecode_out", "end_ms"))


async def timed(
    session: AsyncSession, asset_id: UUID, shots: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """A shotlist in which each shot has its number, and its times in both forms."""
    clock = await _frame_count(session, asset_id)
    return [
        _counted_by(clock, _timed(shot, position, clock)) for position, shot in enumerate(shots)
    ]


async def count_by_file(session: AsyncSession, asset: Asset) -> dict[str, Any]:
    """Count milliseconds from the start of a file that came after its shotlist was written.

    Until then nobody knew that its timecode begins at 10:00:00:00. Returns the change, if any.
    """
    before = asset.fields.get("shotlist", [])
    clock = await _frame_count(session, asset.id)
    after = [_counted_by(clock, shot) for shot in before]
    if after == before:
        return {}
    asset.fields = {**asset.fields, "shotlist": after}
    return {"shotlist": {"before": before, "after": after}}


async def _frame_count(session: AsyncSession, asset_id: UUID) -> FrameCount:
    """The frame rate of the asset's own file, as soon as there is one."""
    files = select(Rendition.technical).where(
        Rendition.asset_id == asset_id, Rendition.state == "ready"
    )
    for technical in await session.scalars(files.order_by(Rendition.id)):
        rate = (technical.get("video") or {}).get("frame_rate")
        if rate:
            start = technical.get("start_timecode")
            return FrameCount(Fraction(rate["num"], rate["den"]), start)
    return _NO_FILE


def _timed(shot: Mapping[str, Any], position: int, clock: FrameCount) -> dict[str, Any]:
    timed = {**shot, "number": shot["number"] or position + 1}
    for timecode, milliseconds in _TIMES:
        try:
            if timed[milliseconds] is None and timed[timecode] is not None:
                timed[milliseconds] = timecodes.to_ms(timed[timecode], clock)
            elif timed[timecode] is None and timed[milliseconds] is not None:
                timed[timecode] = timecodes.from_ms(timed[milliseconds], clock)
        except ValueError as error:
            pointer = f"/shotlist/{position}/{timecode}"
            raise asset_fields.invalid(pointer, "invalid_timecode", f"This {error}") from None
    if timed["end_ms"] is not None and timed["end_ms"] < timed["start_ms"]:
        pointer = f"/shotlist/{position}"
        message = "This shot ends before it starts"
        raise asset_fields.invalid(pointer, "ends_before_it_starts", message)
    return timed


def _counted_by(clock: FrameCount, shot: Mapping[str, Any]) -> dict[str, Any]:
    """The shot by the file's clock where it was counted without a file; other times stay."""
    counted = dict(shot)
    try:
        for timecode, milliseconds in _TIMES:
            text = shot[timecode]
            if text is not None and shot[milliseconds] == timecodes.to_ms(text, _NO_FILE):
                counted[milliseconds] = timecodes.to_ms(text, clock)
    except ValueError:  # it has a frame that this file's rate does not have
        return dict(shot)
    return counted
