"""Clients that others' generators make of our OpenAPI document: they type-check, and they work.

Node, and packages from a registry, are needed for them; where these are not to be had, the tests
say which command brings them.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.helpers import PASSWORD
from tests.programs import PROJECT, Program, program
from tests.typescript import TYPESCRIPT, install_typescript

CLIENTS = Path(__file__).parent / "clients"
PYTHON = CLIENTS / "python"
EMAIL = "jane@example.org"
# What this generator has no words for: bodies that are text, and not JSON.
NOT_GENERATED = {
    "PUT /v1/assets/{reference}/captions/{language}",
    "POST /v1/newsletter/subscribers",
}


def test_locks_name_hashes_and_no_registry() -> None:
    for lock in (TYPESCRIPT / "package-lock.json", PYTHON / "requirements.lock"):
        text = lock.read_text()
        assert '"resolved"' not in text
        assert "index-url" not in text
    packages = json.loads((TYPESCRIPT / "package-lock.json").read_text())["packages"]
    assert all("integrity" in package for name, package in packages.items() if name)
    requirements = re.split(r"\n(?=\S)", (PYTHON / "requirements.lock").read_text().strip())
    assert all(" --hash=sha256:" in each for each in requirements if not each.startswith("#"))


# With servers and generators


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A small catalogue with files, and an account."""
    folder = tmp_path_factory.mktemp("site")
    prepare(folder, "migrate")
    prepare(folder, "demo", "--assets", "12")
    prepare(folder, "export")
    prepare(folder, "create-admin", EMAIL, said=PASSWORD)
    with program(folder, "serve", "--no-worker") as running:
        running.wait_until_it_serves()
        yield running
    shutil.rmtree(folder, ignore_errors=True)


def prepare(folder: Path, *arguments: str, said: str = "") -> None:
    subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        input=said.encode(),
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"], "DATA_DIR": str(folder / "var")},
        check=True,
        capture_output=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def document(server: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    path.write_bytes(httpx.get(f"{server.url}/openapi.json", timeout=60).content)
    return path


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def check_found(server: Program, printed: str) -> None:
    """What a generated client has found is what the API says."""
    found = json.loads(printed)
    with httpx.Client(base_url=server.url, timeout=60) as anybody:
        [video] = anybody.get("/v1/assets?type=video&limit=1").json()["items"]
        public = anybody.get("/v1/assets?limit=100").json()["items"]
    titles = {each["title"] for each in public}
    expected: dict[str, Any] = {
        "full_name": "Jane Doe",
        "slug": video["slug"],
        "country": (video["location"] or {}).get("country"),
        "keywords": video["keywords"],
        "shots": [shot["timecode_in"] for shot in video["shotlist"]],
        "sha256": video["renditions"][0]["sha256"],
        "is_the_rendition": True,
        "refusal": "not_found",
        "key_begins_with": "mma_",
        "exported": len(public),
        "formats": ["ndjson", "ndjson.gz", "ndjson.zst"],
        "changed_since": 0,
        "first_changes": [[1, "created"], [2, "created"]],
        "webhooks": ["pending"],
        "usage_of_others": 0,
    }
    first_titles = found.pop("first_titles")
    assert len({*first_titles} & titles) == 2
    assert found == expected


@pytest.fixture(scope="module")
def typescript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the program, and with the generator and the compiler installed."""
    return install_typescript(tmp_path_factory.mktemp("typescript"))


@pytest.mark.slow
def test_typescript_client_compiles_in_strict_mode_and_works(
    server: Program, document: Path, typescript: Path
) -> None:
    tools = typescript / "node_modules/.bin"
    run(tools / "openapi-typescript", document, "-o", "api.d.ts", cwd=typescript)
    run(tools / "tsc", cwd=typescript)
    arguments = ("built/program.js", server.url, EMAIL, PASSWORD)
    check_found(server, run("node", *arguments, cwd=typescript))


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the generator and mypy, which get along with none of ours."""
    folder = tmp_path_factory.mktemp("python")
    uv = Path(sys.executable).parent / "uv"
    run(uv, "venv", "--quiet", "--python", sys.executable, folder / "environment", cwd=folder)
    interpreter = folder / "environment/bin/python"
    lock = PYTHON / "requirements.lock"
    install: list[str | Path] = [
        uv,
        "pip",
        "sync",
        "--quiet",
        "--require-hashes",
        "--python",
        interpreter,
        lock,
    ]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"packages are needed; see why they don't come: pip download -r {lock}")
    shutil.copy(PYTHON / "program.py", folder)
    return folder


@pytest.mark.slow
def test_python_client_type_checks_and_works(server: Program, document: Path, python: Path) -> None:
    tools = python / "environment/bin"
    said = run(
        *(tools / "openapi-python-client", "generate", "--meta", "none"),
        *("--path", document, "--output-path", "account_client"),
        *("--config", PYTHON / "generator.yaml"),
        cwd=python,
    )
    assert set(re.findall(r"WARNING parsing (\S+ \S+) within", said)) == NOT_GENERATED
    assert said.count("WARNING") == len(NOT_GENERATED)
    assert "Unable to" not in said
    run(tools / "mypy", "--strict", "account_client", "program.py", cwd=python)
    arguments = ("program.py", server.url, EMAIL, PASSWORD)
    check_found(server, run(tools / "python", *arguments, cwd=python))
