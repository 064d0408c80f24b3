"""The technical part of EBUCore: one `format` for each file."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from app.formats.addresses import Addresses
from app.formats.ebucore_names import EBUCORE, TIMECODE
from app.formats.timing import iso_duration
from app.formats.xml_tree import Element, add, add_filled

_SCAN_ORDERS = {"TFF": "top", "BFF": "bottom", "2:3 Pulldown": "pulldown"}
_BIT_RATE_MODES = {"CBR": "constant", "VBR": "variable"}
# Where the schema has no element of its own: our name, and the name of the attribute.
_MORE_OF_VIDEO = {
    "chroma_subsampling": "ChromaSubsampling",
    "colour_primaries": "ColourPrimaries",
    "colour_transfer": "TransferCharacteristics",
    "colour_matrix": "MatrixCoefficients",
    "colour_range": "ColourRange",
}

_Document = Mapping[str, Any]


def add_file(core: Element, rendition: _Document, addresses: Addresses) -> None:
    technical = rendition["technical"]
    names = {"formatId": rendition["name"], "formatName": rendition["purpose"]}
    file = add(core, f"{EBUCORE}format", attributes=names)
    if technical.get("image"):
        _add_image(file, technical["image"])
    if technical.get("video"):
        _add_video(file, technical["video"])
    for number, track in enumerate(technical.get("audio_tracks", ()), start=1):
        _add_audio(file, track, number)
    if technical.get("container"):
        container = {"containerFormatName": technical["container"]}
        add(file, f"{EBUCORE}containerFormat", attributes=container)
    _add_start(file, technical)
    if technical.get("duration_ms") is not None:
        duration = add(file, f"{EBUCORE}duration")
        add(duration, f"{EBUCORE}normalPlayTime", iso_duration(technical["duration_ms"]))
    _add_object(file, rendition, addresses)
    add_filled(file, f"{EBUCORE}overallBitRate", technical.get("bit_rate"), {"unit": "bit/s"})


def add_picture(core: Element, name: str, picture: _Document | None, addresses: Addresses) -> None:
    """The poster or the preview, which anybody may fetch."""
    if picture is None:
        return
    names = {"formatId": name, "formatName": name}
    file = add(core, f"{EBUCORE}format", attributes=names)
    kind = "videoFormat" if name == "preview" else "imageFormat"
    size = add(file, f"{EBUCORE}{kind}")
    add_filled(size, f"{EBUCORE}width", picture["width"], {"unit": "pixel"})
    add_filled(size, f"{EBUCORE}height", picture["height"], {"unit": "pixel"})
    add(file, f"{EBUCORE}locator", addresses.absolute(picture["url"]))


def add_caption_formats(core: Element, captions: Sequence[_Document], addresses: Addresses) -> None:
    if not captions:
        return
    data = add(add(core, f"{EBUCORE}format"), f"{EBUCORE}dataFormat")
    # The schema wants all captions before all subtitles.
    for caption in sorted(captions, key=lambda caption: str(caption["kind"])):
        prefix = "captioning" if caption["kind"] == "captions" else "subtitling"
        about = {
            f"{prefix}FormatName": "WebVTT",
            f"{prefix}SourceUri": addresses.absolute(caption["url"]),
            "trackName": caption["label"],
            "language": caption["language"],
        }
        add(data, f"{EBUCORE}{prefix}Format", attributes=about)


def _add_image(file: Element, image: _Document) -> None:
    picture = add(file, f"{EBUCORE}imageFormat")
    add(picture, f"{EBUCORE}width", image["width"], {"unit": "pixel"})
    add(picture, f"{EBUCORE}height", image["height"], {"unit": "pixel"})


def _add_video(file: Element, track: _Document) -> None:
    """The elements come in the order of the schema."""
    video = add(file, f"{EBUCORE}videoFormat", attributes={"videoFormatName": track["codec"]})
    add(video, f"{EBUCORE}width", track["width"], {"unit": "pixel"})
    add(video, f"{EBUCORE}height", track["height"], {"unit": "pixel"})
    _add_frame_rate(video, track["frame_rate"])
    _add_aspect_ratio(video, track["display_aspect_ratio"])
    encoding = {
        "typeLabel": track["codec"],
        "videoEncodingProfile": track["profile"],
        "videoEncodingLevel": track["level"],
    }
    add(video, f"{EBUCORE}videoEncoding", attributes=encoding)
    add(add(video, f"{EBUCORE}codec"), f"{EBUCORE}name", track["codec"])
    add_filled(video, f"{EBUCORE}bitRate", track["bit_rate"], {"unit": "bit/s"})
    mode = _BIT_RATE_MODES.get(track["bit_rate_mode"] or "")
    add_filled(video, f"{EBUCORE}bitRateMode", mode)
    add_filled(video, f"{EBUCORE}scanningFormat", track["scan_type"])
    order = _SCAN_ORDERS.get(track["scan_order"] or "")
    add_filled(video, f"{EBUCORE}scanningOrder", order)
    for name, label in _MORE_OF_VIDEO.items():
        attributes = {"typeLabel": label}
        add_filled(video, f"{EBUCORE}technicalAttributeString", track[name], attributes)
    depth = {"typeLabel": "BitDepth", "unit": "bit"}
    add_filled(video, f"{EBUCORE}technicalAttributeInteger", track["bit_depth"], depth)


def _add_frame_rate(video: Element, rate: Mapping[str, int] | None) -> None:
    """30000/1001 is a nominal 30, corrected by 1000/1001."""
    if rate is None:
        return
    exact = Fraction(rate["num"], rate["den"])
    nominal = max(1, round(exact))
    factor = exact / nominal
    factors = {"factorNumerator": factor.numerator, "factorDenominator": factor.denominator}
    add(video, f"{EBUCORE}frameRate", nominal, {**factors, "unit": "fps"})


def _add_aspect_ratio(video: Element, ratio: str | None) -> None:
    """MediaInfo writes 16:9, but also 2.35:1."""
    if not ratio:
        return
    try:
        width, height = (Fraction(part) for part in ratio.split(":"))
        exact = width / height
    except (ValueError, ZeroDivisionError):
        return
    shape = add(video, f"{EBUCORE}aspectRatio", attributes={"typeLabel": "display"})
    add(shape, f"{EBUCORE}factorNumerator", exact.numerator)
    add(shape, f"{EBUCORE}factorDenominator", exact.denominator)


def _add_audio(file: Element, track: _Document, number: int) -> None:
    audio = add(file, f"{EBUCORE}audioFormat", attributes={"audioFormatName": track["codec"]})
    add(audio, f"{EBUCORE}audioEncoding", attributes={"typeLabel": track["codec"]})
    add(add(audio, f"{EBUCORE}codec"), f"{EBUCORE}name", track["codec"])
    if track["layout"]:
        layout = {"typeLabel": track["layout"]}
        add(audio, f"{EBUCORE}audioTrackConfiguration", attributes=layout)
    add_filled(audio, f"{EBUCORE}samplingRate", track["sampling_rate_hz"])
    add_filled(audio, f"{EBUCORE}sampleSize", track["bit_depth"])
    add_filled(audio, f"{EBUCORE}bitRate", track["bit_rate"], {"unit": "bit/s"})
    names = {"trackId": number, "trackLanguage": track["language"]}
    add(audio, f"{EBUCORE}audioTrack", attributes=names)
    add_filled(audio, f"{EBUCORE}channels", track["channels"])


def _add_start(file: Element, technical: _Document) -> None:
    timecode = technical.get("start_timecode")
    if timecode and TIMECODE.fullmatch(timecode):
        start = add(add(file, f"{EBUCORE}timecodeFormat"), f"{EBUCORE}timecodeStart")
        drop = "true" if technical["drop_frame"] else "false"
        add(start, f"{EBUCORE}timecode", timecode, {"dropframe": drop})


def _add_object(file: Element, rendition: _Document, addresses: Addresses) -> None:
    """The file as bytes: how many, by which name, where, and their hash."""
    add(file, f"{EBUCORE}fileSize", rendition["size_bytes"], {"unit": "byte"})
    add(file, f"{EBUCORE}fileName", rendition["filename"])
    add(file, f"{EBUCORE}mimeType", attributes={"typeLabel": rendition["media_type"]})
    add(file, f"{EBUCORE}locator", addresses.absolute(rendition["download"]))
    digest = add(file, f"{EBUCORE}hash")
    add(digest, f"{EBUCORE}hashValue", rendition["sha256"])
    add(digest, f"{EBUCORE}hashFunction", attributes={"typeLabel": "SHA-256"})
