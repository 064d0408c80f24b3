"""What `python -m app <command>` can do: each command is thin, and calls the layers below."""

import app.log  # noqa: F401  # before anything else of ours loads structlog
