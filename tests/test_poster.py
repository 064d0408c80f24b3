from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import pytest

from app.adapters.poster import PosterError, poster
from app.adapters.test_card import DEMO_CLIPS, ClipSpec, render
from tests import media_files
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
async def test_poster_shows_the_frame_of_that_time(
    clip: Path, seconds: float, timecode: str
) -> None:
    assert (
        read_timecode(decode((await poster(clip, seconds=[seconds], width=640)).jpeg)) == timecode
    )


async def test_poster_is_a_jpeg_as_wide_as_wanted(clip: Path) -> None:
    jpeg = (await poster(clip, seconds=[0], width=320)).jpeg

    assert jpeg.startswith(b"\xff\xd8\xff\xe0\x00\x10JFIF")
    assert (decode(jpeg).width, decode(jpeg).height) == (320, 180)


async def test_poster_is_not_enlarged(clip: Path) -> None:
    assert decode((await poster(clip, seconds=[0], width=4000)).jpeg).width == 640


async def test_poster_keeps_the_colours(clip: Path) -> None:
    """Yellow of 75 % in the full range and the matrix of BT.601, as viewers of JPEG assume."""
    yellow = colour_at(decode((await poster(clip, seconds=[0], width=640)).jpeg), 320 - 100, 140)

    assert yellow == pytest.approx((169, 33, 144), abs=4)


async def test_poster_of_anamorphic_pictures_has_square_pixels(tmp_path: Path) -> None:
    path = tmp_path / "anamorphic.mp4"
    write_pictures(path, 720, 576, pixel_aspect_ratio=Fraction(64, 45))

    frame = decode((await poster(path, seconds=[0], width=640)).jpeg)

    assert (frame.width, frame.height) == (640, 360)


@pytest.mark.parametrize(
    ("degrees", "bright_corner"),
    [(0, (0, 0)), (-90, (1, 0)), (90, (0, 1)), (180, (1, 1))],
)
async def test_poster_of_a_turned_video_is_upright(
    tmp_path: Path, degrees: int, bright_corner: tuple[int, int]
) -> None:
    path = tmp_path / "turned.mp4"
    write_pictures(path, 320, 160, degrees=degrees)

    frame = decode((await poster(path, seconds=[0], width=320)).jpeg)

    sideways = abs(degrees) == 90
    assert (frame.width, frame.height) == ((160, 320) if sideways else (320, 160))
    corners = {
        (x, y): colour_at(frame, 20 + x * (frame.width - 40), 20 + y * (frame.height - 40))[0]
        for x in (0, 1)
        for y in (0, 1)
    }
    assert max(corners, key=lambda corner: corners[corner]) == bright_corner


@pytest.mark.parametrize("content", [b"", b"no picture\x00" * 500])
async def test_file_without_a_picture_has_no_poster(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "upload.mp4"
    path.write_bytes(content)

    with pytest.raises(PosterError):
        await poster(path, width=640)


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


async def test_black_beginning_is_passed_over(tmp_path: Path) -> None:
    path = media_files.write_video(tmp_path / "fade.mp4", luma=[*[16] * 10, *[120] * 15])

    picture = await poster(path, seconds=[0.1, 0.25, 0.5, 0.75], width=320)

    assert colour_at(decode(picture.jpeg), 160, 90)[0] > 80


async def test_brightest_of_dark_pictures_is_shown(tmp_path: Path) -> None:
    path = media_files.write_video(tmp_path / "night.mp4", luma=[*[4] * 12, *[12] * 13])

    picture = await poster(path, seconds=[0.1, 0.25, 0.8, 0.2], width=320)

    assert colour_at(decode(picture.jpeg), 160, 90)[0] == pytest.approx(12, abs=3)


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.jpg", "mjpeg", "yuvj420p"),
        pytest.param("a.tiff", "tiff", "rgb24", marks=pytest.mark.slow),
        ("deep.tiff", "tiff", "rgb48le"),
        ("a.png", "png", "rgba"),
    ],
)
async def test_image_has_a_smaller_poster(
    tmp_path: Path, name: str, codec: str, pixels: str
) -> None:
    path = media_files.write_picture(tmp_path / name, codec, pixels, size=(2560, 1440))

    picture = await poster(path, width=1280)

    assert (picture.width, picture.height) == (1280, 720)
    assert (decode(picture.jpeg).width, decode(picture.jpeg).height) == (1280, 720)
    assert colour_at(decode(picture.jpeg), 640, 360)[0] == pytest.approx(128, abs=3)


@pytest.mark.parametrize(
    ("size", "small"),
    [
        ((1920, 1080), (480, 270)),
        ((1080, 1920), (480, 852)),  # with even sides
        ((480, 270), (480, 270)),
        ((320, 200), (320, 200)),
        ((90, 160), (90, 160)),
    ],
)
async def test_small_poster_has_the_shape_of_the_picture(
    tmp_path: Path, size: tuple[int, int], small: tuple[int, int]
) -> None:
    path = media_files.write_picture(tmp_path / "a.png", "png", "rgb24", size=size)

    picture = await poster(path, width=480)

    assert (picture.width, picture.height) == small
    assert (decode(picture.jpeg).width, decode(picture.jpeg).height) == small


@pytest.mark.parametrize(
    "card",
    [DEMO_CLIPS[0], *(pytest.param(each, marks=pytest.mark.slow) for each in DEMO_CLIPS[1:])],
)
async def test_small_posters_of_the_demo_fit_into_a_list(tmp_path: Path, card: ClipSpec) -> None:
    path = tmp_path / "poster.jpg"
    render(tmp_path / "card.mp4", replace(card, duration_seconds=1))
    path.write_bytes((await poster(tmp_path / "card.mp4", width=1280)).jpeg)

    picture = await poster(path, width=480)

    assert len(picture.jpeg) < 25_000
    assert colour_at(decode(picture.jpeg), 165, 100)[0] == pytest.approx(169, abs=6)  # yellow


async def test_recording_with_a_glitch_has_a_poster(tmp_path: Path) -> None:
    every_picture = {"g": "1"}
    path = media_files.write_video(tmp_path / "a.mp4", codec_options=every_picture)
    start = path.read_bytes().index(b"mdat") + 4
    media_files.rewrite(path, lambda file: file[:start] + bytes(400) + file[start + 400 :])

    assert (await poster(path, seconds=[0.5], width=320)).width == 320


async def test_picture_that_unpacks_to_a_gigabyte_ends_the_child_alone(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    media_files.rewrite(path, lambda _: media_files.png(100_000, 100_000, rows=10))

    with pytest.raises(PosterError):
        await poster(path, width=640)
