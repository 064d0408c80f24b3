"""FFmpeg, as it makes previews. Runs in the sandbox, and is imported nowhere else."""

import contextlib
from collections.abc import Iterator
from errno import ENOSPC
from pathlib import Path
from typing import BinaryIO

import av
import av.subtitles.codeccontext  # PyAV loads these two where a file needs them,
import av.subtitles.stream  # which would be after the sandbox is shut
from av.container import InputContainer, OutputContainer
from av.error import InvalidDataError
from av.stream import Disposition

from app.adapters import decoding, sandbox
from app.adapters.preview_tracks import SoundTrack, Track, VideoTrack

_THREADS = 4
# What is behind the announced end is a fault of the file, and might have no end.
_SECONDS_OVER = 2


def write_preview(source: str, target: str, seconds: str) -> bytes:
    try:
        _write(Path(source), Path(target), float(seconds))
    except OSError as error:
        if error.errno == ENOSPC:
            raise sandbox.Refused("no_space") from error
        raise
    return b""


def _write(source: Path, target: Path, seconds: float) -> None:
    with (
        source.open("rb") as original,
        source.open("rb") as first_picture_of,
        target.open("w+b") as written,
        # Moving the index to the front, FFmpeg reads what it has written through a second handle.
        target.open("rb") as written_again,
    ):
        sandbox.confine()
        sample = _first_picture(first_picture_of)
        with (
            av.open(original, "r") as container,
            _open_mp4(written, written_again) as preview,
        ):
            _transcode(container, sample, preview, seconds)


def _open_mp4(file: BinaryIO, again: BinaryIO) -> OutputContainer:
    """To be played while it arrives: the index is moved to the front in the end."""
    return av.open(
        file,
        "w",
        format="mp4",
        options={"movflags": "+faststart", "fflags": "+bitexact"},
        io_open=lambda *_: again,
    )


def _transcode(
    container: InputContainer,
    sample: av.VideoFrame | None,
    preview: OutputContainer,
    seconds: float,
) -> None:
    start = (container.start_time or 0) / 1_000_000
    tracks = list(_tracks(container, sample, preview, start))
    if not tracks:
        raise sandbox.Refused("no_decoder")
    track_of = {stream.index: track for track in tracks for stream in track.streams}
    reported = -1
    for packet in container.demux([stream for track in tracks for stream in track.streams]):
        position = 0.0
        if packet.dts is not None and packet.time_base is not None:
            position = float(packet.dts * packet.time_base) - start
        if position > seconds + _SECONDS_OVER:
            break
        if (percent := max(0, min(99, int(100 * position / seconds) if seconds else 0))) > reported:
            reported = percent
            sandbox.report_progress(percent)
        with contextlib.suppress(InvalidDataError):  # a glitch of a recording; players go on too
            track_of[packet.stream.index].feed(packet)
    for track in tracks:
        track.finish()
    if not any(track.has_begun for track in tracks):
        raise sandbox.Refused("undecodable")


def _tracks(
    container: InputContainer,
    sample: av.VideoFrame | None,
    preview: OutputContainer,
    start: float,
) -> Iterator[Track]:
    """One of pictures, one of sound, as far as there are any and FFmpeg knows their codecs."""
    if sample is not None:
        video = container.streams.video[0]
        video.codec_context.thread_count = _THREADS
        yield VideoTrack(video, preview, sample=sample, start=start)
    sounds = [each for each in container.streams.audio if decoding.is_decodable(each)]
    if sounds:
        yield SoundTrack(sounds, preview, start=start)


def _first_picture(file: BinaryIO) -> av.VideoFrame | None:
    """None for sound alone: the cover of a song is no video."""
    try:
        container = av.open(file, "r")
    except InvalidDataError:
        raise sandbox.Refused("undecodable") from None
    with container:
        for stream in container.streams.video[:1]:
            if not decoding.is_decodable(stream):
                raise sandbox.Refused("no_decoder")
            if not stream.disposition & Disposition.attached_pic:
                for picture in decoding.pictures(container, stream):
                    return picture
                raise sandbox.Refused("undecodable")
    return None
