"""The TypeScript compiler and what the generated client needs, as their lock names them."""

import shutil
import subprocess
from pathlib import Path

import pytest

TYPESCRIPT = Path(__file__).parent / "clients" / "typescript"


def install_typescript(folder: Path) -> Path:
    """A copy of the client's folder with its packages; skips the test where they can't be had."""
    if not shutil.which("npm"):
        pytest.skip("Node is needed; on Debian and Ubuntu: apt-get install nodejs npm")
    shutil.copytree(TYPESCRIPT, folder, dirs_exist_ok=True)
    command = ["npm", "ci", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"packages are needed; see why they don't come: cd {TYPESCRIPT} && npm ci")
    return folder
