"""The names of EBUCore 1.10, each in braces as lxml wants them."""

import re

EBUCORE = "{urn:ebu:metadata-schema:ebucore}"
DC = "{http://purl.org/dc/elements/1.1/}"
NAMESPACES: dict[str | None, str] = {"ebucore": EBUCORE[1:-1], "dc": DC[1:-1]}
# The only form that the schema takes, with the frame and without a day's overflow.
TIMECODE = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d[:;.,]\d{2,}", re.ASCII)
