"""A still picture out of a video or an image, as JPEG."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.adapters import sandbox

WIDTH = 1280
# Of the duration: the first picture that is not black is taken. Many begin with a slate or a fade.
MOMENTS = (0.1, 0.25, 0.5, 0.75)
_READ_POSTER = "app.adapters.poster_frame:read_poster"


class PosterError(Exception):
    """No picture can be made of the file. `code` is `undecodable`, `no_decoder` or None."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Poster:
    jpeg: bytes
    width: int
    height: int


async def poster(path: Path, *, seconds: Sequence[float] = (0,), width: int) -> Poster:
    """A frame that is shown at one of these times: upright, in square pixels, not enlarged.

    The first that is not black, else the brightest. Past the end it is the last frame. Raises
    `PosterError`, and `sandbox.Interrupted` where the host ended the decoder.
    """
    try:
        result = await sandbox.run(_READ_POSTER, path, width, *seconds)
    except sandbox.Interrupted:
        raise
    except sandbox.Refused as error:
        raise PosterError(error.code, error.code) from error
    except sandbox.SandboxError as error:
        raise PosterError(str(error)) from error
    size, _, jpeg = result.partition(b"\n")
    made_width, made_height = (int(number) for number in size.split())
    return Poster(jpeg, made_width, made_height)
