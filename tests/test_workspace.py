import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.adapters import workspace as adapter
from app.adapters.workspace import WorkspaceFull, save, workspace

KILLED = """
import os, sys
from pathlib import Path
from app.adapters.workspace import workspace
with workspace(Path(sys.argv[1])) as folder:
    (folder / "original").write_bytes(b"1")
    os.kill(os.getpid(), 9)
"""


def age(folder: Path) -> None:
    """Let it be two minutes old."""
    before = time.time() - 120
    os.utime(folder, (before, before))


def test_folder_is_gone_after_the_work(tmp_path: Path) -> None:
    with pytest.raises(KeyError), workspace(tmp_path / "tmp") as folder:  # noqa: PT012
        (folder / "original").write_bytes(b"1")
        raise KeyError
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_a_killed_process_has_left_is_cleared_away(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    (left,) = tmp_path.iterdir()
    age(left)

    with workspace(tmp_path):
        assert not left.exists()


def test_folders_in_use_or_just_made_are_left_alone(tmp_path: Path) -> None:
    just_made = tmp_path / "just-made"
    just_made.mkdir()
    with workspace(tmp_path) as in_use:
        age(in_use)
        with workspace(tmp_path):
            assert in_use.exists()
            assert just_made.exists()


async def chunks() -> AsyncIterator[bytes]:
    yield b"one "
    yield b"two"


async def test_chunks_become_a_file(tmp_path: Path) -> None:
    path = tmp_path / "original"
    await save(chunks(), path, size_bytes=7)
    assert await asyncio.to_thread(path.read_bytes) == b"one two"


async def test_disk_is_never_filled_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "_RESERVE", 2**62)

    with pytest.raises(WorkspaceFull):
        await save(chunks(), tmp_path / "original", size_bytes=7)

    assert not await asyncio.to_thread((tmp_path / "original").exists)


async def test_disk_that_fills_up_meanwhile_is_full() -> None:
    with pytest.raises(WorkspaceFull):
        await save(chunks(), Path("/dev/full"), size_bytes=7)


def test_a_gigabyte_is_left_to_others() -> None:
    assert adapter._RESERVE == 1024**3
