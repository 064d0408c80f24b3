"""The names of Media RSS and its companions, each in braces as lxml wants them."""

MEDIA = "{http://search.yahoo.com/mrss/}"
ATOM = "{http://www.w3.org/2005/Atom}"
DC = "{http://purl.org/dc/elements/1.1/}"
DCTERMS = "{http://purl.org/dc/terms/}"
GEORSS = "{http://www.georss.org/georss}"
METALINK = "{urn:ietf:params:xml:ns:metalink}"
NAMESPACES: dict[str | None, str] = {
    "media": MEDIA[1:-1],
    "atom": ATOM[1:-1],
    "dc": DC[1:-1],
    "dcterms": DCTERMS[1:-1],
    "georss": GEORSS[1:-1],
    "metalink": METALINK[1:-1],
}
