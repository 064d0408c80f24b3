from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import pytest

from app.adapters.poster import PosterError, poster
from app.adapters.test_card import ClipSpec, render
from tests.pictures import colour_at, read_timecode


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("poster") / "clip.mp4"
    render(path, ClipSpec("test", 640, 360, Fraction(25), 2, accent=(0.1, 0.2, 0.3)))
    return path


def decode(jpeg: bytes) -> av.VideoFrame:
    with av.open(BytesIO(jpeg), "r") as container:
        return next(container.decode(video=0))


@pytest.mark.parametrize(
    ("seconds", "timecode"),
    [
        (0, "10:00:00:00"),
        (0.04, "10:00:00:01"),
        (0.99, "10:00:00:24"),
        (1.5, "10:00:01:12"),
        (2.0, "10:00:01:24"),
        (3600, "10:00:01:24"),
    ],
)
def test_poster_shows_the_frame_of_that_time(clip: Path, seconds: float, timecode: str) -> None:
    assert read_timecode(decode(poster(clip, seconds, 640))) == timecode


def test_poster_is_a_jpeg_as_wide_as_wanted(clip: Path) -> None:
    jpeg = poster(clip, 0, 320)

    assert jpeg.startswith(b"\xff\xd8\xff\xe0\x00\x10JFIF")
    assert (decode(jpeg).width, decode(jpeg).height) == (320, 180)


def test_poster_is_not_enlarged(clip: Path) -> None:
    assert decode(poster(clip, 0, 4000)).width == 640


def test_poster_keeps_the_colours(clip: Path) -> None:
    """Yellow of 75 % in the full range and the matrix of BT.601, as viewers of JPEG assume."""
    yellow = colour_at(decode(poster(clip, 0, 640)), 320 - 100, 140)

    assert yellow == pytest.approx((169, 33, 144), abs=4)


def test_poster_of_anamorphic_pictures_has_square_pixels(tmp_path: Path) -> None:
    path = tmp_path / "anamorphic.mp4"
    write_pictures(path, 720, 576, pixel_aspect_ratio=Fraction(64, 45))

    frame = decode(poster(path, 0, 640))

    assert (frame.width, frame.height) == (640, 360)


@pytest.mark.parametrize(
    ("degrees", "bright_corner"),
    [(0, (0, 0)), (-90, (1, 0)), (90, (0, 1)), (180, (1, 1))],
)
def test_poster_of_a_turned_video_is_upright(
    tmp_path: Path, degrees: int, bright_corner: tuple[int, int]
) -> None:
    path = tmp_path / "turned.mp4"
    write_pictures(path, 320, 160, degrees=degrees)

    frame = decode(poster(path, 0, 320))

    sideways = abs(degrees) == 90
    assert (frame.width, frame.height) == ((160, 320) if sideways else (320, 160))
    corners = {
        (x, y): colour_at(frame, 20 + x * (frame.width - 40), 20 + y * (frame.height - 40))[0]
        for x in (0, 1)
        for y in (0, 1)
    }
    assert max(corners, key=lambda corner: corners[corner]) == bright_corner


@pytest.mark.parametrize("content", [b"", b"no picture\x00" * 500])
def test_file_without_a_picture_has_no_poster(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "upload.mp4"
    path.write_bytes(content)

    with pytest.raises(PosterError):
        poster(path, 0, 640)


def write_pictures(
    path: Path,
    width: int,
    height: int,
    *,
    pixel_aspect_ratio: Fraction = Fraction(1),
    degrees: int = 0,
) -> None:
    """Three dark pictures with a bright corner at the top left, to be turned by the player."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.sample_aspect_ratio = pixel_aspect_ratio
        stream.set_display_rotation(degrees)
        for number in range(3):
            frame = av.VideoFrame(width, height, "yuv420p")
            luma = frame.planes[0]
            bright_row = b"\xe0" * 60 + b"\x20" * (luma.line_size - 60)
            dark_row = b"\x20" * luma.line_size
            luma.update(bright_row * 60 + dark_row * (height - 60))
            for chroma in frame.planes[1:]:
                chroma.update(b"\x80" * chroma.buffer_size)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
