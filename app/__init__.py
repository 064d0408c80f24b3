"""Multimedia Account: accounts, media catalogue and newsletter of a broadcast-media portal."""

import sys

# structlog loads rich, for coloured tracebacks, wherever it finds it: 7 MB and 0.1 s in every
# process, for something that our logs do not use. So it does not find it.
if "rich" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment]  # how Python says "can't be imported"
    import structlog  # noqa: F401  # for this effect alone

    del sys.modules["rich"]
