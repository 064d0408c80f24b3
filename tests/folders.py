"""Where tests put databases."""

import shutil
import tempfile
from pathlib import Path

IN_MEMORY = Path("/dev/shm")  # noqa: S108  # a folder of ours is made in it
ENOUGH = 4 * 1024**3  # bytes; a test run takes less than a quarter of it


def folder_for_postgresql() -> Path:
    """Make a new folder that every user can enter, unlike pytest's own.

    PostgreSQL's user, when we are root, must reach it. It lies in memory where there is plenty:
    making a database there takes a tenth of the time. Containers have little by default.
    """
    is_roomy = IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free >= ENOUGH
    folder = Path(tempfile.mkdtemp(prefix="mma-", dir=IN_MEMORY if is_roomy else None)).resolve()
    folder.chmod(0o711)
    return folder
