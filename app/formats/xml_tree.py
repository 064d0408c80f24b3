"""Elements of XML formats, whatever characters an editor's text holds."""

import re
from collections.abc import Mapping

from lxml import etree

# What XML 1.0 can't hold in any way, not even escaped (section 2.2). Editors paste such
# characters out of word processors, and one of them would make the whole document unreadable.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"

Element = etree._Element  # noqa: SLF001  # lxml has no other name for the type
Attributes = Mapping[str, str | int | float | None]


def xml_text(text: str) -> str:
    """The text without the characters that XML forbids."""
    return _FORBIDDEN.sub("", text)


def root(tag: str, namespaces: Mapping[str | None, str], **attributes: str) -> Element:
    return etree.Element(tag, attributes, nsmap=dict(namespaces))


def add(
    parent: Element,
    tag: str,
    text: str | float | None = None,
    attributes: Attributes | None = None,
) -> Element:
    """A new last child. Attributes that are None are not written."""
    written = {
        name: xml_text(str(value))
        for name, value in (attributes or {}).items()
        if value is not None
    }
    child = etree.SubElement(parent, tag, written)
    if text is not None:
        child.text = xml_text(str(text))
    return child


def add_filled(
    parent: Element,
    tag: str,
    text: str | float | None,
    attributes: Attributes | None = None,
) -> None:
    """The same, but nothing where there is no text."""
    if text is not None and text != "":
        add(parent, tag, text, attributes)


def to_bytes(tree: Element) -> bytes:
    return etree.tostring(tree, encoding="UTF-8", xml_declaration=True)
