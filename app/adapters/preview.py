"""A small version of a video or a sound for browsers: H.264 and AAC in MP4.

Sound alone becomes AAC in MP4 as well.
"""

import math
from collections.abc import Callable
from pathlib import Path

from app.adapters import sandbox
from app.adapters.sandbox import Limits

# Where the file does not tell its duration.
_UNKNOWN_SECONDS = 3600.0
# A slow machine needs several times the duration for 4K; what takes longer is stuck.
_LEAST_WALL_SECONDS = 180
_WALL_SECONDS_PER_SECOND = 10
_CORES = 4
# Three times what the encoder is told to keep to.
_BYTES_PER_SECOND = 600_000
_LEAST_BYTES = 16 * 2**20


class PreviewError(Exception):
    """No preview can be made. `code` is `undecodable`, `no_decoder`, `no_space` or None."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


async def make_preview(
    source: Path, target: Path, *, duration_ms: int | None, on_progress: Callable[[int], None]
) -> None:
    """Write the preview; progress is in percent.

    Raises `PreviewError`, and `sandbox.Interrupted` where the host ended the encoder.
    """
    seconds = _UNKNOWN_SECONDS if duration_ms is None else duration_ms / 1000
    limits = _limits(math.ceil(seconds))
    try:
        await sandbox.run(
            "app.adapters.preview_transcoding:write_preview",
            source,
            target,
            seconds,
            limits=limits,
            on_progress=on_progress,
        )
    except sandbox.Interrupted:
        raise
    except sandbox.Refused as error:
        raise PreviewError(error.code, error.code) from error
    except sandbox.SandboxError as error:
        raise PreviewError(str(error)) from error


def _limits(seconds: int) -> Limits:
    wall = _LEAST_WALL_SECONDS + _WALL_SECONDS_PER_SECOND * seconds
    return Limits(
        wall_seconds=wall,
        cpu_seconds=wall * _CORES,
        file_bytes=_LEAST_BYTES + _BYTES_PER_SECOND * seconds,
    )
