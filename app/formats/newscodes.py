from urllib.parse import quote

_DIGITAL_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def digital_source_type(code: str | None) -> str | None:
    """The address of an IPTC digital source type, such as `digitalCapture`."""
    if not code:
        return None
    address = code if "://" in code else _DIGITAL_SOURCE_TYPES + code
    return quote(address, safe=":/+.-_")
