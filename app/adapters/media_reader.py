"""MediaInfo itself. Runs in the sandbox, and is imported nowhere else."""

from pathlib import Path

from pymediainfo import MediaInfo

from app.adapters import sandbox

# MediaInfo does not look back into a piece that reaches the end of the file, and then misses the
# timecode of a short MP4, the profile in an AVI or the size of a TIFF; so the pieces are small.
_READ_BYTES = 4096
_PIECES_AT_LEAST = 8


def read_report(path: str) -> bytes:
    """MediaInfo's report as JSON."""
    MediaInfo.can_parse()  # loads the library while it still may be opened
    with Path(path).open("rb") as file:
        size = Path(path).stat().st_size
        sandbox.confine()
        piece = max(min(_READ_BYTES, size // _PIECES_AT_LEAST), 1)
        return MediaInfo.parse(file, output="JSON", buffer_size=piece).encode()
